//! Who writes does not matter: what a subscription applies, and what a session writes that pretends to be one.

use bemi_tests::{STORED_WITHIN, TestDatabase, Tracked, eventually, shared_cluster};
use serde_json::{Value, json};

use super::expected::{created, deleted, recorded, updated};

#[tokio::test]
async fn rows_that_a_subscription_applies_are_recorded() {
    let publisher = TestDatabase::create(shared_cluster()).await.unwrap();
    let upstream = publisher.connect().await.unwrap();
    upstream
        .batch_execute(
            "CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t VALUES (1, 'copied')",
        )
        .await
        .unwrap();
    upstream.batch_execute("CREATE PUBLICATION upstream FOR TABLE t").await.unwrap();
    // Apart: in one cluster, a subscription that makes its slot by itself waits for itself.
    let slot = publisher.unique_name("upstream");
    upstream
        .batch_execute(&format!("SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')"))
        .await
        .unwrap();
    let tracked = Tracked::new("CREATE TABLE t (id int PRIMARY KEY, a text)").await;
    let port = shared_cluster().port();
    let connection =
        format!("host=127.0.0.1 port={port} user=postgres dbname={}", publisher.name());
    let subscription = tracked.database.unique_name("subscription");
    tracked
        .sql(&format!(
            "CREATE SUBSCRIPTION {subscription} CONNECTION '{connection}' PUBLICATION upstream \
             WITH (create_slot = false, slot_name = '{slot}', copy_data = false)"
        ))
        .await;
    upstream
        .batch_execute("INSERT INTO t VALUES (2, 'a'); UPDATE t SET a = 'b' WHERE id = 2; DELETE FROM t WHERE id = 2")
        .await
        .unwrap();
    let worker = tracked.run().await;
    eventually(STORED_WITHIN, "what was applied to be stored", async || {
        (tracked.count().await == 3).then_some(())
    })
    .await;
    worker.stop().await;
    let row = |a: &str| -> Value { json!({"id": 2, "a": a}) };
    assert_eq!(
        recorded(&tracked).await,
        [
            created("t", "2", row("a")),
            updated("t", "2", row("a"), row("b")),
            deleted("t", "2", row("b"))
        ]
    );
    // Dropping it takes its slot along.
    tracked.sql(&format!("DROP SUBSCRIPTION {subscription}")).await;
    drop(upstream);
    publisher.close().await.unwrap();
}

/// Audit triggers are off then. The WAL is not.
#[tokio::test]
async fn a_session_that_turns_triggers_off_is_recorded_all_the_same() {
    let tracked = Tracked::new(
        "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (a int REFERENCES a ON DELETE CASCADE); \
         INSERT INTO a VALUES (1); INSERT INTO b VALUES (1)",
    )
    .await;
    tracked
        .sql(
            "SET session_replication_role = replica; DELETE FROM a; RESET session_replication_role;
             ALTER TABLE b DISABLE TRIGGER ALL; INSERT INTO b VALUES (7); ALTER TABLE b ENABLE TRIGGER ALL",
        )
        .await;
    // The cascade is a trigger, too: it did not happen.
    assert_eq!(
        recorded(&tracked).await,
        [deleted("a", "1", json!({"id": 1})), created("b", None, json!({"a": 7}))]
    );
}

/// An origin of one's own is what other tools of replication write under.
#[tokio::test]
async fn a_session_with_an_origin_is_recorded() {
    let tracked = Tracked::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    let origin = tracked.database.unique_name("origin");
    tracked
        .sql(&format!(
            "SELECT pg_replication_origin_create('{origin}'); \
             SELECT pg_replication_origin_session_setup('{origin}'); INSERT INTO t VALUES (1)"
        ))
        .await;
    tracked.sql("SELECT pg_replication_origin_session_reset()").await;
    tracked.sql(&format!("SELECT pg_replication_origin_drop('{origin}')")).await;
    assert_eq!(recorded(&tracked).await, [created("t", "1", json!({"id": 1}))]);
}
