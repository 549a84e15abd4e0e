//! Which context governs which change.

use bemi_tests::Tracked;
use std::pin::pin;

use bytes::Bytes;
use futures_util::SinkExt as _;
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
async fn a_message_of_a_savepoint_that_was_rolled_back_never_was() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked.sql("BEGIN;").await;
    tracked.sql(&emit(r#"{"user": 1}"#)).await;
    tracked.sql("INSERT INTO t VALUES (1); SAVEPOINT s;").await;
    tracked.sql(&emit(r#"{"user": 2}"#)).await;
    tracked.sql("INSERT INTO t VALUES (2); ROLLBACK TO s; INSERT INTO t VALUES (3); COMMIT").await;
    assert_eq!(contexts(&tracked).await, [json!({"user": 1}), json!({"user": 1})]);
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

#[tokio::test]
async fn rows_of_one_copy_share_their_position_and_are_all_stored() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked.sql("BEGIN;").await;
    tracked.sql(&emit(r#"{"job": "import"}"#)).await;
    let rows: String = (1..=1000).map(|id| format!("{id}\ta\n")).collect();
    let mut copy = pin!(tracked.client.copy_in("COPY t FROM STDIN").await.unwrap());
    copy.send(Bytes::from(rows)).await.unwrap();
    copy.finish().await.unwrap();
    tracked.sql("COMMIT").await;
    let contexts = contexts(&tracked).await;
    assert_eq!(contexts.len(), 1000);
    assert!(contexts.iter().all(|context| *context == json!({"job": "import"})));
    let positions: i64 = tracked.value("SELECT count(DISTINCT position) FROM changes").await;
    assert!(positions < 1000, "else this proves nothing");
    assert_eq!(tracked.value::<i64>("SELECT count(DISTINCT id) FROM changes").await, 1000);
}

#[tokio::test]
async fn garbage_in_the_wal_never_stops_the_worker() {
    let tracked = Tracked::new(SCHEMA).await;
    let long = "x".repeat(100_000);
    let garbage = [
        "hello",
        "",
        "{",
        "[1]",
        "null",
        r#""text""#,
        r#"{"a": "\u0000"}"#,
        r#"{"a": "\ud800"}"#,
        r#"{"a": 1e400000}"#,
        &long,
    ];
    for (id, content) in garbage.iter().enumerate() {
        tracked.sql(&format!("BEGIN; {} INSERT INTO t VALUES ({id}); COMMIT", emit(content))).await;
    }
    // Bytes that are no text at all; no transaction; somebody else's prefix; a heartbeat.
    tracked
        .sql(
            "BEGIN; SELECT pg_logical_emit_message(true, '_bemi', '\\xff00fe'::bytea); \
             INSERT INTO t VALUES (100); COMMIT; \
             SELECT pg_logical_emit_message(false, '_bemi', '{\"user\": 1}'); \
             SELECT pg_logical_emit_message(true, 'other', 'x'); \
             SELECT pg_logical_emit_message(true, '_bemi_heartbeat', ''); \
             INSERT INTO t VALUES (101)",
        )
        .await;
    let contexts = contexts(&tracked).await;
    let raw = |context: &Value| context["_bemi"]["raw"].as_str().map(str::to_owned);
    assert_eq!(raw(&contexts[0]).as_deref(), Some("hello"));
    assert_eq!(raw(&contexts[1]).as_deref(), Some(""));
    assert_eq!(raw(&contexts[2]).as_deref(), Some("{"));
    assert_eq!(contexts[3..6], [json!([1]), json!({}), json!("text")]);
    assert_eq!(raw(&contexts[6]).as_deref(), Some(r#"{"a": "\u0000"}"#));
    assert_eq!(raw(&contexts[7]).as_deref(), Some(r#"{"a": "\ud800"}"#));
    assert_eq!(raw(&contexts[8]).as_deref(), Some(r#"{"a": 1e400000}"#));
    assert_eq!(raw(&contexts[9]).unwrap().len(), 4096);
    assert!(raw(&contexts[10]).is_some());
    assert_eq!(contexts[11], json!({}), "a message without transaction governs nothing");
    assert_eq!(contexts.len(), 12);
}
