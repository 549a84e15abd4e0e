//! Leaves of a partitioned table whose replica identity is altered. The stream tells what each had.

use bemi_tests::{Tracked, shared_cluster};
use serde_json::{Value, json};

const SCHEMA: &str = "\
    CREATE TABLE t (id int PRIMARY KEY, a text) PARTITION BY LIST (id); \
    CREATE TABLE one PARTITION OF t FOR VALUES IN (1); \
    CREATE TABLE two PARTITION OF t FOR VALUES IN (2); \
    INSERT INTO t VALUES (1, 'a'), (2, 'a');";

async fn tracked(identities: &str) -> Tracked {
    let tracked = Tracked::untracked(shared_cluster(), &format!("{SCHEMA} {identities}")).await;
    tracked.setup(&["--all-tables", "--replica-identity", "keep"]).await;
    tracked
}

async fn befores(tracked: &Tracked) -> Vec<(Value, bool)> {
    let changes = tracked.changes().await;
    changes.into_iter().map(|change| (change.before, change.before_complete)).collect()
}

#[tokio::test]
async fn a_row_before_is_worth_what_its_leaf_had_at_the_time() {
    let full = "ALTER TABLE t REPLICA IDENTITY FULL; ALTER TABLE one REPLICA IDENTITY FULL";
    let tracked = tracked(full).await;
    tracked.sql("UPDATE t SET a = 'b' WHERE id = 1").await;
    tracked.sql("ALTER TABLE one REPLICA IDENTITY DEFAULT").await;
    tracked.sql("UPDATE t SET a = NULL WHERE id = 1; DELETE FROM t WHERE id = 1").await;
    tracked.store().await;
    assert_eq!(
        befores(&tracked).await,
        [(json!({"id": 1, "a": "a"}), true), (json!({"id": 1}), false), (json!({"id": 1}), false)]
    );
}

#[tokio::test]
async fn a_leaf_that_becomes_full_is_so_from_there_on() {
    let tracked = tracked("ALTER TABLE t REPLICA IDENTITY FULL").await;
    tracked.sql("UPDATE t SET a = 'b' WHERE id = 1").await;
    tracked.sql("ALTER TABLE one REPLICA IDENTITY FULL").await;
    tracked.sql("UPDATE t SET a = 'c' WHERE id = 1").await;
    // Nobody sends which leaf a change is of: with another one, only values count.
    tracked.sql("DELETE FROM t WHERE id = 2; DELETE FROM t WHERE id = 1").await;
    tracked.store().await;
    assert_eq!(
        befores(&tracked).await,
        [
            (json!({"id": 1}), false),
            (json!({"id": 1, "a": "b"}), true),
            (json!({"id": 2}), false),
            (json!({"id": 1, "a": "c"}), false),
        ]
    );
}

#[tokio::test]
async fn a_leaf_that_is_dropped_while_the_worker_is_behind_was_what_it_was() {
    let tracked = tracked("ALTER TABLE one REPLICA IDENTITY FULL").await;
    tracked.sql("UPDATE t SET a = 'b' WHERE id = 1").await;
    tracked.sql("DROP TABLE one").await;
    tracked.store().await;
    assert_eq!(befores(&tracked).await, [(json!({"id": 1, "a": "a"}), true)]);
}
