//! What a stream is narrowed by.

use super::events::keys;
use super::live::Live;

const SCHEMA: &str = "CREATE TABLE todo (id int PRIMARY KEY, task text, done boolean); \
                      CREATE SCHEMA sales; CREATE TABLE sales.orders (id int PRIMARY KEY)";

#[tokio::test]
async fn each_filter_lets_its_changes_through_and_no_others() {
    let live = Live::new(SCHEMA).await;
    live.tracked
        .sql("BEGIN; SELECT pg_logical_emit_message(true, '_bemi', '{\"user_id\": 188, \"at\": \"a b&c\"}'); \
              INSERT INTO todo VALUES (1, 'Eat', false); COMMIT; \
              INSERT INTO todo VALUES (2, 'Sleep', false); \
              INSERT INTO sales.orders VALUES (3); \
              UPDATE todo SET done = true WHERE id = 2; \
              UPDATE todo SET id = 9 WHERE id = 1; \
              DELETE FROM sales.orders; \
              INSERT INTO todo VALUES (100, 'the end', false), (101, 'the end', false)")
        .await;
    live.tracked.wait_for_count(8).await;
    for (query, expected) in [
        ("?table=todo", &["1", "2", "2", "9", "100", "101"][..]),
        ("?table=sales.orders", &["3", "3"]),
        ("?table=sales.orders&table=todo&operation=delete", &["3"]),
        ("?operation=create&operation=DELETE", &["1", "2", "3", "3", "100", "101"]),
        ("?changed=done", &["2"]),
        ("?where=user_id%3D188", &["1"]),
        ("?where=at=a+b%26c", &["1"]),
        ("?context=%7B%22user_id%22%3A188%7D", &["1"]),
        ("?no-context=true", &["2", "3", "2", "9", "3", "100", "101"]),
        ("?table=todo&key=1", &["1", "9"]),
        ("?table=todo&key=9", &["9"]),
        ("?after=%7B%22task%22%3A%22the+end%22%7D", &["100", "101"]),
    ] {
        let mut events = live.events(&format!("{query}&cursor=begin")).await;
        let changes = events.changes(expected.len()).await;
        assert_eq!(keys(&changes), expected, "{query}");
    }
}

#[tokio::test]
async fn what_a_filter_holds_back_stays_held_back() {
    let live = Live::new(SCHEMA).await;
    let mut events = live.events("?table=todo&operation=create&where=user_id%3D1").await;
    live.tracked
        .sql("INSERT INTO todo VALUES (1); INSERT INTO sales.orders VALUES (1); UPDATE todo SET task = 'x'; \
              BEGIN; SELECT pg_logical_emit_message(true, '_bemi', '{\"user_id\": 1}'); \
              UPDATE todo SET task = 'y'; INSERT INTO todo VALUES (2); COMMIT")
        .await;
    let event = events.next().await.unwrap();
    assert_eq!(event.what(), ("CREATE", "2"));
}

#[tokio::test]
async fn what_is_no_filter_is_refused_and_said() {
    let live = Live::new(SCHEMA).await;
    for (query, why) in [
        ("?tabel=todo", "tabel"),
        ("?table=a.b.c", "table"),
        ("?operation=upsert", "UPSERT"),
        ("?operation=snapshot", "baseline"),
        ("?context=%7B", "context"),
        ("?key=1", "table"),
        ("?cursor=1", "23813016.2"),
        ("?cursor=-1.1", "23813016.2"),
        ("?cursor=begin&cursor=begin", "twice"),
        ("?since=yesterday", "instant"),
        ("?limit=5", "limit"),
        ("?order=newest", "order"),
        ("?table=%ff", "UTF-8"),
        ("?where=a%00%3Db", "UTF-8"),
    ] {
        let answer = live.get(&format!("/changes/stream{query}")).await;
        assert_eq!(answer.status, 400, "{query}: {answer:?}");
        assert!(answer.error().contains(why), "{query}: {answer:?}");
    }
}

/// Nothing in a filter is taken for SQL.
#[tokio::test]
async fn hostile_filters_are_texts() {
    let live = Live::new(SCHEMA).await;
    let mut events = live
        .events("?table=%22x%27%3B%20DROP%20TABLE%20changes%3B%20--%22&where=%27%29%3B%20DROP%20TABLE%20changes%3B%20--%3D%27")
        .await;
    live.tracked.sql("INSERT INTO todo VALUES (1)").await;
    live.tracked.wait_for_count(1).await;
    let mut line = String::new();
    // A place, or a sign of life.
    assert!(events.line(&mut line).await);
    assert!(!line.starts_with("event"), "{line}");
}
