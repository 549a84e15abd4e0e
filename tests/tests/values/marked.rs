//! What `jsonb` cannot hold, and what only the server could make: stored as its text, and named in `encoded`.

use bemi_tests::{Stored, Tracked};
use serde_json::{Value, json};

/// Column `v` of what was inserted into `t`, and whether it is marked; other columns never are.
async fn stored(tracked: &Tracked) -> Vec<(Value, bool)> {
    tracked.store().await;
    let value = |change: Stored| {
        let marked = change.encoded.unwrap_or_default();
        assert!(marked.is_empty() || marked == ["v"], "{marked:?}");
        (change.after["v"].clone(), !marked.is_empty())
    };
    tracked.changes().await.into_iter().filter(|change| change.table == "t").map(value).collect()
}

#[tokio::test]
async fn json_that_jsonb_refuses_is_its_text() {
    let texts = [
        r#""\u0000""#,
        r#"{"\u0000": 1}"#,
        r#""\ud800""#,
        r#""\udc00\ud800""#,
        r#"[1E400000]"#,
        " 1e-16384\n",
        r#"{"a":{"b":["x\u0000y"]}}"#,
    ];
    let tracked = Tracked::new("CREATE TABLE t (id int PRIMARY KEY, v json)").await;
    for (id, text) in (0..).zip(texts) {
        tracked.sql(&format!("INSERT INTO t VALUES ({id}, {})", crate::sql_literal(text))).await;
        // Else it would not be marked.
        let refused = tracked
            .client
            .batch_execute(&format!("SELECT to_jsonb(t) FROM t WHERE id = {id}"))
            .await;
        assert!(refused.is_err(), "the server makes jsonb of {text}");
    }
    let told: Vec<_> = texts.map(|text| (json!(text), true)).into();
    assert_eq!(stored(&tracked).await, told);
}

#[tokio::test]
async fn of_a_value_with_parts_the_part_is_text() {
    let tracked = Tracked::new(
        "CREATE DOMAIN document AS json; CREATE TYPE pair AS (n int, j document); \
         CREATE TABLE t (id int PRIMARY KEY, v pair[])",
    )
    .await;
    tracked
        .sql(
            "INSERT INTO t VALUES (1, ARRAY[ROW(1, '{\"a\": \"\\u0000\"}'), ROW(2, '{\"a\": 1}'), NULL]::pair[]); \
             INSERT INTO t VALUES (2, ARRAY[ROW(3, NULL)]::pair[])",
        )
        .await;
    let first = json!([{"n": 1, "j": "{\"a\": \"\\u0000\"}"}, {"n": 2, "j": {"a": 1}}, null]);
    assert_eq!(stored(&tracked).await, [(first, true), (json!([{"n": 3, "j": null}]), false)]);
}

/// PostgreSQL's own limit is that of its stack, further down.
#[tokio::test]
async fn json_that_nests_very_deep_is_its_text() {
    let tracked = Tracked::new("CREATE TABLE t (id int PRIMARY KEY, v json)").await;
    tracked
        .sql(
            "INSERT INTO t SELECT n, (repeat('[', n) || repeat(']', n))::json \
             FROM unnest(ARRAY[1000, 1002]) AS n ORDER BY n",
        )
        .await;
    tracked.store().await;
    let of_change = |id: i32| {
        format!(
            "SELECT jsonb_typeof(after -> 'v') || coalesce(encoded::text, '') || length(after ->> 'v') \
             FROM changes WHERE primary_key = '{id}'"
        )
    };
    assert_eq!(tracked.value::<String>(&of_change(1000)).await, "array2000");
    assert_eq!(tracked.value::<String>(&of_change(1002)).await, "string{v}2004");
}

/// `to_jsonb` runs a cast that somebody defined, wherever the type is in a row. So it does with `geometry` of PostGIS.
#[tokio::test]
async fn what_a_cast_would_make_json_of_is_its_text() {
    let tracked = Tracked::new(
        "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN feeling AS mood; \
         CREATE FUNCTION mood_to_json(mood) RETURNS json LANGUAGE sql IMMUTABLE \
             AS 'SELECT json_build_object(''mood'', $1::text)'; \
         CREATE CAST (mood AS json) WITH FUNCTION mood_to_json(mood); \
         CREATE TYPE pair AS (n int, m mood); \
         CREATE TABLE t (id int PRIMARY KEY, v mood); CREATE TABLE d (id int PRIMARY KEY, v feeling); \
         CREATE TABLE a (id int PRIMARY KEY, v mood[]); CREATE TABLE c (id int PRIMARY KEY, v pair)",
    )
    .await;
    tracked
        .sql(
            "INSERT INTO t VALUES (1, 'ok'), (2, NULL); INSERT INTO d VALUES (1, 'ok'); \
             INSERT INTO a VALUES (1, '{ok,NULL}'); INSERT INTO c VALUES (1, '(7,ok)')",
        )
        .await;
    let cast: Value = tracked.value("SELECT to_jsonb(t) -> 'v' FROM t WHERE id = 1").await;
    assert_eq!(cast, json!({"mood": "ok"}), "which is what cannot be had");
    assert_eq!(stored(&tracked).await, [(json!("ok"), true), (json!(null), false)]);
    for change in &tracked.changes().await[2..] {
        let text = match change.table.as_str() {
            "a" => json!(["ok", null]),
            "c" => json!({"n": 7, "m": "ok"}),
            _ => json!("ok"),
        };
        assert_eq!(change.after["v"], text, "{change:?}");
        assert_eq!(change.encoded.as_deref(), Some(&["v".to_owned()][..]), "{change:?}");
    }
}

/// A cast without a function, and one of a type that is built in, are nothing to `to_jsonb`.
#[tokio::test]
async fn other_casts_mark_nothing() {
    let tracked = Tracked::new(
        "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE CAST (mood AS json) WITH INOUT; \
         CREATE FUNCTION point_to_json(point) RETURNS json LANGUAGE sql IMMUTABLE AS 'SELECT json_build_array($1[0], $1[1])'; \
         CREATE CAST (point AS json) WITH FUNCTION point_to_json(point); \
         CREATE TABLE t (id int PRIMARY KEY, v mood); CREATE TABLE p (id int PRIMARY KEY, v point)",
    )
    .await;
    tracked.sql("INSERT INTO t VALUES (1, 'ok'); INSERT INTO p VALUES (1, '(1,2)')").await;
    let truth: Value = tracked.value("SELECT to_jsonb(p) -> 'v' FROM p").await;
    assert_eq!(stored(&tracked).await, [(json!("ok"), false)]);
    let point = &tracked.changes().await[1];
    assert_eq!((&point.after["v"], &point.encoded), (&truth, &None));
}

/// Before PostgreSQL 15, `"char"` is written as the byte that it is: no text where that is not ASCII. Since, it is escaped.
#[tokio::test]
async fn a_char_that_is_not_ascii_is_hexadecimal_where_it_is_no_text() {
    let tracked = Tracked::new("CREATE TABLE t (id int PRIMARY KEY, v \"char\")").await;
    tracked.sql("INSERT INTO t VALUES (1, 'é'), (2, 'e')").await;
    let version: String = tracked.value("SHOW server_version_num").await;
    let first =
        if version.as_str() < "150000" { (json!("\\xc3"), true) } else { (json!("\\303"), false) };
    assert_eq!(stored(&tracked).await, [first, (json!("e"), false)]);
}
