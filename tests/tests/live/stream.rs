//! The stream: what is in it, in which order, and how it goes on.

use std::time::Duration;

use bemi_tests::eventually;
use serde_json::{Value, json};

use super::events::keys;
use super::live::Live;

const TODO: &str = "CREATE TABLE todo (id int PRIMARY KEY, task text, price numeric)";

#[tokio::test]
async fn changes_come_as_they_are_stored_each_as_its_row_of_changes() {
    let live = Live::new(TODO).await;
    let mut events = live.events("").await;
    live.tracked
        .sql(
            "BEGIN; SELECT pg_logical_emit_message(true, '_bemi', '{\"user_id\": 188}'); \
              INSERT INTO todo VALUES (1, E'line\\nbreak', 0.10000000000000000000000001); \
              UPDATE todo SET task = 'Eat'; COMMIT; DELETE FROM todo",
        )
        .await;
    let events = events.changes(3).await;
    let whats: Vec<_> = events.iter().map(super::events::Event::what).collect();
    assert_eq!(whats, [("CREATE", "1"), ("UPDATE", "1"), ("DELETE", "1")]);

    let rows = live.tracked.client;
    let rows = rows
        .query("SELECT to_jsonb(c) FROM changes AS c ORDER BY commit_position, sequence", &[])
        .await
        .unwrap();
    for (event, row) in events.iter().zip(&rows) {
        let mut row: Value = row.get(0);
        let place = format!("{}.{}", row["commit_position"], row["sequence"]);
        assert_eq!(event.id, place);
        let mut data = event.data.clone();
        for at in ["committed_at", "queued_at", "created_at"] {
            // The same instant, which JSON of the server spells with `+00:00`.
            let instant = |value: &Value| value.as_str().unwrap().replace("+00:00", "Z");
            assert_eq!(instant(&data[at]), instant(&row[at]));
            (data[at], row[at]) = (json!(0), json!(0));
        }
        assert_eq!(data, row);
    }
    assert_eq!(events[0].data["after"]["task"], "line\nbreak");
    assert_eq!(events[0].data["context"], json!({"user_id": 188}));
}

#[tokio::test]
async fn numbers_keep_their_digits() {
    let live = Live::new(TODO).await;
    let mut events = live.events("").await;
    live.tracked.sql("INSERT INTO todo VALUES (1, '', 0.10000000000000000000000001)").await;
    let mut text = String::new();
    while !text.contains("\n\n") {
        assert!(events.line(&mut text).await);
    }
    assert!(text.contains("0.10000000000000000000000001"), "{text}");
}

#[tokio::test]
async fn a_stream_begins_now_unless_it_is_told_where() {
    let live = Live::new(TODO).await;
    live.tracked.sql("INSERT INTO todo VALUES (1), (2)").await;
    live.tracked.wait_for_count(2).await;
    let mut now = live.events("").await;
    let mut all = live.events("?cursor=begin").await;
    live.tracked.sql("INSERT INTO todo VALUES (3)").await;
    let all = all.changes(3).await;
    assert_eq!(keys(&all), ["1", "2", "3"]);
    assert_eq!(keys(&now.changes(1).await), ["3"]);
    let mut behind_the_first = live.events(&format!("?cursor={}", all[0].id)).await;
    assert_eq!(keys(&behind_the_first.changes(2).await), ["2", "3"]);
}

#[tokio::test]
async fn two_subscribers_get_the_same_and_one_that_leaves_disturbs_nobody() {
    let live = Live::new(TODO).await;
    let (mut one, mut other) = (live.events("").await, live.events("").await);
    live.tracked.sql("INSERT INTO todo SELECT generate_series(1, 100)").await;
    let seen = one.changes(100).await;
    assert_eq!(seen, other.changes(100).await);
    drop(one);
    live.tracked.sql("INSERT INTO todo SELECT generate_series(101, 200)").await;
    assert_eq!(other.changes(100).await.len(), 100);
}

#[tokio::test]
async fn a_stream_in_which_nothing_happens_shows_signs_of_life() {
    let live = Live::new(TODO).await;
    let mut events = live.events("").await;
    let mut text = String::new();
    while !text.ends_with(":\n\n") {
        assert!(!text.contains("event") && events.line(&mut text).await, "{text}");
    }
}

/// Rows of a baseline stand at an earlier place than what was sent already, so they can never come.
#[tokio::test]
async fn rows_of_a_baseline_are_not_in_the_stream() {
    let mut live = Live::new(TODO).await;
    live.tracked.sql("INSERT INTO todo VALUES (1)").await;
    live.tracked.wait_for_count(1).await;
    let mut events = live.events("?cursor=begin").await;
    let backfill = live.tracked.worker(&["backfill", "todo", "--again"]);
    backfill.run_to_end().await.assert_code(0);
    live.tracked.sql("INSERT INTO todo VALUES (2)").await;
    assert_eq!(keys(&events.changes(2).await), ["1", "2"]);
    let snapshots: i64 =
        live.tracked.value("SELECT count(*) FROM changes WHERE operation = 'SNAPSHOT'").await;
    assert_eq!(snapshots, 1);
    assert!(live.worker.is_running());
}

/// A transaction is stored as a whole, so its changes come one behind the other, whatever is committed
/// between its first and its last.
#[tokio::test]
async fn transactions_come_whole_in_the_order_of_their_commits() {
    let live = Live::new(TODO).await;
    let mut events = live.events("").await;
    let other = live.tracked.database.connect().await.unwrap();
    live.tracked.sql("BEGIN; INSERT INTO todo VALUES (1)").await;
    other.batch_execute("BEGIN; INSERT INTO todo VALUES (10)").await.unwrap();
    live.tracked.sql("INSERT INTO todo VALUES (2)").await;
    other.batch_execute("INSERT INTO todo VALUES (11); COMMIT").await.unwrap();
    live.tracked.sql("INSERT INTO todo VALUES (3); COMMIT").await;
    assert_eq!(keys(&events.changes(5).await), ["10", "11", "1", "2", "3"]);
}

/// The server restarts, and every connection to it breaks; streams do not.
#[tokio::test]
async fn a_stream_outlives_its_connections_to_the_database() {
    let live = Live::new(TODO).await;
    let mut events = live.events("").await;
    live.tracked.sql("INSERT INTO todo VALUES (1)").await;
    assert_eq!(keys(&events.changes(1).await), ["1"]);
    live.tracked
        .sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
              WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
    live.tracked.sql("INSERT INTO todo VALUES (2)").await;
    assert_eq!(keys(&events.changes(1).await), ["2"]);
}

/// Otherwise a client that comes again would have everything looked through once more.
#[tokio::test]
async fn a_stream_that_is_for_little_tells_how_far_it_has_looked() {
    let live = Live::new(TODO).await;
    let mut events = live.events("?table=other").await;
    let begun = events.last_id.clone();
    live.tracked.sql("INSERT INTO todo SELECT generate_series(1, 10)").await;
    live.tracked.wait_for_count(10).await;
    let told = eventually(Duration::from_secs(60), "a new place", async || {
        let mut line = String::new();
        assert!(events.line(&mut line).await);
        line.strip_prefix("id: ").map(|id| id.trim().to_owned())
    })
    .await;
    assert_ne!(told, begun);
    let mut again = live.events_after("", &told).await;
    live.tracked.sql("INSERT INTO todo VALUES (11)").await;
    assert_eq!(keys(&again.changes(1).await), ["11"]);
}
