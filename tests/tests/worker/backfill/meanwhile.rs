//! What others do while a baseline is stored.

use bemi_tests::{STORED_WITHIN, Tracked, eventually};
use bemi_worker::backfill::{BackfillEvent, BackfillOptions};

use super::{MANY_TYPES, backfill, config, present, replay};

/// Each chunk finds the table as it was, or takes a new snapshot: to older ones, a table that was
/// rewritten or truncated looks empty.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_altered_meanwhile_is_read_from_a_new_snapshot() {
    let tracked = Tracked::new(
        "CREATE TABLE rewritten (id int PRIMARY KEY, a int); \
         INSERT INTO rewritten SELECT g, g FROM generate_series(1, 1000) g; \
         CREATE TABLE refilled (id int PRIMARY KEY); \
         INSERT INTO refilled SELECT generate_series(1, 1000)",
    )
    .await;
    let arguments = ["backfill", "--all-tables", "--chunk-rows", "20"];
    let slowly = [arguments.as_slice(), &["--max-rows-per-second", "200"]].concat();
    let mut running = tracked.worker(&slowly).spawn();
    eventually(STORED_WITHIN, "rows to be stored", async || {
        (tracked.count().await > 40).then_some(())
    })
    .await;
    // The first is not begun yet or not finished; nobody waits for the baseline to do this.
    tracked
        .sql(
            "SET lock_timeout = '20s'; \
             ALTER TABLE rewritten ALTER a TYPE bigint, ADD b float8 DEFAULT random(), \
                 ADD c text; \
             ALTER TABLE rewritten DROP c; \
             ALTER TABLE rewritten RENAME TO renamed; \
             BEGIN; TRUNCATE refilled; INSERT INTO refilled SELECT generate_series(1, 700); COMMIT",
        )
        .await;
    assert!(running.is_running(), "{}", running.stderr());
    running.terminate();
    running.wait(STORED_WITHIN).await.assert_code(130);
    backfill(&tracked, &["--all-tables", "--max-rows-per-second", "0"]).await.assert_code(0);
    tracked.store().await;
    let changes = tracked.changes().await;
    assert_eq!(replay(&changes, "refilled"), present(&tracked, "refilled", "id").await);
    assert_eq!(replay(&changes, "renamed"), present(&tracked, "renamed", "id").await);
}

/// The same while it runs on, and is not stopped.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_rewritten_between_two_chunks_is_not_taken_for_empty() {
    let tracked = Tracked::new(
        "CREATE TABLE t (id int PRIMARY KEY, a int); \
         INSERT INTO t SELECT g, g FROM generate_series(1, 300) g",
    )
    .await;
    let config = config(&tracked);
    let (_keep, shutdown) = tokio::sync::watch::channel(false);
    let options = BackfillOptions::new().chunk_rows(10).rows_per_second_max(300);
    let client = tracked.database.connect().await.unwrap();
    let (chunks, mut stored) = tokio::sync::mpsc::unbounded_channel();
    let altering = async {
        for round in 0..3 {
            for _ in 0..3 {
                stored.recv().await.unwrap();
            }
            client
                .batch_execute(&format!("ALTER TABLE t ADD b{round} float8 DEFAULT random()"))
                .await
                .unwrap();
        }
        while stored.recv().await.is_some() {}
    };
    let mut snapshots_taken = 0;
    let storing = async {
        let report = backfill::run(&config, &options, shutdown, |event| match event {
            BackfillEvent::Stored { .. } => chunks.send(()).unwrap(),
            BackfillEvent::SnapshotTaken { .. } => snapshots_taken += 1,
            _ => {}
        })
        .await;
        drop(chunks);
        report
    };
    let (report, ()) = tokio::join!(storing, altering);
    assert_eq!(report.unwrap().rows, 300);
    assert!(snapshots_taken > 3, "{snapshots_taken}");
    let keys: i64 = tracked.value("SELECT count(DISTINCT primary_key) FROM changes").await;
    assert_eq!((keys, tracked.count().await), (300, 300));
}

/// It writes to a table before that is tracked, and commits long after: in between, the baseline waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_older_than_the_tracking_is_waited_for() {
    let tracked = Tracked::new("CREATE TABLE other (id int PRIMARY KEY)").await;
    // Nothing tracks a new table by itself.
    tracked
        .sql("DROP EVENT TRIGGER IF EXISTS bemi_track_tables; CREATE TABLE t (id int PRIMARY KEY)")
        .await;
    let writer = tracked.database.connect().await.unwrap();
    writer.batch_execute("BEGIN; INSERT INTO t VALUES (1)").await.unwrap();
    let publication: String = tracked
        .value("SELECT pubname::text FROM pg_publication WHERE pubname NOT LIKE '%insert_only'")
        .await;
    tracked.sql(&format!("ALTER PUBLICATION {publication} ADD TABLE t")).await;
    let mut running = tracked.worker(&["backfill", "t"]).spawn();
    running.wait_for_log("waiting for running transactions").await;
    eventually(STORED_WITHIN, "the slot to wait for the writer", async || {
        let waits: bool = tracked
            .value(
                "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() \
                 AND backend_type = 'walsender' AND wait_event_type = 'Lock')",
            )
            .await;
        waits.then_some(())
    })
    .await;
    writer.batch_execute("INSERT INTO t VALUES (2); COMMIT").await.unwrap();
    running.wait(STORED_WITHIN).await.assert_code(0);
    tracked.sql("INSERT INTO t VALUES (3)").await;
    tracked.store().await;
    assert_eq!(replay(&tracked.changes().await, "t"), present(&tracked, "t", "id").await);
}

/// Told to stop while it waits, it stops, and leaves nobody waiting on the server.
#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_transaction_can_be_stopped() {
    let tracked =
        Tracked::new("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)").await;
    let writer = tracked.database.connect().await.unwrap();
    writer.batch_execute("BEGIN; INSERT INTO t VALUES (2)").await.unwrap();
    let mut running = tracked.worker(&["backfill", "t"]).spawn();
    running.wait_for_log("waiting for running transactions").await;
    let waiting = "SELECT count(*) FROM pg_replication_slots \
                   WHERE slot_name LIKE 'bemi\\_backfill\\_%' AND database = current_database()";
    eventually(STORED_WITHIN, "the slot to be made", async || {
        (tracked.value::<i64>(waiting).await == 1).then_some(())
    })
    .await;
    running.terminate();
    running.wait(STORED_WITHIN).await.assert_code(130);
    eventually(STORED_WITHIN, "the slot to be gone", async || {
        (tracked.value::<i64>(waiting).await == 0).then_some(())
    })
    .await;
    assert_eq!(tracked.count().await, 0);
    writer.batch_execute("COMMIT").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_at_once_the_second_is_refused() {
    let tracked = Tracked::new(MANY_TYPES).await;
    let slowly = ["backfill", "t", "--chunk-rows", "10", "--max-rows-per-second", "10"];
    let first = tracked.worker(&slowly).spawn();
    eventually(STORED_WITHIN, "rows to be stored", async || {
        (tracked.count().await > 0).then_some(())
    })
    .await;
    let second = backfill(&tracked, &["t"]).await.assert_code(1);
    assert!(second.stderr.contains("another backfill"), "{second}");
    drop(first);
    backfill(&tracked, &["t", "--max-rows-per-second", "0"]).await.assert_code(0);
    assert_eq!(tracked.count().await, 3_000);
}

/// The source's sessions are ended, again and again: it opens them anew, and stores each row once.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_lost_is_opened_again() {
    let tracked = Tracked::new(MANY_TYPES).await;
    let arguments = ["backfill", "t", "--chunk-rows", "100", "--max-rows-per-second", "2000"];
    let mut running = tracked.worker(&arguments).spawn();
    for stored in [100, 1_000, 2_000] {
        eventually(STORED_WITHIN, "rows to be stored", async || {
            (tracked.count().await >= stored).then_some(())
        })
        .await;
        tracked
            .sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE datname = current_database() AND application_name = 'bemi-worker backfill'",
            )
            .await;
    }
    let output = running.wait(STORED_WITHIN).await.assert_code(0);
    assert!(output.stderr.contains("going on when it works again"), "{output}");
    let keys: i64 = tracked.value("SELECT count(DISTINCT primary_key) FROM changes").await;
    assert_eq!((keys, tracked.count().await), (3_000, 3_000));
}

/// What is left out from now on is left out from the next chunk on.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_left_out_meanwhile_is_not_stored_any_more() {
    let tracked = Tracked::new(MANY_TYPES).await;
    let arguments = ["backfill", "t", "--chunk-rows", "10", "--max-rows-per-second", "100"];
    let mut running = tracked.worker(&arguments).spawn();
    eventually(STORED_WITHIN, "rows to be stored", async || {
        (tracked.count().await > 0).then_some(())
    })
    .await;
    tracked.setup(&["--exclude", "t"]).await;
    let output = running.wait(STORED_WITHIN).await.assert_code(0);
    assert!(output.stderr.contains("not tracked any more"), "{output}");
    assert!(output.stdout.contains("not finished"), "{output}");
    assert!(tracked.count().await < 3_000);
}
