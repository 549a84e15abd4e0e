//! What is stored of a row.

use bemi_tests::{TestDatabase, Tracked, shared_cluster};
use bemi_worker::backfill::{BackfillEvent, BackfillOptions};

use super::{backfill, config};

/// What must not be stored is not in a baseline either, nor in the progress of it.
#[tokio::test]
async fn columns_that_are_masked_or_left_out_are_so_in_a_baseline_too() {
    let tracked = Tracked::untracked(
        shared_cluster(),
        "CREATE TABLE t (id int PRIMARY KEY, name text, secret text); \
         INSERT INTO t SELECT g, 'n' || g, 's' || g FROM generate_series(1, 5) g",
    )
    .await;
    tracked
        .setup(&["--all-tables", "--exclude", "public.t.secret", "--mask", "t.name=text:(hidden)"])
        .await;
    backfill(&tracked, &["t"]).await.assert_code(0);
    let changes = tracked.changes().await;
    assert_eq!(changes.len(), 5);
    assert_eq!(changes[0].after, serde_json::json!({"id": 1, "name": "(hidden)"}));
}

/// The server leaves generated columns out of the stream, some or all of them: a baseline has the columns
/// that a CREATE has.
#[tokio::test]
async fn a_baseline_has_the_columns_of_a_create() {
    let tracked = Tracked::untracked(
        shared_cluster(),
        "CREATE TABLE t (id int PRIMARY KEY, double int GENERATED ALWAYS AS (id * 2) STORED, \
             no int GENERATED ALWAYS AS IDENTITY); \
         INSERT INTO t (id) VALUES (1)",
    )
    .await;
    tracked.setup(&["--all-tables"]).await;
    tracked.sql("INSERT INTO t (id) VALUES (2)").await;
    backfill(&tracked, &["t"]).await.assert_code(0);
    tracked.store().await;
    let changes = tracked.changes().await;
    let of = |operation: &str| {
        let change = changes.iter().find(|change| change.what() == (operation, "2"));
        change.unwrap().after.clone()
    };
    assert_eq!(of("SNAPSHOT"), of("CREATE"));
    assert_eq!(of("SNAPSHOT")["no"], 2);
}

/// A row that the destination does not take is set aside, and is counted all the same.
#[tokio::test]
async fn a_row_that_is_refused_goes_to_quarantine() {
    let tracked = Tracked::new(
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)",
    )
    .await;
    tracked.sql("ALTER TABLE changes ADD CHECK (primary_key <> '42')").await;
    backfill(&tracked, &["t"]).await.assert_code(0);
    assert_eq!(tracked.count().await, 99);
    let (refused, rows): (i64, i64) = {
        let row = tracked
            .client
            .query_one(
                "SELECT (SELECT count(*) FROM bemi.quarantine WHERE \"table\" = 't'), rows \
                 FROM bemi.backfill",
                &[],
            )
            .await
            .unwrap();
        (row.get(0), row.get(1))
    };
    assert_eq!((refused, rows), (1, 100));
}

/// Rows of a megabyte: a chunk of ten thousand of them would be too much for anybody.
#[tokio::test]
async fn wide_rows_are_stored_in_small_chunks() {
    let tracked = Tracked::new(
        "CREATE TABLE t (id int PRIMARY KEY, wide text); ALTER TABLE t ALTER wide SET STORAGE EXTERNAL; \
         INSERT INTO t SELECT g, repeat(md5(g::text), 32768) FROM generate_series(1, 80) g",
    )
    .await;
    let config = config(&tracked);
    let (_keep, shutdown) = tokio::sync::watch::channel(false);
    let mut chunks = Vec::new();
    // The first chunk knows nothing of the rows yet.
    let options = BackfillOptions::new().chunk_rows(10);
    backfill::run(&config, &options, shutdown, |event| {
        if let BackfillEvent::Stored { rows, .. } = event {
            chunks.push(rows);
        }
    })
    .await
    .unwrap();
    assert_eq!(chunks.iter().sum::<u64>(), 80);
    assert!(chunks.iter().all(|rows| *rows <= 32), "{chunks:?}");
    let whole: i64 = tracked
        .value("SELECT count(*) FROM changes WHERE length(after ->> 'wide') = 1048576")
        .await;
    assert_eq!(whole, 80);
}

#[tokio::test]
async fn a_database_of_its_own_holds_the_baseline() {
    let tracked = Tracked::untracked(
        shared_cluster(),
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)",
    )
    .await;
    let destination = TestDatabase::create(shared_cluster()).await.unwrap();
    let at = |arguments: &[&str]| {
        tracked.worker(arguments).env("DESTINATION_DATABASE_URL", destination.url()).run_to_end()
    };
    at(&["setup", "--all-tables"]).await.assert_code(0);
    at(&["backfill", "--all-tables"]).await.assert_code(0);
    let client = destination.connect().await.unwrap();
    let row = client
        .query_one(
            "SELECT count(*), min(database), (SELECT rows FROM bemi.backfill) FROM changes",
            &[],
        )
        .await
        .unwrap();
    assert_eq!((row.get(0), row.get(1), row.get(2)), (100_i64, tracked.database.name(), 100_i64));
    let here: bool = tracked.value("SELECT to_regclass('bemi.backfill') IS NOT NULL").await;
    assert!(!here, "the source holds none of it");
}
