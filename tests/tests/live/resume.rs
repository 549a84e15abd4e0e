//! Going on where a stream was cut off: nothing lost, nothing twice.

use bemi_tests::eventually;

use super::events::{Event, Events};
use super::http;
use super::live::{BEARER, Live};

const TODO: &str = "CREATE TABLE todo (id int PRIMARY KEY, task text)";

/// The keys from 1 to there, in order.
fn all(last: u32) -> Vec<String> {
    (1..=last).map(|key| key.to_string()).collect()
}

fn keys(events: &[Event]) -> Vec<String> {
    events.iter().map(|event| event.what().1.to_owned()).collect()
}

#[tokio::test]
async fn a_stream_that_breaks_inside_of_a_transaction_goes_on_inside_of_it() {
    let live = Live::new(TODO).await;
    let mut events = live.events("").await;
    live.tracked.sql("INSERT INTO todo SELECT generate_series(1, 2000)").await;
    let mut seen = Vec::new();
    let mut portion = 1;
    while seen.len() < 2000 {
        let count = portion.min(2000 - seen.len());
        seen.extend(events.changes(count).await);
        // It has sent more than was read: that is lost with the connection.
        drop(events);
        events = live.events_after("", &seen.last().unwrap().id).await;
        portion = portion * 2 + 1;
    }
    assert_eq!(keys(&seen), all(2000));
    let commits: std::collections::HashSet<_> =
        seen.iter().map(|event| event.data["commit_position"].to_string()).collect();
    assert_eq!(commits.len(), 1);
}

#[tokio::test]
async fn a_stream_goes_on_with_the_next_worker_however_the_last_one_ended() {
    let mut live = Live::new(TODO).await;
    let mut events = live.events("").await;
    let mut seen = Vec::new();
    let mut last = 0;
    for is_killed in [false, true, true, false] {
        let insert =
            format!("INSERT INTO todo SELECT generate_series({}, {})", last + 1, last + 500);
        live.tracked.sql(&insert).await;
        last += 1000;
        seen.extend(events.changes(123).await);
        let (id, between) = (seen.last().unwrap().id.clone(), last - 499..=last);
        let tracked = &live.tracked;
        let insert = format!(
            "INSERT INTO todo SELECT generate_series({}, {})",
            between.start(),
            between.end()
        );
        tracked.sql(&insert).await;
        live.restart(async |worker| {
            if is_killed {
                worker.kill_9();
            } else {
                worker.terminate();
                worker.wait(http::ANSWERED_WITHIN).await.assert_code(0);
            }
        })
        .await;
        events = live.events_after("", &id).await;
        let rest = usize::try_from(last).unwrap() - seen.len();
        seen.extend(events.changes(rest).await);
    }
    assert_eq!(keys(&seen), all(last));
}

#[tokio::test]
async fn a_stream_ends_at_once_when_the_worker_is_told_to_stop() {
    let mut live = Live::new(TODO).await;
    let mut events = live.events("").await;
    // One that reads nothing does not hold it up.
    let _silent = Events::send(&live.address, "/changes/stream?cursor=begin", &[BEARER]).await;
    live.tracked.sql("INSERT INTO todo SELECT generate_series(1, 1000)").await;
    assert_eq!(events.changes(1000).await.len(), 1000);
    live.worker.terminate();
    assert_eq!(events.next().await, None);
    live.worker.wait(http::ANSWERED_WITHIN).await.assert_code(0);
}

#[tokio::test]
async fn the_last_event_beats_what_the_address_says() {
    let live = Live::new(TODO).await;
    live.tracked.sql("INSERT INTO todo SELECT generate_series(1, 5)").await;
    live.tracked.wait_for_count(5).await;
    let first = live.events("?cursor=begin").await.changes(3).await;
    let mut again = live.events_after("?cursor=begin", &first[2].id).await;
    assert_eq!(keys(&again.changes(2).await), ["4", "5"]);
}

#[tokio::test]
async fn who_comes_again_before_the_first_change_misses_none() {
    let live = Live::new(TODO).await;
    let events = live.events("").await;
    let id = events.last_id.clone();
    drop(events);
    live.tracked.sql("INSERT INTO todo VALUES (1)").await;
    live.tracked.wait_for_count(1).await;
    assert_eq!(keys(&live.events_after("", &id).await.changes(1).await), ["1"]);
}

/// What cannot be followed is refused: nothing is skipped in silence.
#[tokio::test]
async fn a_place_that_the_record_does_not_have_is_refused() {
    let live = Live::new(TODO).await;
    live.tracked.sql("INSERT INTO todo VALUES (1); INSERT INTO todo VALUES (2)").await;
    let seen = live.events("?cursor=begin").await.changes(2).await;
    let status = async |id: &str| {
        let headers = [BEARER, ("Last-Event-ID", id)];
        http::ask(&live.address, "HEAD", "/changes/stream", &headers).await.status
    };
    assert_eq!(status("not a place").await, 400);
    assert_eq!(status(&seen[0].id).await, 200);
    let position = seen[1].data["commit_position"].as_i64().unwrap();
    for elsewhere in [format!("{position}.99"), format!("{}.1", position + 1_000_000_000)] {
        assert_eq!(status(&elsewhere).await, 410);
    }

    live.tracked
        .sql("SET bemi.append_only = off; DELETE FROM changes WHERE primary_key = '1'")
        .await;
    assert_eq!(status(&seen[0].id).await, 410);
    assert_eq!(status(&seen[1].id).await, 200);
    let answer = live.get(&format!("/changes/stream?cursor={}", seen[0].id)).await;
    assert_eq!(answer.status, 410);
    assert!(answer.error().contains("cursor=begin"), "{answer:?}");
    assert_eq!(keys(&live.events("?cursor=begin").await.changes(1).await), ["2"]);
    eventually(http::ANSWERED_WITHIN, "the place of today", async || {
        (status("").await == 200).then_some(())
    })
    .await;
}
