//! Slots that the server has given up by itself.

use bemi_tests::{ClusterOptions, STORED_WITHIN, StopMode, eventually};

use super::pair::{Pair, options};

/// A server that keeps a few segments for a slot, and no more.
fn short_of_disk() -> ClusterOptions {
    options()
        .set("max_slot_wal_keep_size", "1MB")
        .set("min_wal_size", "32MB")
        .set("max_wal_size", "48MB")
}

/// Has the server find out that the slot holds more than it may, and remove the WAL.
async fn lose_slot(pair: &Pair) {
    let slot = pair.tracked.database.slot_name();
    let lost = format!(
        "SELECT EXISTS (SELECT FROM pg_replication_slots \
         WHERE slot_name = '{slot}' AND wal_status = 'lost')"
    );
    eventually(STORED_WITHIN, "the slot to be lost", async || {
        pair.tracked.sql("CREATE TABLE x (a int); DROP TABLE x").await;
        pair.tracked.sql("SELECT pg_switch_wal()").await;
        pair.tracked.sql("CHECKPOINT").await;
        pair.tracked.value::<bool>(&lost).await.then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_is_lost_while_nobody_runs_is_a_gap() {
    let pair = Pair::new(&short_of_disk(), &options()).await;
    pair.tracked.sql("INSERT INTO t VALUES (1)").await;
    pair.store(&[]).await;
    pair.tracked.sql("INSERT INTO t VALUES (2)").await;
    lose_slot(&pair).await;
    let refused = pair.worker(&["run"]).run_to_end().await.assert_code(3);
    assert!(refused.stderr.contains("max_slot_wal_keep_size"), "{refused}");
    let doctor = pair.worker(&["doctor"]).run_to_end().await.assert_code(3);
    assert!(doctor.stdout.contains("B023") && doctor.stdout.contains("B033"), "{doctor}");
    let gaps = pair.gaps().await;
    assert!(gaps.len() == 1 && gaps[0].to > gaps[0].from, "{gaps:?}");
    assert!(gaps[0].reason.contains("max_slot_wal_keep_size"), "{gaps:?}");

    pair.store(&["--on-gap", "continue"]).await;
    pair.tracked.sql("INSERT INTO t VALUES (3)").await;
    pair.store(&[]).await;
    assert_eq!(pair.keys().await, ["1", "3"]);
    assert_eq!(pair.gaps().await.len(), 1);
}

/// The worker streams, but its destination is down: the server ends the stream to give the slot up.
#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_is_lost_under_a_running_worker_is_a_gap_once_the_destination_is_back() {
    let pair = Pair::new(&short_of_disk(), &options()).await;
    let mut worker = pair.run(&["--on-gap", "continue"]).await;
    pair.tracked.sql("INSERT INTO t VALUES (1)").await;
    pair.wait_for_key("1").await;
    pair.destination.stop(StopMode::Immediate).unwrap();
    pair.tracked.sql("INSERT INTO t VALUES (2)").await;
    lose_slot(&pair).await;
    worker.wait_for_log("the server itself gives up the slot").await;
    pair.destination.start_again().unwrap();
    worker.wait_for_log("changes were lost; going on").await;
    eventually(STORED_WITHIN, "the stream to go on", async || {
        (worker.stderr().matches("streaming").count() >= 2).then_some(())
    })
    .await;
    pair.tracked.sql("INSERT INTO t VALUES (3)").await;
    pair.wait_for_key("3").await;
    assert_eq!(pair.keys().await, ["1", "3"]);
    let gaps = pair.gaps().await;
    assert!(gaps.len() == 1 && gaps[0].reason.contains("wal_status is lost"), "{gaps:?}");
    worker.stop().await;
}

/// From 18 on a server can give up slots that nobody reads from.
#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_was_idle_for_too_long_is_a_gap_that_says_so() {
    let pair = Pair::new(&options(), &options()).await;
    let version: i32 =
        pair.tracked.value("SELECT current_setting('server_version_num')::int4").await;
    if version < 180_000 {
        eprintln!("skipped: idle_replication_slot_timeout came with PostgreSQL 18");
        return;
    }
    pair.tracked.sql("INSERT INTO t VALUES (1)").await;
    pair.store(&[]).await;
    pair.tracked.sql("ALTER SYSTEM SET idle_replication_slot_timeout = '1s'").await;
    pair.tracked.sql("SELECT pg_reload_conf()").await;
    let lost = "SELECT bool_or(invalidation_reason = 'idle_timeout') FROM pg_replication_slots";
    eventually(STORED_WITHIN, "the slot to be given up", async || {
        // A slot that holds no WAL is never too idle.
        pair.tracked.sql("SELECT pg_switch_wal()").await;
        pair.tracked.sql("CREATE TABLE x (a int); DROP TABLE x; CHECKPOINT").await;
        pair.tracked.value::<Option<bool>>(lost).await.filter(|lost| *lost).map(|_| ())
    })
    .await;
    let refused = pair.worker(&["run", "--once"]).run_to_end().await.assert_code(3);
    assert!(refused.stderr.contains("idle_replication_slot_timeout"), "{refused}");
    assert_eq!(pair.gaps().await.len(), 1);
}
