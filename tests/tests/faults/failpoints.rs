//! A worker that ends at each failpoint, as by a power cut, and what its successor makes of what it left.

use std::time::Duration;

use bemi_tests::faults::Truth;
use bemi_tests::{Output, Tracked, shared_cluster};
use bemi_worker::failpoint::{ENVIRONMENT, Failpoint};

const SCHEMA: &str = "CREATE TABLE t (id bigint PRIMARY KEY, a text)";

/// How long a worker may take to come to its failpoint.
const REACHED_WITHIN: Duration = Duration::from_secs(60);

/// Where every worker comes by that stores a change.
const STORING: [Failpoint; 10] = [
    Failpoint::BeforeEpoch,
    Failpoint::AfterEpoch,
    Failpoint::BeforeCopy,
    Failpoint::AfterCopy,
    Failpoint::BeforeCheckpoint,
    Failpoint::AfterCheckpoint,
    Failpoint::BeforeCommit,
    Failpoint::AfterCommit,
    Failpoint::BeforeAcknowledge,
    Failpoint::AfterAcknowledge,
];

/// Runs the worker until it ends at the failpoint.
async fn fail_at(tracked: &Tracked, point: Failpoint, arguments: &[&str]) -> Output {
    let command = tracked.worker(arguments).env(ENVIRONMENT, format!("{}:1", point.name()));
    let output = command.spawn().wait(REACHED_WITHIN).await;
    let reached = format!("failpoint {} reached", point.name());
    assert!(output.code.is_none() && output.stderr.contains(&reached), "{point:?}: {output}");
    tracked.database.wait_for_free_slot(&tracked.database.slot_name()).await;
    output
}

async fn told() -> (Tracked, Truth) {
    let tracked = Tracked::untracked(shared_cluster(), SCHEMA).await;
    let truth = Truth::install(&tracked.client, &["t"]).await;
    tracked.setup(&["--tables", "t", "--replica-identity", "full"]).await;
    (tracked, truth)
}

#[tokio::test]
async fn storing_a_transaction() {
    let (tracked, truth) = told().await;
    let insert = async |n: usize| {
        let rows = n * 10;
        tracked
            .sql(&format!(
                "BEGIN; SELECT truth.say('{{\"n\": {n}}}'); \
                 INSERT INTO t SELECT g FROM generate_series({rows}, {rows} + 9) g; \
                 UPDATE t SET a = 'x' WHERE id % 7 = {n} % 7; COMMIT"
            ))
            .await;
    };
    for (n, point) in STORING.into_iter().enumerate() {
        insert(n).await;
        fail_at(&tracked, point, &["run"]).await;
    }
    tracked.store().await;
    let changes = truth.require(&tracked.client, &tracked.client).await;
    assert_eq!(
        i64::try_from(changes).unwrap(),
        tracked.value::<i64>("SELECT changes_stored FROM bemi.checkpoint").await
    );
}

#[tokio::test]
async fn storing_what_became_of_a_table() {
    let (tracked, truth) = told().await;
    for (n, point) in
        [Failpoint::BeforeTableEvent, Failpoint::AfterTableEvent].into_iter().enumerate()
    {
        tracked
            .sql(&format!("ALTER TABLE t ADD COLUMN c{n} int; INSERT INTO t VALUES ({n})"))
            .await;
        fail_at(&tracked, point, &["run"]).await;
    }
    tracked.store().await;
    truth.require(&tracked.client, &tracked.client).await;
    let altered = "SELECT count(*) FROM bemi.table_events WHERE event = 'altered'";
    assert_eq!(tracked.value::<i64>(altered).await, 2);
}

#[tokio::test]
async fn putting_a_change_into_quarantine() {
    for point in [Failpoint::BeforeQuarantine, Failpoint::AfterQuarantine] {
        let tracked = Tracked::new(SCHEMA).await;
        tracked.sql("ALTER TABLE changes ADD CHECK (primary_key <> '2')").await;
        tracked.sql("INSERT INTO t SELECT g FROM generate_series(1, 3) g").await;
        fail_at(&tracked, point, &["run"]).await;
        tracked.store().await;
        let stored: Vec<_> =
            tracked.changes().await.into_iter().map(|c| c.primary_key.unwrap()).collect();
        assert_eq!(stored, ["1", "3"]);
        assert_eq!(tracked.value::<i64>("SELECT count(*) FROM bemi.quarantine").await, 1);
    }
}

#[tokio::test]
async fn passing_a_gap() {
    let on_gap = ["run", "--once", "--on-gap", "continue"];
    for point in [
        Failpoint::BeforeGap,
        Failpoint::AfterSlotRenewed,
        Failpoint::AfterGap,
        Failpoint::AfterGapPassed,
    ] {
        let tracked = Tracked::new(SCHEMA).await;
        tracked.sql("INSERT INTO t VALUES (1)").await;
        tracked.store().await;
        tracked.database.drop_slot(&tracked.database.slot_name()).await;
        tracked.sql("INSERT INTO t VALUES (2)").await;
        fail_at(&tracked, point, &on_gap).await;
        if point == Failpoint::BeforeGap {
            tracked.worker(&on_gap).run_to_end().await.assert_code(0);
        }
        tracked.sql("INSERT INTO t VALUES (3)").await;
        tracked.worker(&on_gap).run_to_end().await.assert_code(0);
        let stored: Vec<_> =
            tracked.changes().await.into_iter().map(|c| c.primary_key.unwrap()).collect();
        assert_eq!(stored, ["1", "3"], "{point:?}");
        // What is lost is between what was stored before and what was stored behind.
        let is_told = "SELECT count(*) = 1 AND bool_and( \
             from_position >= (SELECT max(commit_position) FROM changes WHERE primary_key = '1') \
             AND to_position <= (SELECT max(commit_position) FROM changes WHERE primary_key = '3') \
             AND to_position > from_position) FROM bemi.gaps";
        assert!(tracked.value::<bool>(is_told).await, "{point:?}");
    }
}

#[tokio::test]
async fn storing_a_chunk_of_a_baseline() {
    let tracked = Tracked::untracked(shared_cluster(), SCHEMA).await;
    tracked.sql("INSERT INTO t SELECT g FROM generate_series(1, 250) g").await;
    tracked.setup(&["--all-tables"]).await;
    let backfill = ["backfill", "t", "--chunk-rows", "100"];
    for point in [
        Failpoint::BeforeCopy,
        Failpoint::BeforeBackfillProgress,
        Failpoint::AfterBackfillProgress,
        Failpoint::BeforeCommit,
        Failpoint::AfterCommit,
    ] {
        fail_at(&tracked, point, &backfill).await;
    }
    tracked.worker(&backfill).run_to_end().await.assert_code(0);
    let rows = "SELECT count(*) = 250 AND count(DISTINCT primary_key) = 250 FROM changes WHERE operation = 'SNAPSHOT'";
    assert!(tracked.value::<bool>(rows).await);
}
