//! Values that are stored out of line (TOAST), and that an UPDATE does not touch: PostgreSQL does not write them again.

use bemi_tests::Tracked;
use serde_json::{Value, json};

use super::expected::{created, deleted, keeping_identities, recorded, updated};

/// One column for each way to store a long value.
const SCHEMA: &str = "CREATE TABLE t (id int PRIMARY KEY, code int NOT NULL UNIQUE, a int, \
         extended text, compressed text, external text, main text, json jsonb, bytes bytea); \
     ALTER TABLE t ALTER external SET STORAGE EXTERNAL, ALTER main SET STORAGE MAIN;";

/// What does not compress, and what does and is still too long for its row.
const INSERT: &str = "INSERT INTO t SELECT 1, 7, 1, long, repeat('abcdefgh', 500000), \
         repeat('y', 9000), long, jsonb_build_object('k', long), decode(long, 'hex') \
     FROM (SELECT string_agg(md5(g::text), '') AS long FROM generate_series(1, 500) g) l";

const OUT_OF_LINE: [&str; 6] = ["extended", "compressed", "external", "main", "json", "bytes"];

/// The row as the server has it now.
async fn row(tracked: &Tracked) -> Value {
    tracked.value("SELECT to_jsonb(t) FROM t").await
}

/// `row` but for these columns.
fn lacking(row: &Value, columns: &[&str]) -> Value {
    let mut row = row.clone();
    row.as_object_mut().unwrap().retain(|name, _| !columns.contains(&name.as_str()));
    row
}

#[tokio::test]
async fn under_full_they_are_in_before_and_after() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked.sql(INSERT).await;
    let first = row(&tracked).await;
    tracked.sql("UPDATE t SET a = 2").await;
    let second = row(&tracked).await;
    tracked.sql("UPDATE t SET main = main || 'x'").await;
    let third = row(&tracked).await;
    tracked.sql("UPDATE t SET extended = NULL").await;
    let fourth = row(&tracked).await;
    tracked.sql("DELETE FROM t").await;
    assert_eq!(
        recorded(&tracked).await,
        [
            created("t", "1", first.clone()),
            updated("t", "1", first, second.clone()),
            updated("t", "1", second, third.clone()),
            updated("t", "1", third, fourth.clone()),
            deleted("t", "1", fourth),
        ]
    );
}

#[tokio::test]
async fn else_they_are_left_out_and_named() {
    for (identity, key) in
        [("DEFAULT", json!({"id": 1})), ("USING INDEX t_code_key", json!({"code": 7}))]
    {
        let tracked =
            keeping_identities(&format!("{SCHEMA} ALTER TABLE t REPLICA IDENTITY {identity}"))
                .await;
        tracked.sql(INSERT).await;
        let first = row(&tracked).await;
        tracked.sql("UPDATE t SET a = 2").await;
        let second = row(&tracked).await;
        tracked.sql("UPDATE t SET main = main || 'x'").await;
        let third = row(&tracked).await;
        tracked.sql("UPDATE t SET extended = 'short', json = NULL").await;
        let fourth = row(&tracked).await;
        let untouched = ["extended", "compressed", "external", "json", "bytes"];
        let still = ["compressed", "external", "main", "bytes"];
        assert_eq!(
            recorded(&tracked).await,
            [
                created("t", "1", first),
                updated("t", "1", key.clone(), lacking(&second, &OUT_OF_LINE))
                    .incomplete()
                    .without(&OUT_OF_LINE),
                updated("t", "1", key.clone(), lacking(&third, &untouched))
                    .incomplete()
                    .without(&untouched),
                updated("t", "1", key, lacking(&fourth, &still)).incomplete().without(&still),
            ],
            "{identity}"
        );
    }
}

#[tokio::test]
async fn a_long_value_that_is_compressed_inside_its_row_is_always_there() {
    let tracked = keeping_identities("CREATE TABLE t (id int PRIMARY KEY, a int, fits text)").await;
    tracked.sql("INSERT INTO t VALUES (1, 1, repeat('x', 50000)); UPDATE t SET a = 2").await;
    let row = |a: i32| json!({"id": 1, "a": a, "fits": "x".repeat(50_000)});
    assert_eq!(
        recorded(&tracked).await,
        [created("t", "1", row(1)), updated("t", "1", json!({"id": 1}), row(2)).incomplete()]
    );
}

/// The server writes a key that is stored out of line with the change, although nothing touched it.
#[tokio::test]
async fn a_key_that_is_stored_out_of_line_is_always_there() {
    let (one, two) = ("k".repeat(2_500), "l".repeat(2_500));
    for identity in ["DEFAULT", "FULL"] {
        let tracked = keeping_identities(&format!(
            "CREATE TABLE t (k text PRIMARY KEY, a int); ALTER TABLE t ALTER k SET STORAGE EXTERNAL; \
             ALTER TABLE t REPLICA IDENTITY {identity}"
        ))
        .await;
        tracked.sql(&format!("INSERT INTO t VALUES ('{one}', 1); UPDATE t SET a = 2")).await;
        let outside: bool = tracked
            .value("SELECT pg_relation_size(reltoastrelid) > 0 FROM pg_class WHERE oid = 't'::regclass")
            .await;
        assert!(outside, "else this proves nothing");
        tracked.sql(&format!("UPDATE t SET k = '{two}'; UPDATE t SET a = 3; DELETE FROM t")).await;
        let row = |k: &str, a: i32| json!({"k": k, "a": a});
        let is_full = identity == "FULL";
        let before = |k: &str, a: i32| if is_full { row(k, a) } else { json!({"k": k}) };
        let mut expected = [
            created("t", one.as_str(), row(&one, 1)),
            updated("t", one.as_str(), before(&one, 1), row(&one, 2)),
            updated("t", two.as_str(), before(&one, 2), row(&two, 2)).previously(&one),
            updated("t", two.as_str(), before(&two, 2), row(&two, 3)),
            deleted("t", two.as_str(), before(&two, 3)),
        ];
        if !is_full {
            for change in &mut expected[1..] {
                *change = change.clone().incomplete();
            }
        }
        assert_eq!(recorded(&tracked).await, expected, "{identity}");
    }
}
