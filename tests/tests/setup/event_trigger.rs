//! New and changed tables are tracked in the transaction that makes or changes them, and no statement
//! of the application fails because of it.

use super::fresh::Fresh;

async fn set_up(schema: &str, arguments: &[&str]) -> Fresh {
    let fresh = Fresh::new(schema).await;
    fresh.ok(&[&["setup", "--all-tables"], arguments].concat()).await;
    fresh
}

#[tokio::test]
async fn every_way_to_make_a_table_is_followed() {
    let fresh = set_up("", &[]).await;
    fresh
        .sql(
            "CREATE TABLE a (id int PRIMARY KEY);
             CREATE TABLE b AS SELECT 1 AS id;
             SELECT 1 AS id INTO c;
             CREATE SCHEMA s CREATE TABLE d (id int PRIMARY KEY);
             CREATE TABLE \"E.e \"\"😀\" (id int PRIMARY KEY);
             CREATE TABLE f (LIKE a INCLUDING ALL);
             CREATE TEMPORARY TABLE t (id int PRIMARY KEY);
             CREATE UNLOGGED TABLE u (id int PRIMARY KEY);
             CREATE TABLE bemi.own (id int PRIMARY KEY)",
        )
        .await;
    let tracked = ["public.E.e \"😀", "public.a", "public.f", "s.d"];
    assert_eq!(fresh.published("bemi").await, tracked);
    assert_eq!(fresh.published("bemi_insert_only").await, ["public.b", "public.c"]);
    fresh.sql("ALTER TABLE u SET LOGGED").await;
    assert!(fresh.published("bemi").await.contains(&"public.u".to_owned()));
    let told = fresh.ok(&["setup"]).await;
    assert!(told.starts_with("nothing to do"), "{told}");
}

#[tokio::test]
async fn what_a_transaction_writes_to_its_own_new_table_is_stored() {
    let fresh = set_up("", &["--replica-identity", "full"]).await;
    fresh
        .sql(
            "BEGIN; CREATE TABLE t (a int); INSERT INTO t VALUES (1); UPDATE t SET a = 2; COMMIT;
             BEGIN; CREATE TABLE gone (a int); INSERT INTO gone VALUES (1); ROLLBACK",
        )
        .await;
    fresh.ok(&["run", "--once"]).await;
    let stored: Vec<String> = fresh
        .value("SELECT array_agg(operation || before::text || after::text ORDER BY sequence) FROM changes")
        .await;
    assert_eq!(stored, ["CREATE{}{\"a\": 1}", "UPDATE{\"a\": 1}{\"a\": 2}"]);
}

#[tokio::test]
async fn a_table_moves_when_it_loses_or_gains_its_identity() {
    let fresh = set_up("CREATE TABLE t (id int PRIMARY KEY, code int NOT NULL)", &[]).await;
    // In one transaction, which would fail if the table were published a statement too long.
    fresh
        .sql(
            "INSERT INTO t VALUES (1, 1);
             BEGIN; ALTER TABLE t DROP CONSTRAINT t_pkey; UPDATE t SET id = 2; COMMIT",
        )
        .await;
    assert_eq!(fresh.published("bemi_insert_only").await, ["public.t"]);
    fresh
        .sql(
            "CREATE UNIQUE INDEX by_code ON t (code);
             ALTER TABLE t REPLICA IDENTITY USING INDEX by_code; UPDATE t SET id = 3",
        )
        .await;
    assert_eq!(fresh.published("bemi").await, ["public.t"]);
    assert!(fresh.published("bemi_insert_only").await.is_empty());
    fresh.sql("DROP INDEX by_code; UPDATE t SET id = 4").await;
    assert_eq!(fresh.published("bemi_insert_only").await, ["public.t"]);
    fresh.sql("ALTER TABLE t REPLICA IDENTITY DEFAULT, ADD PRIMARY KEY (id)").await;
    assert_eq!(fresh.published("bemi").await, ["public.t"]);
}

#[tokio::test]
async fn a_partition_without_identity_takes_its_root_along() {
    let fresh = set_up(
        "CREATE TABLE root (id int) PARTITION BY LIST (id);
         ALTER TABLE root REPLICA IDENTITY FULL",
        &[],
    )
    .await;
    assert_eq!(fresh.published("bemi").await, ["public.root"]);
    fresh
        .sql(
            "BEGIN; CREATE TABLE leaf PARTITION OF root FOR VALUES IN (1, 2);
             INSERT INTO root VALUES (1); UPDATE root SET id = 2; COMMIT",
        )
        .await;
    assert_eq!(fresh.published("bemi_insert_only").await, ["public.root"]);
    fresh.sql("ALTER TABLE root DETACH PARTITION leaf; UPDATE leaf SET id = 1").await;
    assert_eq!(fresh.published("bemi").await, ["public.root"]);
    assert_eq!(fresh.published("bemi_insert_only").await, ["public.leaf"]);
    fresh.sql("ALTER TABLE root ATTACH PARTITION leaf FOR VALUES IN (1)").await;
    assert_eq!(fresh.published("bemi_insert_only").await, ["public.root"]);
}

#[tokio::test]
async fn full_is_set_on_new_tables_and_taken_back() {
    let fresh = set_up("", &["--replica-identity", "full", "--exclude", "private_*"]).await;
    fresh.sql("CREATE TABLE t (a int); CREATE TABLE private_t (a int)").await;
    let identity = "SELECT string_agg(relreplident::text, '' ORDER BY relname) FROM pg_class \
        WHERE relname IN ('t', 'private_t')";
    assert_eq!(fresh.value::<String>(identity).await, "df");
    assert_eq!(fresh.published("bemi").await, ["public.t"]);
    fresh.ok(&["teardown"]).await;
    assert_eq!(fresh.value::<String>(identity).await, "dd");
    fresh.sql("CREATE TABLE untracked (a int)").await;
}

#[tokio::test]
async fn an_application_that_may_do_little_makes_tables_as_before() {
    let fresh = set_up("", &[]).await;
    let role = fresh.database.unique_name("app");
    fresh
        .sql(&format!(
            "CREATE ROLE {role}; CREATE SCHEMA app AUTHORIZATION {role};
             SET ROLE {role}; CREATE TABLE app.t (id int PRIMARY KEY); RESET ROLE"
        ))
        .await;
    assert_eq!(fresh.published("bemi").await, ["app.t"]);
    fresh.sql(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

#[tokio::test]
async fn a_trigger_that_cannot_do_its_work_warns_and_lets_the_statement_pass() {
    let fresh = set_up("", &[]).await;
    fresh.sql("DROP PUBLICATION bemi; CREATE TABLE t (id int PRIMARY KEY)").await;
    let output = fresh.worker(&["doctor"]).run_to_end().await.assert_code(3);
    assert!(output.stdout.contains("publication bemi is missing"), "{output}");
    // Somebody dropped what the trigger reads.
    fresh.sql("DROP TABLE bemi.settings; CREATE TABLE t2 (id int PRIMARY KEY)").await;
}
