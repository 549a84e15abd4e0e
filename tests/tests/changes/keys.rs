//! The row's key, and what becomes of it.

use bemi_tests::Tracked;
use serde_json::json;

use super::expected::{commit_each, created, deleted, keeping_identities, recorded, updated};

#[tokio::test]
async fn a_key_is_that_of_the_catalog_in_the_order_of_its_index() {
    let tracked = Tracked::new(
        "CREATE TABLE composite (b text, n int, a text, PRIMARY KEY (a, n)); \
         CREATE TABLE named (name text PRIMARY KEY, id int); \
         CREATE TABLE keyless (id int); \
         CREATE TABLE covering (id int, extra int, PRIMARY KEY (id) INCLUDE (extra)); \
         CREATE TABLE by_index (u int NOT NULL UNIQUE, v int); \
         ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_u_key",
    )
    .await;
    tracked
        .sql(
            "INSERT INTO composite VALUES ('x', 7, 'it''s \"a\"'); INSERT INTO named VALUES ('ann', 1); \
             INSERT INTO keyless VALUES (1); INSERT INTO covering VALUES (1, 2); \
             INSERT INTO by_index VALUES (5, 6)",
        )
        .await;
    assert_eq!(
        recorded(&tracked).await,
        [
            created(
                "composite",
                r#"["it's \"a\"","7"]"#,
                json!({"b": "x", "n": 7, "a": "it's \"a\""})
            ),
            created("named", "ann", json!({"name": "ann", "id": 1})),
            created("keyless", None, json!({"id": 1})),
            created("covering", "1", json!({"id": 1, "extra": 2})),
            // Setup with FULL replaces the index as identity, and then no index is the key.
            created("by_index", None, json!({"u": 5, "v": 6})),
        ]
    );
}

#[tokio::test]
async fn an_update_of_the_key_is_one_update_with_both_keys() {
    let schema = "CREATE TABLE t (id int PRIMARY KEY, a text)";
    let (one, two) = (json!({"id": 1, "a": "a"}), json!({"id": 2, "a": "a"}));
    let full = Tracked::new(schema).await;
    full.sql("INSERT INTO t VALUES (1, 'a'); UPDATE t SET id = 2").await;
    assert_eq!(
        recorded(&full).await,
        [
            created("t", "1", one.clone()),
            updated("t", "2", one.clone(), two.clone()).previously("1")
        ]
    );
    let keeping = keeping_identities(schema).await;
    keeping.sql("INSERT INTO t VALUES (1, 'a'); UPDATE t SET id = 2").await;
    assert_eq!(
        recorded(&keeping).await,
        [
            created("t", "1", one),
            updated("t", "2", json!({"id": 1}), two).previously("1").incomplete(),
        ]
    );
}

#[tokio::test]
async fn one_column_of_a_composite_key_that_changes_changes_the_key() {
    let schema = "CREATE TABLE t (a int, b text, n int, PRIMARY KEY (b, a))";
    let statements =
        "INSERT INTO t VALUES (1, 'x', 0); UPDATE t SET a = 2; UPDATE t SET n = 1; DELETE FROM t";
    let row = |a: i32, n: i32| json!({"a": a, "b": "x", "n": n});
    let full = Tracked::new(schema).await;
    full.sql(statements).await;
    let (first, second) = (r#"["x","1"]"#, r#"["x","2"]"#);
    assert_eq!(
        recorded(&full).await,
        [
            created("t", first, row(1, 0)),
            updated("t", second, row(1, 0), row(2, 0)).previously(first),
            updated("t", second, row(2, 0), row(2, 1)),
            deleted("t", second, row(2, 1)),
        ]
    );
    let keeping = keeping_identities(schema).await;
    keeping.sql(statements).await;
    let key = |a: i32| json!({"a": a, "b": "x"});
    assert_eq!(
        recorded(&keeping).await,
        [
            created("t", first, row(1, 0)),
            updated("t", second, key(1), row(2, 0)).previously(first).incomplete(),
            updated("t", second, key(2), row(2, 1)).incomplete(),
            deleted("t", second, key(2)).incomplete(),
        ]
    );
}

#[tokio::test]
async fn two_rows_that_swap_their_keys_are_two_updates() {
    let tracked =
        Tracked::new("CREATE TABLE t (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, a text)")
            .await;
    tracked.sql("INSERT INTO t VALUES (1, 'a'), (2, 'b')").await;
    tracked.sql("UPDATE t SET id = 3 - id").await;
    let row = |id: i32, a: &str| json!({"id": id, "a": a});
    assert_eq!(
        recorded(&tracked).await[2..],
        [
            updated("t", "2", row(1, "a"), row(2, "a")).previously("1"),
            updated("t", "1", row(2, "b"), row(1, "b")).previously("2"),
        ]
    );
}

/// Equal to the server, and yet another text.
#[tokio::test]
async fn a_key_that_only_looks_different_counts_as_changed() {
    let tracked = Tracked::new("CREATE TABLE t (id numeric PRIMARY KEY)").await;
    tracked.sql("INSERT INTO t VALUES (1.0); UPDATE t SET id = 1.00").await;
    assert_eq!(
        recorded(&tracked).await[1],
        updated("t", "1.00", json!({"id": 1.0}), json!({"id": 1.00})).previously("1.0")
    );
}

/// The stream names the columns of the replica identity as they were when a row was written. Where that is the primary
/// key, it is told whatever happens to the table later.
#[tokio::test]
async fn under_the_default_identity_a_key_is_that_of_the_time() {
    let tracked =
        keeping_identities("CREATE TABLE t (id int PRIMARY KEY, code int NOT NULL)").await;
    let transactions = [
        "INSERT INTO t VALUES (1, 7)",
        "UPDATE t SET id = 2; ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (code); UPDATE t SET code = 8",
        "ALTER TABLE t ALTER code TYPE text; UPDATE t SET code = 'nine'",
        "ALTER TABLE t RENAME code TO name; DELETE FROM t",
    ];
    commit_each(&tracked, &transactions).await;
    assert_eq!(
        recorded(&tracked).await,
        [
            created("t", "1", json!({"id": 1, "code": 7})),
            updated("t", "2", json!({"id": 1}), json!({"id": 2, "code": 7}))
                .previously("1")
                .incomplete(),
            updated("t", "8", json!({"code": 7}), json!({"id": 2, "code": 8}))
                .previously("7")
                .incomplete(),
            updated("t", "nine", json!({"code": "8"}), json!({"id": 2, "code": "nine"}))
                .previously("8")
                .incomplete(),
            deleted("t", "nine", json!({"name": "nine"})).incomplete(),
        ]
    );
}

/// Under FULL the stream does not name it. The catalog does, and only as it is now: so a key counts from where the worker
/// has read it. It reads it when it comes to the first change after.
#[tokio::test]
async fn under_full_a_key_that_is_changed_counts_from_where_it_was_read() {
    let tracked = Tracked::new("CREATE TABLE t (id int NOT NULL, code int NOT NULL)").await;
    let worker = tracked.run().await;
    let transactions = [
        "INSERT INTO t VALUES (1, 7)",
        "ALTER TABLE t ADD PRIMARY KEY (id); UPDATE t SET code = 8",
        "UPDATE t SET id = 2",
        "ALTER TABLE t DROP CONSTRAINT t_pkey; UPDATE t SET code = 9",
    ];
    for (transaction, count) in transactions.iter().zip(1..) {
        tracked.sql(transaction).await;
        tracked.wait_for_count(count).await;
    }
    worker.stop().await;
    let row = |id: i32, code: i32| json!({"id": id, "code": code});
    assert_eq!(
        recorded(&tracked).await,
        [
            created("t", None, row(1, 7)),
            updated("t", None, row(1, 7), row(1, 8)),
            updated("t", "2", row(1, 8), row(2, 8)).previously("1"),
            updated("t", None, row(2, 8), row(2, 9)),
        ]
    );
}
