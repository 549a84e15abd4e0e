//! A worker that was stopped in the middle of its last commit, and its successor.

use bemi_tests::{STORED_WITHIN, eventually};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::pair::{Pair, options};

/// What holds a commit at its last step: the checkpoint is moved, and locked, and COMMIT is not sent yet.
const HOLD: &str = "
CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_advisory_xact_lock_shared(4711); RETURN NEW; END';
CREATE TRIGGER hold AFTER UPDATE ON bemi.checkpoint FOR EACH ROW EXECUTE FUNCTION hold();
SELECT pg_advisory_lock(4711)";

#[tokio::test(flavor = "multi_thread")]
async fn a_predecessor_that_is_stopped_in_its_last_commit_does_not_hold_up_its_successor() {
    let pair = Pair::new(&options().set("wal_sender_timeout", "10s"), &options()).await;
    let holder = pair.changes.connect().await.unwrap();
    let mut before = pair.run(&[]).await;
    holder.batch_execute(HOLD).await.unwrap();
    pair.tracked.sql("INSERT INTO t VALUES (1)").await;
    wait_for_session(&holder, "wait_event = 'advisory'").await;
    let process = Pid::from_raw(i32::try_from(before.pid()).unwrap());
    kill(process, Signal::SIGSTOP).unwrap();
    holder.batch_execute("SELECT pg_advisory_unlock(4711)").await.unwrap();
    wait_for_session(&holder, "state = 'idle in transaction'").await;
    pair.tracked.database.wait_for_free_slot(&pair.tracked.database.slot_name()).await;

    let mut successor = pair.worker(&["run"]).spawn();
    successor.wait_for_log("ended a session of the worker before this one").await;
    pair.wait_for_key("1").await;
    pair.tracked.sql("INSERT INTO t VALUES (2)").await;
    pair.wait_for_key("2").await;

    // It wakes up, finds its session gone and its slot in use, and does no harm.
    kill(process, Signal::SIGCONT).unwrap();
    before.wait_for_log("interrupted").await;
    pair.tracked.sql("INSERT INTO t VALUES (3)").await;
    pair.wait_for_key("3").await;
    assert_eq!(pair.keys().await, ["1", "2", "3"]);
    assert!(!successor.stderr().contains("interrupted"), "{}", successor.stderr());
    before.kill_9();
    successor.stop().await;
}

async fn wait_for_session(client: &tokio_postgres::Client, condition: &str) {
    let sql = format!(
        "SELECT FROM pg_stat_activity \
         WHERE application_name = 'bemi-worker' AND datname = current_database() AND {condition}"
    );
    eventually(STORED_WITHIN, &format!("a session of the worker with {condition}"), async || {
        (!client.query(&sql, &[]).await.unwrap().is_empty()).then_some(())
    })
    .await;
}

/// What holds the checkpoint is not a worker, but somebody who looks at it: that is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_that_holds_the_checkpoint_is_waited_for_and_left_alone() {
    let pair = Pair::new(&options(), &options()).await;
    let stranger = pair.changes.connect().await.unwrap();
    stranger.batch_execute("BEGIN; SELECT FROM bemi.checkpoint FOR UPDATE").await.unwrap();
    pair.tracked.sql("INSERT INTO t VALUES (1)").await;
    let mut worker = pair.worker(&["run"]).spawn();
    let watcher = pair.changes.connect().await.unwrap();
    // It has waited for as long as it does before it looks who is in the way, and waits on.
    let waiting = "wait_event_type = 'Lock' AND query_start - backend_start > interval '3 s'";
    wait_for_session(&watcher, waiting).await;
    stranger.batch_execute("COMMIT").await.unwrap();
    worker.wait_for_log("streaming").await;
    pair.wait_for_key("1").await;
    worker.stop().await;
}
