//! A worker that stands still, and another one that takes over: whatever the first has begun, the second is not kept from.

use bemi_tests::faults::{Place, Stage};
use bemi_tests::{STORED_WITHIN, eventually};

const SCHEMA: &str = "CREATE TABLE t (id bigint PRIMARY KEY)";

/// COPY waits in it while somebody has lock 7 to himself, with its rows in the transaction.
const HOLD: &str = "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ \
    BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NULL; END $$; \
    CREATE TRIGGER hold AFTER INSERT ON changes FOR EACH STATEMENT EXECUTE FUNCTION hold(); \
    SELECT pg_advisory_lock(7)";

async fn stage() -> Stage {
    let stage = Stage::with(Place::TwoClusters, SCHEMA, &["t"]).await;
    stage.worker(&["setup", "--tables", "t"]).run_to_end().await.assert_code(0);
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_in_the_transaction_of_a_worker_that_stands_still_are_stored_by_its_successor() {
    let stage = stage().await;
    let (source, changes) = stage.sessions().await;
    changes.batch_execute(HOLD).await.unwrap();
    let mut first = stage.run().await;
    source.batch_execute("INSERT INTO t VALUES (1)").await.unwrap();
    let is_there = async |condition: &str| {
        let sessions = format!(
            "SELECT FROM pg_stat_activity WHERE application_name = 'bemi-worker' AND {condition}"
        );
        eventually(STORED_WITHIN, condition, async || {
            (!changes.query(&sessions, &[]).await.unwrap().is_empty()).then_some(())
        })
        .await;
    };
    is_there("wait_event_type = 'Lock'").await;
    first.pause();
    changes.batch_execute("SELECT pg_advisory_unlock(7)").await.unwrap();
    is_there("state = 'idle in transaction'").await;

    let second = stage.run().await;
    stage.wait_until_stored().await;
    assert_eq!(stage.require_truth().await, 1);
    first.kill_9();
    second.stop().await;
}

/// The stream of the first one was full of changes when it stood still. By the time that it stores them, they are there.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_goes_on_knows_why_it_cannot_store() {
    let stage = stage().await;
    let (source, _) = stage.sessions().await;
    let mut first = stage.run().await;
    first.pause();
    source.batch_execute("INSERT INTO t VALUES (1)").await.unwrap();
    let second = stage.run().await;
    stage.wait_until_stored().await;
    first.resume();
    eventually(STORED_WITHIN, "the first to notice", async || {
        let is_over = !first.is_running() || first.stderr().contains("interrupted");
        is_over.then_some(())
    })
    .await;
    assert!(!first.stderr().contains("duplicate"), "{}", first.stderr());
    first.kill_9();
    assert_eq!(stage.require_truth().await, 1);
    second.stop().await;
}
