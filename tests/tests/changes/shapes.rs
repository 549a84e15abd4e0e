//! Tables that change while they are recorded: their names, their columns, their storage.

use bemi_tests::Tracked;
use serde_json::json;

use super::expected::{
    commit_each, created, deleted, keeping_identities, recorded, server_version, updated,
};

#[tokio::test]
async fn a_table_that_is_renamed_or_moved_is_recorded_under_the_name_of_the_time() {
    let tracked = Tracked::new("CREATE TABLE t (id int PRIMARY KEY); CREATE SCHEMA s").await;
    let worker = tracked.run().await;
    tracked.sql("INSERT INTO t VALUES (1)").await;
    tracked.wait_for_count(1).await;
    let transactions = [
        "INSERT INTO t VALUES (2); ALTER TABLE t RENAME TO u; INSERT INTO u VALUES (3)",
        "INSERT INTO u VALUES (4)",
        "ALTER TABLE u SET SCHEMA s; INSERT INTO s.u VALUES (5)",
    ];
    commit_each(&tracked, &transactions).await;
    tracked.wait_for_count(5).await;
    worker.stop().await;
    tracked.sql("INSERT INTO s.u VALUES (6)").await;
    let row = |table: &str, id: i32| created(table, id.to_string().as_str(), json!({"id": id}));
    assert_eq!(
        recorded(&tracked).await,
        [row("t", 1), row("t", 2), row("u", 3), row("u", 4), row("s.u", 5), row("s.u", 6)]
    );
}

/// Before 16, the server does not say so until the table itself is changed.
#[tokio::test]
async fn a_schema_that_is_renamed_has_its_new_name_at_once_from_16_on() {
    let tracked = Tracked::new("CREATE SCHEMA s; CREATE TABLE s.t (id int PRIMARY KEY)").await;
    let transactions = [
        "INSERT INTO s.t VALUES (1)",
        "ALTER SCHEMA s RENAME TO r",
        "INSERT INTO r.t VALUES (2)",
        "ALTER TABLE r.t ADD a int",
        "INSERT INTO r.t VALUES (3)",
    ];
    commit_each(&tracked, &transactions).await;
    let at_once = server_version(&tracked).await >= 160_000;
    assert_eq!(
        recorded(&tracked).await,
        [
            created("s.t", "1", json!({"id": 1})),
            created(if at_once { "r.t" } else { "s.t" }, "2", json!({"id": 2})),
            created("r.t", "3", json!({"id": 3, "a": null})),
        ]
    );
}

#[tokio::test]
async fn another_table_that_takes_the_name_is_another_table() {
    let tracked = Tracked::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    let worker = tracked.run().await;
    tracked.sql("INSERT INTO t VALUES (1)").await;
    tracked.wait_for_count(1).await;
    let transactions = [
        "DROP TABLE t; CREATE TABLE t (code text PRIMARY KEY, n int); INSERT INTO t VALUES ('a', 1)",
        "ALTER TABLE t RENAME TO old; CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (2); \
         INSERT INTO old VALUES ('b', 2)",
    ];
    commit_each(&tracked, &transactions).await;
    tracked.wait_for_count(4).await;
    worker.stop().await;
    assert_eq!(
        recorded(&tracked).await,
        [
            created("t", "1", json!({"id": 1})),
            created("t", "a", json!({"code": "a", "n": 1})),
            created("t", "2", json!({"id": 2})),
            created("old", "b", json!({"code": "b", "n": 2})),
        ]
    );
}

#[tokio::test]
async fn columns_that_come_and_go_are_as_they_were_at_the_time() {
    let tracked = Tracked::new("CREATE TABLE t (id int PRIMARY KEY, a text)").await;
    let transactions = [
        "INSERT INTO t VALUES (1, 'x')",
        "ALTER TABLE t ADD b int",
        "INSERT INTO t VALUES (2, 'x', 5); ALTER TABLE t RENAME a TO c; UPDATE t SET b = 6 WHERE id = 2",
        "ALTER TABLE t DROP c; INSERT INTO t VALUES (3, 7); ALTER TABLE t ADD c bool; DELETE FROM t WHERE id = 3",
    ];
    commit_each(&tracked, &transactions).await;
    assert_eq!(
        recorded(&tracked).await,
        [
            created("t", "1", json!({"id": 1, "a": "x"})),
            created("t", "2", json!({"id": 2, "a": "x", "b": 5})),
            updated(
                "t",
                "2",
                json!({"id": 2, "c": "x", "b": 5}),
                json!({"id": 2, "c": "x", "b": 6})
            ),
            created("t", "3", json!({"id": 3, "b": 7})),
            deleted("t", "3", json!({"id": 3, "b": 7, "c": null})),
        ]
    );
}

/// A new column fills the rows that are there, and no change tells so: it is in their next one's `before`.
#[tokio::test]
async fn a_default_of_a_new_column_reaches_old_rows_without_a_change() {
    let tracked = Tracked::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    let transactions = [
        "INSERT INTO t VALUES (1)",
        "ALTER TABLE t ADD fixed int DEFAULT 7",
        // It could be another one for each row: the table is written anew.
        "INSERT INTO t VALUES (2); ALTER TABLE t ADD volatile int DEFAULT (random() * 0)::int + 8; \
         INSERT INTO t VALUES (3)",
        "UPDATE t SET fixed = 9 WHERE id = 1",
    ];
    commit_each(&tracked, &transactions).await;
    let full = |id: i32, fixed: i32| json!({"id": id, "fixed": fixed, "volatile": 8});
    assert_eq!(
        recorded(&tracked).await,
        [
            created("t", "1", json!({"id": 1})),
            created("t", "2", json!({"id": 2, "fixed": 7})),
            created("t", "3", full(3, 7)),
            updated("t", "1", full(1, 7), full(1, 9)),
        ]
    );
}

#[tokio::test]
async fn a_column_of_another_type_has_the_values_of_that_type_from_there() {
    let tracked = Tracked::new("CREATE TABLE t (id int PRIMARY KEY, a int, j text)").await;
    let transactions = [
        "INSERT INTO t VALUES (1, 5, '{\"k\": 1}')",
        "UPDATE t SET a = 6; \
         ALTER TABLE t ALTER a TYPE text USING 'n' || a, ALTER j TYPE jsonb USING j::jsonb; \
         UPDATE t SET a = 'x'",
    ];
    commit_each(&tracked, &transactions).await;
    let text = "{\"k\": 1}";
    let parsed = json!({"k": 1});
    assert_eq!(
        recorded(&tracked).await,
        [
            created("t", "1", json!({"id": 1, "a": 5, "j": text})),
            updated(
                "t",
                "1",
                json!({"id": 1, "a": 5, "j": text}),
                json!({"id": 1, "a": 6, "j": text})
            ),
            updated(
                "t",
                "1",
                json!({"id": 1, "a": "n6", "j": parsed}),
                json!({"id": 1, "a": "x", "j": parsed})
            ),
        ]
    );
}

#[tokio::test]
async fn rows_that_are_only_moved_about_on_the_disk_are_no_changes() {
    let tracked = keeping_identities("CREATE TABLE t (id int PRIMARY KEY, a text)").await;
    tracked
        .sql("INSERT INTO t SELECT g, 'a' FROM generate_series(1, 3) g; DELETE FROM t WHERE id = 3")
        .await;
    let statements = [
        "CLUSTER t USING t_pkey",
        "VACUUM FULL t",
        "VACUUM (FREEZE, ANALYZE) t",
        "REINDEX TABLE t",
        "REINDEX TABLE CONCURRENTLY t",
        "ALTER TABLE t SET (fillfactor = 50)",
        "ALTER TABLE t ALTER a TYPE varchar(10)",
        "ALTER TABLE t ALTER a TYPE text COLLATE \"C\"",
        "ALTER TABLE t ADD CHECK (id > 0)",
        "CREATE INDEX CONCURRENTLY ON t (a)",
        "ANALYZE t",
        "SELECT * FROM t FOR UPDATE",
    ];
    commit_each(&tracked, &statements).await;
    tracked.sql("UPDATE t SET a = 'b' WHERE id = 1").await;
    let row = |id: i32, a: &str| json!({"id": id, "a": a});
    assert_eq!(
        recorded(&tracked).await,
        [
            created("t", "1", row(1, "a")),
            created("t", "2", row(2, "a")),
            created("t", "3", row(3, "a")),
            deleted("t", "3", json!({"id": 3})).incomplete(),
            updated("t", "1", json!({"id": 1}), row(1, "b")).incomplete(),
        ]
    );
}

#[tokio::test]
async fn parents_and_children_are_tables_of_their_own() {
    let tracked = Tracked::new(
        "CREATE TABLE parent (id int PRIMARY KEY, a text); \
         CREATE TABLE child (b int, PRIMARY KEY (id)) INHERITS (parent)",
    )
    .await;
    tracked
        .sql("INSERT INTO parent VALUES (1, 'a'); INSERT INTO child VALUES (2, 'a', 7); UPDATE parent SET a = 'b'; DELETE FROM parent")
        .await;
    let (parent, child) =
        (|a: &str| json!({"id": 1, "a": a}), |a: &str| json!({"id": 2, "a": a, "b": 7}));
    assert_eq!(
        recorded(&tracked).await,
        [
            created("parent", "1", parent("a")),
            created("child", "2", child("a")),
            updated("parent", "1", parent("a"), parent("b")),
            updated("child", "2", child("a"), child("b")),
            deleted("parent", "1", parent("b")),
            deleted("child", "2", child("b")),
        ]
    );
}
