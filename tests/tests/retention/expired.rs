//! What retention drops, it says it does not know any more.

use std::time::Duration;

use bemi_core::record::{Key, Point, Record, RowAt, TableName, Unknown};
use bemi_tests::{Tracked, eventually};
use bemi_worker::connect::Session;

use super::aged::{age, keep, partitioned, with_old_days};

async fn record(tracked: &Tracked) -> Record<Session> {
    let session = Session::new(tracked.database.connect().await.unwrap());
    Record::new(session).waiting(Duration::ZERO)
}

async fn told(tracked: &Tracked, point: Point, key: &str) -> RowAt {
    let table = TableName::new("public", "todo");
    record(tracked).await.as_of(point).row(&table, &Key::from(key)).await.unwrap()
}

fn is_expired(row: &RowAt) -> bool {
    matches!(row, RowAt::Unknown(Unknown::Expired { .. }))
}

/// Row 1 was made 100 days ago and never changed; row 2 was, and changed 50 days ago, and row 3 was made then.
async fn history() -> Tracked {
    let tracked = partitioned().await;
    with_old_days(&tracked).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'old'), (2, 'old')").await;
    tracked.store().await;
    age(&tracked, 50).await;
    tracked
        .sql("UPDATE todo SET task = 'newer' WHERE id = 2; INSERT INTO todo VALUES (3, 'new')")
        .await;
    tracked.store().await;
    age(&tracked, 50).await;
    tracked
}

#[tokio::test]
async fn what_was_dropped_is_unknown_and_what_is_kept_is_told() {
    let tracked = history().await;
    let dropped: i64 = tracked.value("SELECT min(commit_position) FROM changes").await;
    let newer: i64 =
        tracked.value("SELECT commit_position FROM changes WHERE operation = 'UPDATE'").await;
    let kept = Point::Lsn(bemi_core::Lsn::from_bigint(newer));
    let before = Point::Lsn(bemi_core::Lsn::from_bigint(dropped));
    assert!(matches!(told(&tracked, kept, "1").await, RowAt::Present(_)));

    let preview = tracked
        .worker(&["retention", "--retention", "90d", "--dry-run"])
        .run_to_end()
        .await
        .assert_code(0)
        .stdout;
    assert!(preview.starts_with("would drop bemi.changes_"), "{preview}");
    assert_eq!(tracked.count().await, 4);
    let done = keep(&tracked, "90d").await.stdout;
    assert!(done.contains("drop bemi.changes_"), "{done}");
    assert_eq!(tracked.count().await, 2);

    // A row whose changes are gone is unknown, also behind them, and so is one that never was.
    assert!(is_expired(&told(&tracked, kept, "1").await));
    assert!(is_expired(&told(&tracked, kept, "9").await));
    assert!(is_expired(
        &told(&tracked, Point::BeforeLsn(bemi_core::Lsn::from_bigint(dropped)), "2").await
    ));
    assert!(is_expired(&told(&tracked, "-100d".parse().unwrap(), "2").await));
    // What a later change says of what was before it still holds, from the end of what was dropped on.
    assert!(
        matches!(told(&tracked, before, "2").await, RowAt::Present(row) if row.to_string().contains("old"))
    );
    assert!(
        matches!(told(&tracked, kept, "2").await, RowAt::Present(row) if row.to_string().contains("newer"))
    );
    assert!(matches!(told(&tracked, before, "3").await, RowAt::Absent));
    assert!(matches!(told(&tracked, "-70d".parse().unwrap(), "2").await, RowAt::Present(_)));

    let mut record = record(&tracked).await;
    let table = TableName::new("public", "todo");
    let coverage = record.coverage_of(&table).await.unwrap();
    assert_eq!(coverage.since.unwrap().position.0.to_bigint(), dropped);
    assert_eq!(coverage.complete_since, None);
    assert!(coverage.holes.iter().any(|hole| matches!(hole.why, Unknown::Expired { .. })));
    let whole = record.as_of(kept).table(&table).await.unwrap();
    assert!(!whole.is_complete);
}

#[tokio::test]
async fn a_gap_that_retention_made_is_no_loss() {
    let tracked = history().await;
    keep(&tracked, "90d").await;
    let gap: Vec<String> = tracked
        .value("SELECT array_agg(kind || ' ' || from_position || ' ' || (kept_since > now() - interval '100 days')) FROM bemi.gaps")
        .await;
    assert_eq!(gap, ["expired 0 true"]);
    let status = tracked.worker(&["status", "--format", "json"]).run_to_end().await.assert_code(0);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["stored"]["gaps"], 0, "{status}");
    let log: Vec<String> = tracked
        .value(
            "SELECT array_agg(relation || ' ' || (to_time - from_time) || ' ' || (dropped_at >= announced_at))
             FROM bemi.retention",
        )
        .await;
    assert_eq!(log.len(), 1);
    assert!(log[0].ends_with(" 1 day true"), "{log:?}");
    // And again there is nothing to do.
    let again = keep(&tracked, "90d").await.stdout;
    assert_eq!(again, "nothing to do\n");
}

#[tokio::test]
async fn in_sql_it_is_unknown_in_the_same_words() {
    let tracked = history().await;
    tracked.setup(&["--sql-pack"]).await;
    keep(&tracked, "90d").await;
    let row = tracked
        .client
        .query_one("SELECT status, reason FROM bemi.row_as_of('todo', '1', '-1d')", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, String>(0), "unknown");
    let reason: String = row.get(1);
    assert!(reason.contains("have expired: they are kept since 2"), "{reason}");
    let RowAt::Unknown(why) = told(&tracked, "-1d".parse().unwrap(), "1").await else { panic!() };
    assert_eq!(reason, why.to_string());
    let covered: bool = tracked
        .value("SELECT since > now() - interval '100 days' AND complete_since IS NULL FROM bemi.coverage WHERE \"table\" = 'todo'")
        .await;
    assert!(covered);
}

#[tokio::test]
async fn a_transaction_that_reads_delays_it_and_nothing_else() {
    let tracked = history().await;
    let mut reader = tracked.database.connect().await.unwrap();
    let reading = reader.transaction().await.unwrap();
    let all = "SELECT count(*) FROM changes";
    assert_eq!(reading.query_one(all, &[]).await.unwrap().get::<_, i64>(0), 4);
    let worker = tracked.run().await;
    let told = keep(&tracked, "90d").await.stdout;
    assert!(told.contains("is in use"), "{told}");
    // Neither who stores nor who reads has waited, and nobody is told what is about to go.
    tracked.sql("INSERT INTO todo VALUES (10, 'meanwhile')").await;
    eventually(Duration::from_secs(60), "it is stored", async || {
        let stored = "SELECT count(*) FROM changes WHERE primary_key = '10'";
        (tracked.value::<i64>(stored).await == 1).then_some(())
    })
    .await;
    assert!(is_expired(&told_now(&tracked).await));
    drop(reading);
    keep(&tracked, "90d").await;
    worker.stop().await.assert_code(0);
    assert_eq!(tracked.count().await, 3);
    assert_eq!(
        tracked.value::<i64>("SELECT count(*) FROM bemi.retention WHERE dropped_at IS NULL").await,
        0
    );
}

async fn told_now(tracked: &Tracked) -> RowAt {
    told(tracked, "-1d".parse().unwrap(), "1").await
}

#[tokio::test]
async fn cut_off_anywhere_it_says_no_more_than_is_there_and_goes_on() {
    let tracked = history().await;
    // A reader keeps the partition from going, so that there is time to be cut off.
    let mut reader = tracked.database.connect().await.unwrap();
    let reading = reader.transaction().await.unwrap();
    reading.query_one("SELECT count(*) FROM changes", &[]).await.unwrap();
    let mut cut = tracked.worker(&["retention", "--retention", "90d"]).spawn();
    let announced = "SELECT count(*) FROM bemi.retention";
    eventually(Duration::from_secs(60), "it is announced", async || {
        (tracked.value::<i64>(announced).await == 1).then_some(())
    })
    .await;
    // From here on nothing is told that may go.
    assert!(is_expired(&told_now(&tracked).await));
    let pending = "SELECT EXISTS (SELECT FROM pg_inherits WHERE inhdetachpending)";
    eventually(Duration::from_secs(60), "it is being detached", async || {
        tracked.value::<bool>(pending).await.then_some(())
    })
    .await;
    cut.kill_9();
    drop(cut);
    drop(reading);
    eventually(Duration::from_secs(60), "its server process has noticed", async || {
        let others = "SELECT NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory'
                                           AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))";
        tracked.value::<bool>(others).await.then_some(())
    })
    .await;
    keep(&tracked, "90d").await;
    assert_eq!(tracked.count().await, 2);
    assert!(!tracked.value::<bool>(pending).await);
    assert_eq!(
        tracked.value::<i64>("SELECT count(*) FROM bemi.retention WHERE dropped_at IS NULL").await,
        0
    );
    let again = keep(&tracked, "90d").await.stdout;
    assert_eq!(again, "nothing to do\n");
}
