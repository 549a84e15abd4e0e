//! Large transactions, in bounded memory.

use std::time::Duration;

use bemi_tests::{Cluster, ClusterOptions, Resident, Tracked};

use super::truth;

/// What the worker may hold at most: its batches, the events read ahead, and the program.
const RESIDENT_BYTES_MAX: u64 = 150 * 1024 * 1024;

const ROWS: i64 = 2_000_000;

/// On a cluster of its own: a slot cannot be created while this transaction runs anywhere in it.
#[tokio::test(flavor = "multi_thread")]
async fn two_million_rows_in_one_transaction_are_stored_in_bounded_memory() {
    let cluster = Cluster::start(&ClusterOptions::new()).unwrap();
    let tracked = Tracked::on(&cluster, "CREATE TABLE t (id bigint PRIMARY KEY, a text)").await;
    tracked
        .sql(&format!("INSERT INTO t SELECT g, 'row ' || g FROM generate_series(1, {ROWS}) g"))
        .await;
    let mut worker = tracked.run().await;
    bemi_tests::eventually(Duration::from_secs(600), "the transaction to be stored", async || {
        assert!(worker.is_running(), "{}", worker.stderr());
        let count = tracked.count().await;
        assert!(count == 0 || count == ROWS, "half a transaction is visible: {count}");
        (count == ROWS).then_some(())
    })
    .await;
    let peak = Resident::of(worker.pid()).unwrap().peak_bytes;
    assert!(peak < RESIDENT_BYTES_MAX, "the worker held {peak} bytes");
    truth::require_whole_transactions(&tracked).await;
    let distinct: i64 = tracked.value("SELECT count(DISTINCT primary_key) FROM changes").await;
    assert_eq!(distinct, ROWS);
    worker.stop().await;
}

/// Each of its rows has the whole context.
#[tokio::test(flavor = "multi_thread")]
async fn a_truncate_of_many_tables_under_a_large_context_is_stored_in_bounded_memory() {
    const TABLES: i64 = 100;
    let tracked = Tracked::new(&format!(
        "DO $$ BEGIN FOR n IN 1..{TABLES} LOOP \
             EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY)', n); \
         END LOOP; END $$"
    ))
    .await;
    let tables: Vec<_> = (1..=TABLES).map(|number| format!("t{number}")).collect();
    tracked
        .sql(&format!(
            "BEGIN; \
             SELECT pg_logical_emit_message(true, '_bemi', \
                 jsonb_build_object('much', repeat('x', 2000000))::text); \
             TRUNCATE {}; \
             COMMIT",
            tables.join(", ")
        ))
        .await;
    let worker = tracked.run().await;
    tracked.wait_for_count(TABLES).await;
    let peak = Resident::of(worker.pid()).unwrap().peak_bytes;
    assert!(peak < RESIDENT_BYTES_MAX, "the worker held {peak} bytes");
    let sequences: Vec<i64> =
        tracked.value("SELECT array_agg(sequence ORDER BY sequence) FROM changes").await;
    assert!(sequences.into_iter().eq(1..=TABLES));
    truth::require_whole_transactions(&tracked).await;
    worker.stop().await;
}

/// The client counts what it reads ahead in rows, whatever their size.
#[tokio::test(flavor = "multi_thread")]
async fn large_rows_that_wait_for_the_destination_are_held_in_bounded_memory() {
    const ROWS: i64 = 300;
    let tracked = Tracked::new("CREATE TABLE t (id bigint PRIMARY KEY, a text)").await;
    tracked
        .sql(&format!(
            "INSERT INTO t SELECT g, repeat('x', 1000000) FROM generate_series(1, {ROWS}) g"
        ))
        .await;
    let blocker = tracked.database.connect().await.unwrap();
    blocker.batch_execute("BEGIN; LOCK TABLE changes IN SHARE MODE").await.unwrap();
    let worker = tracked.run().await;
    bemi_tests::eventually(
        Duration::from_secs(60),
        "the worker to wait for the lock",
        async || {
            let waits: bool = tracked
                .value(
                    "SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid) \
                 WHERE NOT l.granted AND a.application_name = 'bemi-worker')",
                )
                .await;
            waits.then_some(())
        },
    )
    .await;
    blocker.batch_execute("COMMIT").await.unwrap();
    tracked.wait_for_count(ROWS).await;
    let peak = Resident::of(worker.pid()).unwrap().peak_bytes;
    assert!(peak < RESIDENT_BYTES_MAX, "the worker held {peak} bytes");
    truth::require_whole_transactions(&tracked).await;
    worker.stop().await;
}

/// Of a value there is what the stream sent, and what is stored; nothing else, and not for longer than it takes.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_value_is_held_twice_at_most_and_let_go_of() {
    const VALUE_BYTES: u64 = 60_000_000;
    let tracked = Tracked::new("CREATE TABLE t (id bigint PRIMARY KEY, a text)").await;
    tracked.sql(&format!("INSERT INTO t VALUES (1, repeat('x', {VALUE_BYTES}))")).await;
    let worker = tracked.run().await;
    tracked.wait_for_count(1).await;
    let peak = Resident::of(worker.pid()).unwrap().peak_bytes;
    assert!(peak < 2 * VALUE_BYTES + RESIDENT_BYTES_MAX / 2, "the worker held {peak} bytes");
    bemi_tests::eventually(Duration::from_secs(60), "the worker to let go of it", async || {
        let now = Resident::of(worker.pid()).unwrap().now_bytes;
        (now < VALUE_BYTES).then_some(())
    })
    .await;
    worker.stop().await;
}

/// Killed in the middle of a transaction that takes many batches, nothing of it stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_inside_a_large_transaction_leaves_none_of_it() {
    let tracked = Tracked::new("CREATE TABLE t (id bigint PRIMARY KEY, a text)").await;
    tracked.sql("INSERT INTO t SELECT g, repeat('x', 500) FROM generate_series(1, 60000) g").await;
    let mut worker = tracked.run().await;
    // It copies while its session shows a transaction that holds a lock on `changes`.
    bemi_tests::eventually(Duration::from_secs(60), "the worker to copy", async || {
        let copying: bool = tracked
            .value(
                "SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid) \
                 WHERE l.relation = 'changes'::regclass AND l.mode = 'RowExclusiveLock' \
                   AND a.application_name = 'bemi-worker')",
            )
            .await;
        copying.then_some(())
    })
    .await;
    worker.kill_9();
    let count = tracked.count().await;
    assert!(count == 0 || count == 60_000, "half a transaction is visible: {count}");
    tracked.store().await;
    assert_eq!(tracked.count().await, 60_000);
    truth::require_whole_transactions(&tracked).await;
}
