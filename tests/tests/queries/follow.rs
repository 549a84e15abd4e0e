//! Following: each change once, in the order of commits, whole transactions, nothing of a baseline.

use bemi_core::Change;
use bemi_core::record::{Changes, Cursor, RecordError};
use bemi_tests::{STORED_WITHIN, Tracked, eventually};

use crate::asked::{noted, record, todo};

#[tokio::test(flavor = "multi_thread")]
async fn whoever_begins_at_the_end_sees_what_is_new() {
    let tracked = Tracked::new("CREATE TABLE todo (id int PRIMARY KEY)").await;
    let mut record = record(&tracked).await;
    let nothing_stored = record.end().await.unwrap();
    tracked.sql("INSERT INTO todo VALUES (1)").await;
    tracked.store().await;

    let all = Changes::new();
    let first = record.follow(&all, nothing_stored).await.unwrap();
    assert_eq!(noted(&first.changes), ["CREATE 1"]);
    let end = record.end().await.unwrap();
    assert_eq!((first.reached, first.more), (end, false));
    let again = record.follow(&all, end).await.unwrap();
    assert_eq!((again.changes.len(), again.reached, again.more), (0, end, false));

    tracked.sql("INSERT INTO todo VALUES (2); DELETE FROM todo WHERE id = 1").await;
    tracked.store().await;
    let next = record.follow(&all, end).await.unwrap();
    assert_eq!(noted(&next.changes), ["CREATE 2", "DELETE 1"]);
    let from_the_start = record.follow(&all, Cursor::START).await.unwrap();
    assert_eq!(noted(&from_the_start.changes), ["CREATE 1", "CREATE 2", "DELETE 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_moves_on_where_nothing_fulfils_the_filter() {
    let tracked = Tracked::new(
        "CREATE TABLE todo (id int PRIMARY KEY); CREATE TABLE other (id int PRIMARY KEY)",
    )
    .await;
    let mut record = record(&tracked).await;
    let begun = record.end().await.unwrap();
    tracked.sql("INSERT INTO other SELECT generate_series(1, 5)").await;
    tracked.store().await;
    let followed = record.follow(&Changes::new().table(todo()), begun).await.unwrap();
    assert!(followed.changes.is_empty() && followed.reached > begun);
    let name = tracked.database.name().to_owned();
    let of_here = record.follow(&Changes::new().database(name), begun).await.unwrap();
    assert_eq!(of_here.changes.len(), 5);
    let error = record.follow(&Changes::new().database("another"), begun).await.unwrap_err();
    assert!(matches!(error, RecordError::NotSetUp { .. }), "{error}");
}

/// The commits of two clusters have no common order.
#[tokio::test(flavor = "multi_thread")]
async fn of_several_sources_it_is_the_one_that_was_named() {
    let tracked = Tracked::new("CREATE TABLE todo (id int PRIMARY KEY)").await;
    tracked.sql("INSERT INTO todo VALUES (1)").await;
    tracked.store().await;
    // What the worker of another cluster would have left here.
    tracked
        .sql(
            "INSERT INTO bemi.checkpoint
                 (slot, system_identifier, timeline, database, publications, position, committed_at)
             VALUES ('another', '1', 1, 'elsewhere', '{}', 1000, now());
             INSERT INTO changes SELECT c.* FROM changes AS o,
                 jsonb_populate_record(o, jsonb_build_object('id', gen_random_uuid(),
                     'database', 'elsewhere', 'primary_key', '7', 'commit_position', 900)) AS c",
        )
        .await;
    // Unless another one is named, it is the database that the record is in.
    let here = record(&tracked).await.follow(&Changes::new(), Cursor::START).await.unwrap();
    assert_eq!(noted(&here.changes), ["CREATE 1"]);
    let mut there = record(&tracked).await.for_slot("another");
    let elsewhere = Changes::new().database("elsewhere");
    for followed in [
        there.follow(&Changes::new(), Cursor::START).await.unwrap(),
        record(&tracked).await.follow(&elsewhere, Cursor::START).await.unwrap(),
    ] {
        assert_eq!(noted(&followed.changes), ["CREATE 7"]);
        assert_eq!(followed.reached.commit_position.0.get(), 999);
    }

    tracked.sql("UPDATE bemi.checkpoint SET system_identifier = '1'").await;
    let error = record(&tracked).await.end().await.unwrap_err();
    assert!(matches!(error, RecordError::SeveralSlots { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_of_a_baseline_are_nothing_new() {
    let tracked = Tracked::untracked(
        bemi_tests::shared_cluster(),
        "CREATE TABLE todo (id int PRIMARY KEY); INSERT INTO todo VALUES (1), (2)",
    )
    .await;
    tracked.setup(&["--all-tables", "--replica-identity", "full"]).await;
    let mut record = record(&tracked).await;
    let begun = record.end().await.unwrap();
    tracked.sql("INSERT INTO todo VALUES (3)").await;
    tracked.store().await;
    tracked.worker(&["backfill", "--all-tables"]).run_to_end().await.assert_code(0);
    tracked.sql("INSERT INTO todo VALUES (4)").await;
    tracked.store().await;
    assert_eq!(tracked.count().await, 5, "rows of the baseline are stored");
    let followed = record.follow(&Changes::new(), begun).await.unwrap();
    assert_eq!(noted(&followed.changes), ["CREATE 3", "CREATE 4"]);
}

/// Writers and a worker at work, with a follower beside them that asks for a few changes at a time:
/// in the end it has seen what is stored, in that order, and at each pause whole transactions.
#[tokio::test(flavor = "multi_thread")]
async fn beside_a_worker_nothing_is_skipped_repeated_or_halved() {
    let tracked = Tracked::new("CREATE TABLE todo (id int PRIMARY KEY, writer int)").await;
    let mut record = record(&tracked).await;
    let mut place = record.end().await.unwrap();
    let worker = tracked.run().await;
    let mut writers = Vec::new();
    for writer in 0..4 {
        let client = tracked.database.connect().await.unwrap();
        writers.push(tokio::spawn(async move {
            for round in 0..40 {
                let first = writer * 1000 + round * 5;
                let insert = format!(
                    "INSERT INTO todo SELECT {first} + n, {writer} FROM generate_series(0, 4) AS n"
                );
                client.batch_execute(&insert).await.unwrap();
            }
        }));
    }
    let mut seen: Vec<Change> = Vec::new();
    eventually(STORED_WITHIN, "800 changes", async || {
        let followed = record.follow(&Changes::new().limit(7), place).await.unwrap();
        place = followed.reached;
        seen.extend(followed.changes);
        if !followed.more {
            assert_eq!(seen.len() % 5, 0, "half a transaction");
        }
        (seen.len() >= 800).then_some(())
    })
    .await;
    for writer in writers {
        writer.await.unwrap();
    }
    worker.stop().await;
    let stored: Vec<(i64, i64)> =
        tracked.changes().await.iter().map(|row| (row.commit_position, row.sequence)).collect();
    let followed: Vec<(i64, i64)> = seen
        .iter()
        .map(|change| (change.commit_position.0.to_bigint(), change.sequence.0))
        .collect();
    assert_eq!(followed, stored);
}
