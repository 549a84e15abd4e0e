//! Whoever reads slowly, or not at all, slows nobody down.

use std::fs;

use super::events::Events;
use super::live::{BEARER, Live};

/// Enough to fill everything between the worker and its client many times over.
const ROWS: usize = 10_000;
const ROW_BYTES: usize = 3_000;

/// What the process has in memory, in bytes.
fn memory_bytes(process: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kilobytes: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes * 1024
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_holds_up_nothing_and_misses_nothing() {
    let live = Live::new("CREATE TABLE todo (id int PRIMARY KEY, task text)").await;
    // What storing alone needs.
    let fill = |from: usize, to: usize| {
        format!(
            "INSERT INTO todo SELECT n, repeat('x', {ROW_BYTES}) FROM generate_series({from}, {to}) AS n"
        )
    };
    live.tracked.sql(&fill(1, ROWS)).await;
    live.tracked.wait_for_count(ROWS.try_into().unwrap()).await;
    let before = memory_bytes(live.worker.pid());

    let mut silent = Events::send(&live.address, "/changes/stream?cursor=begin", &[BEARER]).await;
    for part in 1..=20 {
        let from = ROWS + (part - 1) * ROWS / 20 + 1;
        live.tracked.sql(&fill(from, ROWS + part * ROWS / 20)).await;
    }
    // Everything is stored while it reads nothing.
    live.tracked.wait_for_count((2 * ROWS).try_into().unwrap()).await;
    let grown = memory_bytes(live.worker.pid()).saturating_sub(before);
    // A few batches, and two pages. What it has not read is sixty megabytes.
    assert!(grown < 32 * 1024 * 1024, "the worker has grown by {grown} bytes");

    let mut expected = 1;
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && silent.line(&mut head).await {}
    while expected <= 2 * ROWS {
        let Some(event) = silent.next().await else {
            // Too slow by far: it was given up, and comes again, as any client does.
            let (target, id) = ("/changes/stream", silent.last_id.clone());
            silent = Events::open(&live.address, target, &[BEARER, ("Last-Event-ID", &id)]).await;
            continue;
        };
        assert_eq!(event.what().1, expected.to_string());
        expected += 1;
    }
}
