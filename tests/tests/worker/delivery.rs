//! How changes get to the table: at once, whole, and each once, whoever else is about.

use std::cell::Cell;

use bemi_tests::{STORED_WITHIN, TestDatabase, Tracked, eventually, shared_cluster};

const SCHEMA: &str = "CREATE TABLE t (id bigint PRIMARY KEY, a text)";

#[tokio::test]
async fn a_lone_change_is_stored_without_another_to_push_it() {
    let tracked = Tracked::new(SCHEMA).await;
    let worker = tracked.run().await;
    for id in 1..=3 {
        tracked.sql(&format!("INSERT INTO t VALUES ({id})")).await;
        tracked.wait_for_count(id).await;
    }
    worker.stop().await;
}

#[tokio::test]
async fn once_ends_by_itself_and_stores_what_was_committed_before() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked.store().await;
    assert_eq!(tracked.count().await, 0);
    tracked.sql("INSERT INTO t VALUES (1)").await;
    tracked.store().await;
    assert_eq!(tracked.count().await, 1);
    tracked.store().await;
    assert_eq!(tracked.count().await, 1, "a second run stores nothing twice");
}

#[tokio::test]
async fn changes_that_are_made_while_nobody_runs_are_stored_later() {
    let tracked = Tracked::new(SCHEMA).await;
    let worker = tracked.run().await;
    tracked.sql("INSERT INTO t VALUES (1)").await;
    tracked.wait_for_count(1).await;
    worker.stop().await;
    tracked.sql("INSERT INTO t VALUES (2)").await;
    let worker = tracked.run().await;
    tracked.wait_for_count(2).await;
    worker.stop().await;
    assert_eq!(tracked.count().await, 2);
}

/// It looks at checkpoint and slot while the first one moves both: that must not look like a gap.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_worker_is_refused_and_does_not_disturb_the_first() {
    let tracked = Tracked::new(SCHEMA).await;
    let first = tracked.run().await;
    let mut second = tracked.worker(&["run"]).spawn();
    let mut inserted = 0;
    while second.is_running() {
        inserted += 1;
        tracked.sql(&format!("INSERT INTO t VALUES ({inserted})")).await;
    }
    let refused = second.wait(STORED_WITHIN).await.assert_code(1);
    assert!(refused.stderr.contains("in use"), "{refused}");
    tracked.wait_for_count(inserted).await;
    assert_eq!(tracked.value::<i64>("SELECT count(*) FROM bemi.gaps").await, 0);
    first.stop().await;
}

#[tokio::test]
async fn a_worker_whose_epoch_was_taken_stops_and_stores_nothing() {
    let tracked = Tracked::new(SCHEMA).await;
    let mut worker = tracked.run().await;
    tracked.sql("UPDATE bemi.checkpoint SET epoch = epoch + 1").await;
    tracked.sql("INSERT INTO t VALUES (1)").await;
    let output = worker.wait(STORED_WITHIN).await.assert_code(1);
    assert!(output.stderr.contains("taken over"), "{output}");
    assert_eq!(tracked.count().await, 0);
    tracked.store().await;
    assert_eq!(tracked.count().await, 1, "its successor stores it");
}

/// The worker before it is in the middle of its last commit, which holds the checkpoint: its successor
/// waits for that, and stores nothing that it stored.
#[tokio::test]
async fn a_worker_waits_for_the_last_commit_of_the_one_before_it() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked.sql("INSERT INTO t VALUES (1)").await;
    let before = tracked.database.connect().await.unwrap();
    before
        .batch_execute(
            "BEGIN; UPDATE bemi.checkpoint SET position = (pg_current_wal_insert_lsn() - '0/0')::bigint",
        )
        .await
        .unwrap();
    let mut worker = tracked.worker(&["run"]).spawn();
    eventually(STORED_WITHIN, "the worker to wait for the checkpoint", async || {
        let waits: bool = tracked
            .value(
                "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() \
                 AND application_name = 'bemi-worker' AND wait_event_type = 'Lock')",
            )
            .await;
        waits.then_some(())
    })
    .await;
    before.batch_execute("COMMIT").await.unwrap();
    worker.wait_for_log("streaming").await;
    tracked.sql("INSERT INTO t VALUES (2)").await;
    tracked.wait_for_count(1).await;
    let keys: Vec<_> =
        tracked.changes().await.into_iter().map(|c| c.primary_key.unwrap()).collect();
    assert_eq!(keys, ["2"]);
    worker.stop().await;
}

/// A reader counts all the time while transactions of 100 rows are stored, until it has seen several counts. What it sees is
/// always a multiple of 100.
#[tokio::test(flavor = "multi_thread")]
async fn no_reader_ever_sees_half_a_transaction() {
    let tracked = Tracked::new(SCHEMA).await;
    let worker = tracked.run().await;
    let seen = Cell::new(0);
    let writing = async {
        for transaction in 0.. {
            let from = transaction * 100;
            tracked
                .sql(&format!("INSERT INTO t SELECT g FROM generate_series({from}, {from} + 99) g"))
                .await;
            if transaction >= 50 && seen.get() > 10 {
                return;
            }
        }
    };
    let reader = tracked.database.connect().await.unwrap();
    let reading = async {
        let mut last = 0;
        loop {
            let row = reader.query_one("SELECT count(*) FROM changes", &[]).await.unwrap();
            let count: i64 = row.get(0);
            assert_eq!(count % 100, 0, "half a transaction is visible");
            if count != last {
                seen.set(seen.get() + 1);
                last = count;
            }
        }
    };
    tokio::select! {
        () = writing => {}
        () = reading => {}
    }
    worker.stop().await;
}

#[tokio::test]
async fn a_database_of_its_own_holds_the_changes() {
    let tracked = Tracked::untracked(shared_cluster(), SCHEMA).await;
    let destination = TestDatabase::create(shared_cluster()).await.unwrap();
    let at = |arguments: &[&str]| {
        tracked.worker(arguments).env("DESTINATION_DATABASE_URL", destination.url()).run_to_end()
    };
    at(&["setup", "--all-tables", "--replica-identity", "full"]).await.assert_code(0);
    tracked.sql("INSERT INTO t VALUES (1)").await;
    at(&["run", "--once"]).await.assert_code(0);
    let client = destination.connect().await.unwrap();
    let row = client.query_one("SELECT count(*), min(database) FROM changes", &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), (1_i64, tracked.database.name()));
    let here: bool = tracked.value("SELECT to_regclass('changes') IS NOT NULL").await;
    assert!(!here, "the source holds none of it");
}

/// WAL that holds nothing for us must not be held by us.
#[tokio::test]
async fn traffic_that_is_not_tracked_moves_the_slot_on() {
    let tracked = Tracked::new(SCHEMA).await;
    let worker = tracked.run().await;
    let confirmed = || async {
        tracked
            .value::<i64>(&format!(
                "SELECT (confirmed_flush_lsn - '0/0')::bigint FROM pg_replication_slots \
                 WHERE slot_name = '{}'",
                tracked.database.slot_name()
            ))
            .await
    };
    let before: i64 = tracked.value("SELECT (pg_current_wal_lsn() - '0/0')::bigint").await;
    // Another database of the same cluster: nothing of it is in our stream.
    let elsewhere = TestDatabase::create(shared_cluster()).await.unwrap();
    let client = elsewhere.connect().await.unwrap();
    client
        .batch_execute(
            "CREATE TABLE w AS SELECT g, repeat('x', 1000) FROM generate_series(1, 5000) g",
        )
        .await
        .unwrap();
    eventually(STORED_WITHIN, "the slot to move on", async || {
        (confirmed().await > before + 4_000_000).then_some(())
    })
    .await;
    assert_eq!(tracked.count().await, 0);
    worker.stop().await;
}

/// The worker's own writing is WAL too, of which the server tells it. Answering each time with a
/// write would go round for ever.
#[tokio::test]
async fn what_it_writes_itself_is_not_answered_with_more() {
    let tracked = Tracked::new(SCHEMA).await;
    let worker = tracked.run().await;
    for id in 1..=20 {
        // Heartbeats are transactions without changes, as those of the worker itself are.
        tracked
            .sql(&format!(
                "SELECT pg_logical_emit_message(true, '_bemi_heartbeat', ''); INSERT INTO t VALUES ({id})"
            ))
            .await;
        tracked.wait_for_count(id).await;
    }
    worker.stop().await;
    // Written at the start, for each change, and at the end. The server tells its statistics when the session of the worker
    // ends, and that may be after the worker did.
    let updates = eventually(STORED_WITHIN, "the server to tell its statistics", async || {
        let updates: i64 = tracked
            .value(
                "SELECT n_tup_upd FROM pg_stat_user_tables \
                 WHERE relid = 'bemi.checkpoint'::regclass",
            )
            .await;
        (updates >= 20).then_some(updates)
    })
    .await;
    assert!(updates <= 25, "the checkpoint was written {updates} times");
}

#[tokio::test]
async fn a_stopped_worker_leaves_the_slot_acknowledged() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked.sql("INSERT INTO t VALUES (1)").await;
    tracked.store().await;
    let acknowledged: bool = tracked
        .value(&format!(
            "SELECT s.confirmed_flush_lsn - '0/0' = c.position FROM pg_replication_slots s, \
             bemi.checkpoint c WHERE s.slot_name = '{}'",
            tracked.database.slot_name()
        ))
        .await;
    assert!(acknowledged);
}

/// SIGTERM comes while transactions are being stored: what is stored is whole, and the next worker goes
/// on behind it.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_told_to_stop_finishes_its_batch() {
    let tracked = Tracked::new(SCHEMA).await;
    let writer = tracked.database.connect().await.unwrap();
    let writing = tokio::spawn(async move {
        for from in (0..20_000).step_by(20) {
            writer
                .batch_execute(&format!(
                    "INSERT INTO t SELECT g FROM generate_series({from}, {from} + 19) g"
                ))
                .await
                .unwrap();
        }
    });
    for stored in [1, 2_000, 4_000] {
        let worker = tracked.run().await;
        tracked.wait_for_count(stored).await;
        worker.stop().await;
        super::truth::require_whole_transactions(&tracked).await;
        let told: i64 = tracked.value("SELECT changes_stored FROM bemi.checkpoint").await;
        assert_eq!(told, tracked.count().await);
    }
    writing.await.unwrap();
    tracked.store().await;
    assert_eq!(tracked.count().await, 20_000);
}

/// The last commit may be long ago: that is no lag. A batch that is stuck is one.
#[tokio::test]
async fn status_tells_a_worker_that_is_idle_from_one_that_is_behind() {
    let tracked = Tracked::new(SCHEMA).await;
    let worker = tracked.run().await;
    tracked.sql("INSERT INTO t VALUES (1)").await;
    tracked.wait_for_count(1).await;
    let lag = || async {
        let output =
            tracked.worker(&["status", "--format", "json"]).run_to_end().await.assert_code(0);
        let status: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
        status["lag_seconds"].as_f64().unwrap()
    };
    eventually(STORED_WITHIN, "no lag", async || (lag().await == 0.0).then_some(())).await;
    let locker = tracked.database.connect().await.unwrap();
    locker.batch_execute("BEGIN; LOCK TABLE changes IN SHARE MODE").await.unwrap();
    tracked.sql("INSERT INTO t VALUES (2)").await;
    eventually(STORED_WITHIN, "a lag", async || (lag().await > 0.0).then_some(())).await;
    locker.batch_execute("COMMIT").await.unwrap();
    tracked.wait_for_count(2).await;
    eventually(STORED_WITHIN, "no lag", async || (lag().await == 0.0).then_some(())).await;
    worker.stop().await;
}
