//! Counters, compared with what is stored.

use bemi_tests::{STORED_WITHIN, Tracked, eventually};

use super::observed::Observed;

const SCHEMA: &str = "CREATE TABLE t (id int PRIMARY KEY, a text, at timestamptz); CREATE TABLE u (id int PRIMARY KEY)";

/// As JSON text, for `jsonb`.
const MATCHED: &str = "SELECT count(*) FROM changes WHERE context <> '{}'";
const MISSING: &str = "SELECT count(*) FROM changes WHERE context = '{}'";
const TRANSACTIONS: &str = "SELECT count(DISTINCT commit_position) FROM changes";

#[allow(clippy::cast_precision_loss, reason = "numbers of rows in a test are small")]
async fn value(tracked: &Tracked, sql: &str) -> f64 {
    tracked.value::<i64>(sql).await as f64
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_counted_is_what_is_stored_with_and_without_contexts() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked.setup(&["--ignore", "at"]).await;
    let observed = Observed::run(&tracked).await;
    let before = observed.scrape().await;
    assert_eq!(before.sum("bemi_changes_total"), 0.0);
    tracked
        .sql(
            "BEGIN; INSERT INTO t VALUES (1); \
                    SELECT pg_logical_emit_message(true, '_bemi', '{\"user\":1}'); \
                    INSERT INTO t VALUES (2), (3); \
                    SELECT pg_logical_emit_message(true, '_bemi', '{ }'); \
                    INSERT INTO t VALUES (4); COMMIT",
        )
        .await;
    // Not as it should be, in four ways: one of them is in no transaction, and governs nothing.
    tracked
        .sql(
            "SELECT pg_logical_emit_message(false, '_bemi', '{\"user\":2}'); \
             BEGIN; SELECT pg_logical_emit_message(true, '_bemi', 'garbage'); \
                    INSERT INTO u VALUES (1), (2); \
                    SELECT pg_logical_emit_message(true, '_bemi', ''); COMMIT",
        )
        .await;
    tracked.sql("BEGIN; UPDATE t SET at = now(); UPDATE t SET a = 'x' WHERE id = 1; COMMIT").await;
    tracked.sql("TRUNCATE u").await;
    // The same change in many transactions, and many changes in one.
    for id in 10..30 {
        tracked.sql(&format!("INSERT INTO u VALUES ({id})")).await;
    }
    tracked.sql("INSERT INTO t SELECT g FROM generate_series(1000, 30000) g").await;
    tracked.wait_for_count(4 + 2 + 1 + 1 + 20 + 29_001).await;

    let stored = value(&tracked, "SELECT count(*) FROM changes").await;
    let scrape = observed.scrape_after(stored).await;
    let changes = |context| scrape.labelled("bemi_changes_total", "context", context);
    assert_eq!(changes("matched"), value(&tracked, MATCHED).await);
    assert_eq!(changes("missing"), value(&tracked, MISSING).await);
    assert_eq!(changes("matched"), 4.0);
    assert_eq!(scrape.value("bemi_transactions_total"), value(&tracked, TRANSACTIONS).await);
    assert_eq!(scrape.value("bemi_commit_to_stored_seconds_count"), 25.0);
    let bad = |reason| scrape.labelled("bemi_bad_contexts_total", "reason", reason);
    assert_eq!((bad("unreadable"), bad("without_transaction")), (2.0, 1.0));
    assert_eq!(scrape.value("bemi_ignored_changes_total"), 4.0);
    assert_eq!(scrape.value("bemi_quarantined_changes_total"), 0.0);
    assert!(scrape.value("bemi_received_bytes_total") > 29_000.0 * 10.0);
    assert!(scrape.value("bemi_stored_bytes_total") > 29_000.0 * 50.0);
    observed.worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_to_quarantine_is_counted_there_and_not_as_stored() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked.sql("ALTER TABLE changes ADD CHECK (primary_key NOT IN ('3', '5'))").await;
    let observed = Observed::run(&tracked).await;
    tracked
        .sql(
            "BEGIN; INSERT INTO u SELECT g FROM generate_series(1, 4) g; \
                    SELECT pg_logical_emit_message(true, '_bemi', '{\"user\":1}'); \
                    INSERT INTO u SELECT g FROM generate_series(5, 9) g; COMMIT",
        )
        .await;
    let scrape = observed.scrape_after(7.0).await;
    let changes = |context| scrape.labelled("bemi_changes_total", "context", context);
    assert_eq!((changes("matched"), changes("missing")), (4.0, 3.0));
    assert_eq!(tracked.count().await, 7);
    assert_eq!(scrape.value("bemi_quarantined_changes_total"), 2.0);
    // What lies there is asked of the database, at intervals.
    let there = observed
        .scrape_until("what is in quarantine", |scrape| {
            scrape.get("bemi_quarantine_rows", &[]) == Some(2.0)
        })
        .await;
    assert_eq!(there.value("bemi_gaps"), 0.0);
    observed.worker.stop().await;
}

/// The worker's connections are ended again and again while it stores. Whatever was on the way then is
/// stored once, and counted once.
#[tokio::test(flavor = "multi_thread")]
async fn a_counter_never_falls_and_nothing_is_counted_twice_over_reconnects() {
    let tracked = Tracked::new(SCHEMA).await;
    let observed = Observed::run(&tracked).await;
    let mut last = observed.scrape().await;
    for round in 0..6 {
        let from = round * 20_000;
        tracked
            .sql(&format!("INSERT INTO t SELECT g FROM generate_series({from}, {from} + 19999) g"))
            .await;
        for id in 0..10 {
            tracked.sql(&format!("INSERT INTO u VALUES ({round} * 10 + {id})")).await;
        }
        let sessions = observed.worker.stderr().matches("streaming").count();
        tracked
            .sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE application_name = 'bemi-worker' AND datname = current_database()",
            )
            .await;
        eventually(STORED_WITHIN, "it to stream again", async || {
            (observed.worker.stderr().matches("streaming").count() > sessions).then_some(())
        })
        .await;
        let now = observed.scrape().await;
        now.require_not_below(&last);
        last = now;
    }
    let expected = 6 * (20_000 + 10);
    tracked.wait_for_count(expected).await;
    let stored = value(&tracked, "SELECT count(*) FROM changes").await;
    let scrape = observed.scrape_after(stored).await;
    scrape.require_not_below(&last);
    assert_eq!(scrape.sum("bemi_changes_total"), stored);
    assert_eq!(scrape.value("bemi_transactions_total"), value(&tracked, TRANSACTIONS).await);
    assert!(scrape.sum("bemi_retries_total") >= 6.0, "{scrape:?}");
    observed.worker.stop().await;
}
