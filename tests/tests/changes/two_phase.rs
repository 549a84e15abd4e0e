//! Prepared transactions: they are recorded when they are committed, as if all of it had happened then.

use bemi_tests::Tracked;
use serde_json::{Value, json};

use super::expected::{
    Change, created, emit, own_cluster, recorded, transactions, truncated, updated,
};

/// On a cluster of its own: a slot that somebody makes meanwhile would wait for the transactions.
const SETTINGS: [(&str, &str); 1] = [("max_prepared_transactions", "10")];

fn row(id: i32) -> Change {
    created("t", id.to_string().as_str(), json!({"id": id}))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_prepared_is_recorded_at_commit_prepared_with_its_context() {
    let cluster = own_cluster(&SETTINGS);
    let tracked = Tracked::on(&cluster, "CREATE TABLE t (id int PRIMARY KEY)").await;
    let context: Value = json!({"user": 1});
    let worker = tracked.run().await;
    tracked
        .sql(&format!(
            "BEGIN; {} INSERT INTO t VALUES (1); SAVEPOINT s; INSERT INTO t VALUES (2); ROLLBACK TO s; \
             INSERT INTO t VALUES (3); PREPARE TRANSACTION 'kept'",
            emit(&context)
        ))
        .await;
    tracked.sql("BEGIN; INSERT INTO t VALUES (4); PREPARE TRANSACTION 'given up'").await;
    tracked.sql("INSERT INTO t VALUES (5)").await;
    tracked.wait_for_count(1).await;
    // The worker that sees it committed is not the one that saw it prepared.
    worker.stop().await;
    assert_eq!(recorded(&tracked).await, [row(5)]);
    tracked.sql("ROLLBACK PREPARED 'given up'").await;
    tracked.sql("INSERT INTO t VALUES (6)").await;
    tracked.sql("COMMIT PREPARED 'kept'").await;
    assert_eq!(
        transactions(&tracked).await,
        [vec![row(5)], vec![row(6)], vec![row(1).by(context.clone()), row(3).by(context)]]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_shape_of_a_table_and_its_truncation_can_be_prepared_too() {
    let cluster = own_cluster(&SETTINGS);
    let tracked = Tracked::on(&cluster, "CREATE TABLE t (id int PRIMARY KEY)").await;
    tracked.sql("INSERT INTO t VALUES (1)").await;
    tracked
        .sql(
            "BEGIN; UPDATE t SET id = 2; ALTER TABLE t ADD a int DEFAULT 7; INSERT INTO t VALUES (3); \
             TRUNCATE t; INSERT INTO t VALUES (4); PREPARE TRANSACTION 'shape'",
        )
        .await;
    assert_eq!(recorded(&tracked).await, [row(1)]);
    tracked.sql("COMMIT PREPARED 'shape'").await;
    assert_eq!(
        recorded(&tracked).await[1..],
        [
            updated("t", "2", json!({"id": 1}), json!({"id": 2})).previously("1"),
            created("t", "3", json!({"id": 3, "a": 7})),
            truncated("t"),
            created("t", "4", json!({"id": 4, "a": 7})),
        ]
    );
}
