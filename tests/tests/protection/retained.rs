//! WAL that piles up in the source because it is not stored: told of, kept or given up, as `run` was told.

use std::time::Duration;

use bemi_tests::{STORED_WITHIN, StopMode, Tracked, eventually};

use super::pair::{Pair, SCHEMA, options};

const GIVE_UP: [&str; 4] = ["--max-retained-wal", "4MB", "--on-max-retained-wal", "give-up"];

/// Longer than the worker has patience with a slot that holds too much.
const GIVEN_UP_WITHIN: Duration = Duration::from_secs(180);

async fn wait_until_given_up(pair: &Pair) {
    eventually(GIVEN_UP_WITHIN, "the slot to be given up", async || {
        (!pair.has_slot().await).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_holds_too_much_is_kept_and_told_of_unless_told_otherwise() {
    let pair = Pair::new(&options(), &options()).await;
    let mut worker = pair.run(&["--max-retained-wal", "4MB"]).await;
    pair.destination.stop(StopMode::Immediate).unwrap();
    pair.write_much(1).await;
    worker.wait_for_log("the slot holds too much WAL").await;
    assert!(worker.stderr().contains("ERROR"), "{}", worker.stderr());
    assert!(pair.has_slot().await);
    pair.destination.start_again().unwrap();
    pair.wait_for_key("6000").await;
    // The server moves the slot's beginning when it writes down which transactions run, as it does here.
    eventually(STORED_WITHIN * 2, "the slot to hold less", async || {
        pair.tracked.sql("CHECKPOINT").await;
        worker.stderr().contains("less WAL than the limit again").then_some(())
    })
    .await;
    assert_eq!(pair.counts().await, (6000, 6000));
    assert_eq!(pair.gaps().await, []);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_is_given_up_while_the_destination_is_down_is_a_gap_once_it_is_back() {
    let pair = Pair::new(&options(), &options()).await;
    let mut worker = pair.run(&GIVE_UP).await;
    pair.tracked.sql("INSERT INTO t VALUES (0)").await;
    pair.wait_for_key("0").await;
    pair.destination.stop(StopMode::Immediate).unwrap();
    pair.write_much(1).await;
    wait_until_given_up(&pair).await;
    worker.wait_for_log("gave up the replication slot").await;
    assert!(worker.is_running(), "it has yet to write the gap down");

    pair.destination.start_again().unwrap();
    let ended = worker.wait(STORED_WITHIN).await.assert_code(3);
    assert!(ended.stderr.contains("--max-retained-wal"), "{ended}");
    assert!(ended.stderr.contains("--on-gap continue"), "{ended}");
    let gaps = pair.gaps().await;
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert!(gaps[0].reason.contains("more than the 4MB of --max-retained-wal"), "{gaps:?}");
    assert!(gaps[0].to > gaps[0].from + 4_000_000, "{gaps:?}");
    assert_eq!(pair.keys().await, ["0"]);

    let worker = pair.run(&[&GIVE_UP[..], &["--on-gap", "continue"]].concat()).await;
    pair.tracked.sql("INSERT INTO t VALUES (7000)").await;
    pair.wait_for_key("7000").await;
    assert_eq!(pair.keys().await, ["0", "7000"]);
    let gaps = pair.gaps().await;
    assert!(gaps.len() == 1 && gaps[0].reason.contains("--max-retained-wal"), "{gaps:?}");
    worker.stop().await;
}

/// Whoever comes next knows of it from the source, whatever it is told about limits.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_ends_before_it_could_write_the_gap_down_leaves_it_to_the_next() {
    let pair = Pair::new(&options(), &options()).await;
    let mut worker = pair.run(&GIVE_UP).await;
    pair.destination.stop(StopMode::Immediate).unwrap();
    pair.write_much(1).await;
    wait_until_given_up(&pair).await;
    worker.kill_9();
    pair.destination.start_again().unwrap();
    let refused = pair.worker(&["run", "--once"]).run_to_end().await.assert_code(3);
    assert!(refused.stderr.contains("--max-retained-wal"), "{refused}");
    pair.setup(&["--recreate-slot"]).await;
    let gaps = pair.gaps().await;
    assert!(gaps.len() == 1 && gaps[0].reason.contains("--max-retained-wal"), "{gaps:?}");
    pair.tracked.sql("INSERT INTO t VALUES (7000)").await;
    pair.store(&[]).await;
    assert_eq!(pair.keys().await, ["7000"]);
}

/// The sink waits for a lock, and says nothing to anybody.
#[tokio::test(flavor = "multi_thread")]
async fn a_slot_is_given_up_while_the_sink_hangs_and_the_worker_goes_on_where_it_may() {
    let pair = Pair::new(&options(), &options()).await;
    let worker = pair.run(&[&GIVE_UP[..], &["--on-gap", "continue"]].concat()).await;
    let locker = pair.changes.connect().await.unwrap();
    locker.batch_execute("BEGIN; LOCK TABLE changes").await.unwrap();
    pair.write_much(1).await;
    eventually(GIVEN_UP_WITHIN, "a gap", async || {
        pair.gaps().await.iter().any(|gap| gap.reason.contains("--max-retained-wal")).then_some(())
    })
    .await;
    eventually(STORED_WITHIN, "a new slot", async || pair.has_slot().await.then_some(())).await;
    pair.tracked.sql("INSERT INTO t VALUES (7000)").await;
    locker.batch_execute("COMMIT").await.unwrap();
    pair.wait_for_key("7000").await;
    assert_eq!(pair.keys().await, ["7000"]);
    assert_eq!(pair.gaps().await.len(), 1);
    worker.stop().await;
}

/// Somebody else has the only WAL sender.
#[tokio::test(flavor = "multi_thread")]
async fn a_slot_is_given_up_by_a_worker_that_cannot_start_its_stream() {
    let pair = Pair::new(&options().set("max_wal_senders", "1"), &options()).await;
    let other = Tracked::on(&pair.source, SCHEMA).await;
    let occupant = other.run().await;
    pair.write_much(1).await;
    let mut worker = pair.worker(&[&["run"], &GIVE_UP[..]].concat()).spawn();
    wait_until_given_up(&pair).await;
    occupant.stop().await;
    let ended = worker.wait(STORED_WITHIN).await.assert_code(3);
    assert!(ended.stderr.contains("--max-retained-wal"), "{ended}");
    assert_eq!(pair.gaps().await.len(), 1);
}

/// It is far behind, and comes nearer with each look.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_catches_up_keeps_its_slot() {
    let pair = Pair::new(&options(), &options()).await;
    for from in [1, 10_001, 20_001] {
        pair.write_much(from).await;
    }
    let worker = pair.run(&GIVE_UP).await;
    pair.wait_for_key("26000").await;
    assert_eq!(pair.counts().await, (18_000, 18_000));
    assert_eq!(pair.gaps().await, []);
    worker.stop().await;
}

#[tokio::test]
async fn nothing_is_given_up_that_nobody_has_set_a_limit_for_or_that_could_not_be_written_down() {
    let tracked = Tracked::new(SCHEMA).await;
    let run = |arguments: &[&str]| tracked.worker(arguments).run_to_end();
    let refused = run(&["run", "--on-max-retained-wal", "give-up"]).await.assert_code(2);
    assert!(refused.stderr.contains("--max-retained-wal"), "{refused}");
    let refused = run(&["run", "--max-retained-wal", "50"]).await.assert_code(2);
    assert!(refused.stderr.contains("50GB"), "{refused}");

    // As an older version has set it up.
    tracked.sql("DROP TABLE bemi.given_up").await;
    let refused = run(&[&["run"], &GIVE_UP[..]].concat()).await.assert_code(3);
    assert!(refused.stderr.contains("bemi-worker setup"), "{refused}");
    tracked.store().await;
    let setup = tracked.setup(&[]).await;
    assert!(setup.stdout.contains("bemi.given_up"), "{setup}");
    let settings = [("BEMI_MAX_RETAINED_WAL", "1TB"), ("BEMI_ON_MAX_RETAINED_WAL", "give-up")];
    let worker = tracked.worker(&["run"]).env(settings[0].0, settings[0].1);
    let mut worker = worker.env(settings[1].0, settings[1].1).spawn();
    worker.wait_for_log("streaming").await;
    worker.stop().await;
    tracked.worker(&["teardown"]).run_to_end().await.assert_code(0);
}
