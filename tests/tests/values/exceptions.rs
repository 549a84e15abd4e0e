//! What `jsonb_populate_record` does not give back: the exceptions of docs/changes.md, each as the server shows it. Where another
//! way leads back, that is shown, too.

use bemi_tests::Tracked;
use serde_json::json;

/// Of the one row of `t` that is stored: its text, and that of the row that is restored.
async fn was_and_is(tracked: &Tracked) -> (String, String) {
    tracked.store().await;
    let row = tracked
        .client
        .query_one(
            "SELECT t::text, jsonb_populate_record(NULL::t, after)::text FROM t, changes WHERE changes.\"table\" = 't'",
            &[],
        )
        .await
        .unwrap();
    (row.get(0), row.get(1))
}

/// The same where the server refuses to restore it: what it says.
async fn refusal(tracked: &Tracked) -> String {
    tracked.store().await;
    let restored =
        "SELECT jsonb_populate_record(NULL::t, after)::text FROM changes WHERE \"table\" = 't'";
    let error = tracked.client.batch_execute(restored).await.unwrap_err();
    error.as_db_error().unwrap().message().to_owned()
}

#[tokio::test]
async fn arrays_lose_their_lower_bounds() {
    let tracked = Tracked::new("CREATE TABLE t (a int[])").await;
    tracked.sql("INSERT INTO t VALUES ('[0:1]={7,8}')").await;
    assert_eq!(was_and_is(&tracked).await, (r#"("[0:1]={7,8}")"#.into(), r#"("{7,8}")"#.into()));
}

#[tokio::test]
async fn json_null_becomes_sql_null() {
    let tracked = Tracked::new("CREATE TABLE t (j json, b jsonb, a jsonb[])").await;
    tracked.sql("INSERT INTO t VALUES ('null', 'null', '{\"null\",NULL,1}')").await;
    assert_eq!(
        was_and_is(&tracked).await,
        (r#"(null,null,"{""null"",NULL,1}")"#.into(), r#"(,,"{NULL,NULL,1}")"#.into())
    );
}

#[tokio::test]
async fn json_is_spelled_as_jsonb_spells_it() {
    let tracked = Tracked::new("CREATE TABLE t (j json)").await;
    tracked.sql(r#"INSERT INTO t VALUES ('{"b":1,"b":1e2,"a":"\u0061"}')"#).await;
    let (_, is) = was_and_is(&tracked).await;
    assert_eq!(is, r#"("{""a"": ""a"", ""b"": 100}")"#);
}

#[tokio::test]
async fn a_negative_zero_becomes_zero() {
    let tracked = Tracked::new("CREATE TABLE t (f float8, r real)").await;
    tracked.sql("INSERT INTO t VALUES ('-0', '-0')").await;
    assert_eq!(was_and_is(&tracked).await, ("(-0,-0)".into(), "(0,0)".into()));
}

/// Its object is no text of hstore's. Key by key it is.
#[tokio::test]
async fn hstore_is_refused() {
    let tracked = Tracked::untracked(bemi_tests::shared_cluster(), "").await;
    if tracked.client.batch_execute("CREATE EXTENSION hstore").await.is_err() {
        eprintln!("left out: this server does not have hstore");
        return;
    }
    tracked
        .sql("CREATE TABLE t (h hstore); INSERT INTO t VALUES ('a=>1, b=>NULL, \"c d\"=>\"\"')")
        .await;
    tracked.setup(&["--all-tables", "--replica-identity", "full"]).await;
    tracked.sql("UPDATE t SET h = h").await;
    assert!(refusal(&tracked).await.to_lowercase().contains("syntax error"));
    let is_restored: bool = tracked
        .value(
            "SELECT h = (SELECT coalesce(hstore(array_agg(key), array_agg(value)), '') FROM jsonb_each_text(after -> 'h')) \
             FROM t, changes WHERE changes.\"table\" = 't'",
        )
        .await;
    assert!(is_restored);
}

/// Where the elements are arrays themselves, nobody can tell their dimensions from those of the array that they are in.
#[tokio::test]
async fn arrays_of_what_is_an_array_in_json_are_refused() {
    for (element, value) in [
        ("json", "{\"[1,2]\",1}"),
        ("jsonb", "{\"[1,2]\",1}"),
        ("list", "{\"{1,2}\",\"{3}\"}"),
        ("oidvector", "{1 2,3}"),
    ] {
        let tracked =
            Tracked::new(&format!("CREATE DOMAIN list AS int[]; CREATE TABLE t (a {element}[])"))
                .await;
        tracked.sql(&format!("INSERT INTO t VALUES ('{value}')")).await;
        assert!(refusal(&tracked).await.contains("JSON array"), "{element}");
    }
}

#[tokio::test]
async fn an_empty_vector_is_refused() {
    let tracked = Tracked::new("CREATE TABLE t (v int2vector, o oidvector)").await;
    tracked.sql("INSERT INTO t VALUES ('1 2', '3')").await;
    assert_eq!(was_and_is(&tracked).await, (r#"("1 2",3)"#.into(), r#"("1 2",3)"#.into()));
    let tracked = Tracked::new("CREATE TABLE t (v int2vector)").await;
    tracked.sql("INSERT INTO t VALUES ('')").await;
    assert_eq!(refusal(&tracked).await, "array is not a valid int2vector");
}

/// The server checks a domain by the binary input of what it is over, of which some types have none.
#[tokio::test]
async fn domains_over_types_without_a_binary_form_are_refused() {
    let tracked =
        Tracked::new("CREATE DOMAIN permission AS aclitem; CREATE TABLE t (p permission)").await;
    tracked.sql("INSERT INTO t VALUES ('=r/postgres')").await;
    assert_eq!(refusal(&tracked).await, "no binary input function available for type aclitem");
    let is_restored: bool = tracked
        .value("SELECT (after ->> 'p')::permission::aclitem = p FROM t, changes WHERE changes.\"table\" = 't'")
        .await;
    assert!(is_restored);
}

#[tokio::test]
async fn types_without_an_input_are_refused() {
    let tracked = Tracked::new("CREATE TABLE t (n pg_node_tree)").await;
    tracked.sql("INSERT INTO t SELECT ev_action FROM pg_rewrite LIMIT 1").await;
    assert_eq!(refusal(&tracked).await, "cannot accept a value of type pg_node_tree");
}

/// The server does not send it before PostgreSQL 18, and it is computed anew in any case.
#[tokio::test]
async fn generated_columns_are_not_told_before_18() {
    let tracked = Tracked::untracked(
        bemi_tests::shared_cluster(),
        "CREATE TABLE t (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED)",
    )
    .await;
    tracked.setup(&["--all-tables"]).await;
    tracked.sql("INSERT INTO t VALUES (7)").await;
    tracked.store().await;
    let version: String = tracked.value("SHOW server_version_num").await;
    let after = &tracked.changes().await[0].after;
    let expected =
        if version.as_str() < "180000" { json!({"id": 7}) } else { json!({"id": 7, "twice": 14}) };
    assert_eq!(*after, expected);
}
