//! `tail`: changes as they are stored, none missed and none twice.

use std::time::Duration;

use bemi_tests::{RunningWorker, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::shop::{Shop, TODO, lines, what};

const SEEN_WITHIN: Duration = Duration::from_secs(60);

/// A tail that follows already.
async fn tail(shop: &Shop, arguments: &[&str]) -> RunningWorker {
    let arguments = [&["tail", "--ndjson"], arguments].concat();
    let url = format!("{}?application_name=the_tail", shop.tracked.database.url());
    let mut tail = shop.tracked.worker(&arguments).env("DATABASE_URL", url).spawn();
    tail.wait_for_log("following").await;
    tail
}

/// What it has told, once that is so much.
async fn told(tail: &RunningWorker, count: usize) -> Vec<Value> {
    eventually(SEEN_WITHIN, &format!("{count} changes told"), async || {
        let text = tail.stdout();
        (text.lines().count() >= count).then(|| lines(&text))
    })
    .await
}

#[tokio::test]
async fn it_begins_with_what_is_new_and_tells_it_in_the_order_of_commits() {
    let shop = Shop::new(TODO).await;
    shop.sql("INSERT INTO todo VALUES (1, 'a')").await;
    assert_eq!(shop.told(&["changes"]).await, ["CREATE 1"]);
    let tail = tail(&shop, &[]).await;
    shop.sql("INSERT INTO todo VALUES (2, 'b')").await;
    shop.sql("UPDATE todo SET task = 'c' WHERE id = 1").await;
    shop.sql("DELETE FROM todo WHERE id = 2").await;
    assert_eq!(what(&told(&tail, 3).await), ["CREATE 2", "UPDATE 1", "DELETE 2"]);
    assert_eq!(tail.stop().await.stdout.lines().count(), 3);
}

#[tokio::test]
async fn it_goes_on_behind_a_cursor_or_a_point() {
    let shop = Shop::new(TODO).await;
    for n in 1..=4 {
        shop.sql(&format!("INSERT INTO todo VALUES ({n}, 'a')")).await;
    }
    let all = shop.json(&["changes", "--order", "oldest"]).await;
    let cursor = format!("{}.{}", all[1]["commit_position"], all[1]["sequence"]);
    let place = format!("@tx:{}", all[1]["transaction_id"]);
    for since in [&cursor, &place] {
        let tail = tail(&shop, &["--since", since]).await;
        assert_eq!(told(&tail, 2).await, all[2..], "{since}");
        tail.stop().await;
    }
    let tail = tail(&shop, &["--since", "-1h"]).await;
    assert_eq!(told(&tail, 4).await, all);
    tail.stop().await;
}

#[tokio::test]
async fn only_what_the_filter_finds_is_told() {
    let shop = Shop::new(&format!("{TODO}; CREATE TABLE note (id int PRIMARY KEY)")).await;
    let tail =
        tail(&shop, &["--table", "todo", "--where", "user_id=7", "--operation", "create"]).await;
    shop.with_context(r#"{"user_id": 7}"#, "INSERT INTO note VALUES (1)").await;
    shop.with_context(r#"{"user_id": 8}"#, "INSERT INTO todo VALUES (1, 'a')").await;
    shop.with_context(r#"{"user_id": 7}"#, "UPDATE todo SET task = 'b'").await;
    shop.with_context(r#"{"user_id": 7}"#, "INSERT INTO todo VALUES (2, 'a')").await;
    assert_eq!(what(&told(&tail, 1).await), ["CREATE 2"]);
    tail.stop().await;
}

#[tokio::test]
async fn a_connection_that_breaks_costs_nothing() {
    let shop = Shop::new(TODO).await;
    let mut tail = tail(&shop, &[]).await;
    for n in 1..=3 {
        shop.sql(&format!("INSERT INTO todo VALUES ({n}, 'a')")).await;
        told(&tail, n).await;
        shop.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'the_tail' \
             AND datname = current_database()",
        )
        .await;
    }
    tail.wait_for_log("following again").await;
    shop.sql("INSERT INTO todo VALUES (4, 'a')").await;
    let all = told(&tail, 4).await;
    assert_eq!(what(&all), ["CREATE 1", "CREATE 2", "CREATE 3", "CREATE 4"]);
    tail.stop().await;
}

#[tokio::test]
async fn an_interrupt_is_how_it_ends() {
    let shop = Shop::new(TODO).await;
    let mut tail = tail(&shop, &[]).await;
    let pid = Pid::from_raw(i32::try_from(tail.pid()).unwrap());
    kill(pid, Signal::SIGINT).unwrap();
    tail.wait(SEEN_WITHIN).await.assert_code(0);
}

#[tokio::test]
async fn people_see_the_same_as_in_the_history() {
    let shop = Shop::new(TODO).await;
    let mut tail = shop.tracked.worker(&["tail"]).spawn();
    tail.wait_for_log("following").await;
    shop.with_context(r#"{"user_id": 7}"#, "INSERT INTO todo VALUES (1, 'a')").await;
    let history = shop.says(&["history", "todo", "1"]).await;
    eventually(SEEN_WITHIN, "the change", async || (tail.stdout() == history).then_some(())).await;
    tail.stop().await;
}
