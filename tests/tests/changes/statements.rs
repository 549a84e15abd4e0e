//! Statements that write: each row that they touch is one change, in the order in which they touch it.

use std::pin::pin;

use bemi_tests::Tracked;
use bytes::Bytes;
use futures_util::{SinkExt as _, TryStreamExt as _};
use serde_json::{Value, json};

use super::expected::{created, deleted, emit, recorded, server_version, truncated, updated};

const SCHEMA: &str = "CREATE TABLE t (id int PRIMARY KEY, a text)";

fn row(id: i32, a: &str) -> Value {
    json!({"id": id, "a": a})
}

async fn copy_in(tracked: &Tracked, statement: &str, data: impl Into<Bytes>) {
    let mut copy = pin!(tracked.client.copy_in(statement).await.unwrap());
    copy.send(data.into()).await.unwrap();
    copy.finish().await.unwrap();
}

#[tokio::test]
async fn an_insert_of_several_rows_is_as_many_creates() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked.sql("INSERT INTO t VALUES (2, 'b'), (1, 'a'), (3, 'c')").await;
    tracked.sql("INSERT INTO t SELECT g, 'g' FROM generate_series(5, 4, -1) g").await;
    assert_eq!(
        recorded(&tracked).await,
        [
            created("t", "2", row(2, "b")),
            created("t", "1", row(1, "a")),
            created("t", "3", row(3, "c")),
            created("t", "5", row(5, "g")),
            created("t", "4", row(4, "g")),
        ]
    );
}

#[tokio::test]
async fn copy_is_a_create_for_each_row_in_every_format() {
    let tracked = Tracked::new(SCHEMA).await;
    copy_in(&tracked, "COPY t FROM STDIN", "1\ta\n2\t\\N\n3\tc\\nd\n").await;
    copy_in(&tracked, "COPY t FROM STDIN (FORMAT csv)", "4,\"x,\"\"y\"\n").await;
    let binary = tracked.client.copy_out("COPY t TO STDOUT (FORMAT binary)").await.unwrap();
    let binary: Vec<u8> = binary.try_collect::<Vec<Bytes>>().await.unwrap().concat();
    tracked.sql("TRUNCATE t").await;
    tracked.sql(&format!("BEGIN; {}", emit(&json!({"job": "restore"})))).await;
    copy_in(&tracked, "COPY t FROM STDIN (FORMAT binary)", binary).await;
    tracked.sql("COMMIT").await;
    let rows = [
        created("t", "1", row(1, "a")),
        created("t", "2", json!({"id": 2, "a": null})),
        created("t", "3", row(3, "c\nd")),
        created("t", "4", row(4, "x,\"y")),
    ];
    let job = json!({"job": "restore"});
    let again = rows.clone().map(|row| row.by(job.clone()));
    assert_eq!(recorded(&tracked).await, [&rows[..], &[truncated("t")], &again].concat());
}

/// Frozen rows are not marked as written by a transaction; the WAL has them all the same.
#[tokio::test]
async fn copy_freeze_is_recorded_too() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked.sql("BEGIN; TRUNCATE t").await;
    copy_in(&tracked, "COPY t FROM STDIN (FREEZE)", "1\ta\n2\tb\n").await;
    tracked.sql("COMMIT; BEGIN; CREATE TABLE fresh (id int PRIMARY KEY)").await;
    copy_in(&tracked, "COPY fresh FROM STDIN (FREEZE)", "1\n").await;
    tracked.sql("COMMIT").await;
    assert_eq!(
        recorded(&tracked).await,
        [
            truncated("t"),
            created("t", "1", row(1, "a")),
            created("t", "2", row(2, "b")),
            created("fresh", "1", json!({"id": 1})),
        ]
    );
}

#[tokio::test]
async fn rows_that_copy_leaves_out_are_not_there() {
    let tracked = Tracked::new(SCHEMA).await;
    copy_in(&tracked, "COPY t FROM STDIN WHERE id > 1", "1\ta\n2\tb\n").await;
    let mut expected = vec![created("t", "2", row(2, "b"))];
    // ON_ERROR came with 17.
    if server_version(&tracked).await >= 170_000 {
        copy_in(&tracked, "COPY t FROM STDIN (ON_ERROR ignore)", "x\ta\n3\tc\n").await;
        expected.push(created("t", "3", row(3, "c")));
    }
    assert_eq!(recorded(&tracked).await, expected);
}

#[tokio::test]
async fn an_upsert_is_what_it_does_to_each_row() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked
        .sql(
            "INSERT INTO t VALUES (1, 'a');
             INSERT INTO t VALUES (1, 'x'), (2, 'b') ON CONFLICT (id) DO UPDATE SET a = excluded.a;
             INSERT INTO t VALUES (1, 'y'), (3, 'c') ON CONFLICT DO NOTHING;
             INSERT INTO t VALUES (1, 'z') ON CONFLICT (id) DO UPDATE SET a = excluded.a WHERE t.id > 1;
             INSERT INTO t VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET a = t.a",
        )
        .await;
    assert_eq!(
        recorded(&tracked).await,
        [
            created("t", "1", row(1, "a")),
            updated("t", "1", row(1, "a"), row(1, "x")),
            created("t", "2", row(2, "b")),
            created("t", "3", row(3, "c")),
            // It changes nothing, and was an UPDATE.
            updated("t", "1", row(1, "x"), row(1, "x")),
        ]
    );
}

#[tokio::test]
async fn an_update_that_changes_nothing_is_an_update() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked
        .sql("INSERT INTO t VALUES (1, 'a'); UPDATE t SET a = a; UPDATE t SET a = 'x' WHERE false")
        .await;
    assert_eq!(
        recorded(&tracked).await,
        [created("t", "1", row(1, "a")), updated("t", "1", row(1, "a"), row(1, "a"))]
    );
}

#[tokio::test]
async fn parts_of_one_statement_that_write_are_all_recorded() {
    let tracked = Tracked::new(
        "CREATE TABLE t (id int PRIMARY KEY, a text); CREATE TABLE gone (id int PRIMARY KEY, a text)",
    )
    .await;
    tracked.sql("INSERT INTO t VALUES (1, 'a'), (2, 'b')").await;
    tracked
        .sql("WITH moved AS (DELETE FROM t RETURNING *) INSERT INTO gone SELECT * FROM moved")
        .await;
    tracked
        .sql("UPDATE gone SET a = v.a FROM (VALUES (1, 'x')) v (id, a) WHERE gone.id = v.id")
        .await;
    tracked.sql("DELETE FROM gone USING (VALUES (2)) v (id) WHERE gone.id = v.id").await;
    assert_eq!(
        recorded(&tracked).await[2..],
        [
            deleted("t", "1", row(1, "a")),
            created("gone", "1", row(1, "a")),
            deleted("t", "2", row(2, "b")),
            created("gone", "2", row(2, "b")),
            updated("gone", "1", row(1, "a"), row(1, "x")),
            deleted("gone", "2", row(2, "b")),
        ]
    );
}

#[tokio::test]
async fn merge_is_what_it_does_to_each_row() {
    let tracked = Tracked::new(SCHEMA).await;
    let version = server_version(&tracked).await;
    if version < 150_000 {
        eprintln!("left out: MERGE came with 15");
        return;
    }
    tracked.sql("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd')").await;
    tracked
        .sql(
            "MERGE INTO t USING (VALUES (1, 'x'), (2, NULL), (3, 'skip'), (5, 'e'), (6, 'skip')) s (id, a) \
                 ON t.id = s.id \
             WHEN MATCHED AND s.a = 'skip' THEN DO NOTHING \
             WHEN MATCHED AND s.a IS NULL THEN DELETE \
             WHEN MATCHED THEN UPDATE SET a = s.a \
             WHEN NOT MATCHED AND s.a = 'skip' THEN DO NOTHING \
             WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.a)",
        )
        .await;
    let mut expected = vec![
        updated("t", "1", row(1, "a"), row(1, "x")),
        deleted("t", "2", row(2, "b")),
        created("t", "5", row(5, "e")),
    ];
    // RETURNING, and rows that only the target has, came with 17.
    if version >= 170_000 {
        let actions: Vec<String> = tracked
            .client
            .query(
                "MERGE INTO t USING (VALUES (1, 'y')) s (id, a) ON t.id = s.id \
                 WHEN MATCHED THEN UPDATE SET a = s.a \
                 WHEN NOT MATCHED BY SOURCE AND t.id = 5 THEN DELETE \
                 RETURNING merge_action()",
                &[],
            )
            .await
            .unwrap()
            .iter()
            .map(|row| row.get(0))
            .collect();
        assert_eq!(actions, ["UPDATE", "DELETE"]);
        expected.push(updated("t", "1", row(1, "x"), row(1, "y")));
        expected.push(deleted("t", "5", row(5, "e")));
    }
    let mut changes = recorded(&tracked).await.split_off(4);
    // The order of rows within one MERGE is that of its join: any will do.
    let name = |change: &super::expected::Change| format!("{change:?}");
    changes[..3].sort_by_key(name);
    expected[..3].sort_by_key(name);
    assert_eq!(changes, expected);
}
