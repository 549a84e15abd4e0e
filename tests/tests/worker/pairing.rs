//! Which context governs which change.

use bemi_tests::Tracked;
use serde_json::{Value, json};

const SCHEMA: &str = "CREATE TABLE t (id bigint PRIMARY KEY, a text)";

fn emit(json: &str) -> String {
    format!("SELECT pg_logical_emit_message(true, '_bemi', $json${json}$json$);")
}

async fn contexts(tracked: &Tracked) -> Vec<Value> {
    tracked.store().await;
    tracked.changes().await.into_iter().map(|change| change.context).collect()
}

#[tokio::test]
async fn a_message_governs_what_follows_it_in_its_transaction() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked.sql("BEGIN; INSERT INTO t VALUES (1);").await;
    tracked.sql(&emit(r#"{"user": 1}"#)).await;
    tracked.sql("INSERT INTO t VALUES (2); INSERT INTO t VALUES (3);").await;
    tracked.sql(&emit(r#"{"user": 2}"#)).await;
    tracked.sql("UPDATE t SET a = 'x' WHERE id = 1; COMMIT").await;
    tracked.sql("DELETE FROM t WHERE id = 2").await;
    assert_eq!(
        contexts(&tracked).await,
        [json!({}), json!({"user": 1}), json!({"user": 1}), json!({"user": 2}), json!({})]
    );
}

#[tokio::test]
async fn transactions_that_run_at_once_keep_their_own() {
    let tracked = Tracked::new(SCHEMA).await;
    let other = tracked.database.connect().await.unwrap();
    tracked.sql(&format!("BEGIN; {}", emit(r#"{"user": 1}"#))).await;
    other.batch_execute(&format!("BEGIN; {}", emit(r#"{"user": 2}"#))).await.unwrap();
    for id in 0..10 {
        tracked.sql(&format!("INSERT INTO t VALUES ({id}, '1')")).await;
        other.batch_execute(&format!("INSERT INTO t VALUES (1{id}, '2')")).await.unwrap();
    }
    other.batch_execute("COMMIT").await.unwrap();
    tracked.sql("COMMIT").await;
    tracked.store().await;
    for change in tracked.changes().await {
        assert_eq!(change.context["user"].to_string(), change.after["a"].as_str().unwrap());
    }
    assert_eq!(tracked.count().await, 20);
}
