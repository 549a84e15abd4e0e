//! There is a partition for everything, whoever looks after them.

use bemi_tests::{Tracked, WorkerCommand};

use super::aged::{partitioned, partitions};

/// As if nobody had made a partition for a month: the last one, which has no end, began then.
async fn neglect(tracked: &Tracked) {
    tracked
        .sql(
            "DO $$
             DECLARE part regclass; since timestamptz := date_trunc('day', now(), 'UTC') - interval '30 days';
             BEGIN
                 FOR part IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'changes'::regclass LOOP
                     EXECUTE format('ALTER TABLE changes DETACH PARTITION %s', part);
                     EXECUTE format('DROP TABLE %s', part);
                 END LOOP;
                 EXECUTE format('CREATE TABLE bemi.changes_before PARTITION OF changes FOR VALUES FROM (MINVALUE) TO (%L)', since);
                 EXECUTE format('CREATE TABLE bemi.changes_from PARTITION OF changes FOR VALUES FROM (%L) TO (MAXVALUE)', since);
             END $$",
        )
        .await;
}

#[tokio::test]
async fn a_worker_that_may_not_make_partitions_stores_all_the_same_and_says_so() {
    let tracked = partitioned().await;
    neglect(&tracked).await;
    let mut worker = tracked.run().await;
    worker.wait_for_log("does not own public.changes").await;
    tracked.sql("INSERT INTO todo SELECT i FROM generate_series(1, 100) AS i").await;
    tracked.wait_for_count(100).await;
    worker.stop().await.assert_code(0);
    assert_eq!(tracked.value::<i64>("SELECT count(*) FROM bemi.changes_from").await, 100);
}

#[tokio::test]
async fn what_was_neglected_is_made_good_while_the_worker_stores() {
    let tracked = partitioned().await;
    neglect(&tracked).await;
    tracked.sql("INSERT INTO todo SELECT i FROM generate_series(1, 100) AS i").await;
    tracked.store().await;
    let worker = tracked.run().await;
    let writer = tracked.database.connect().await.unwrap();
    let writing = tokio::spawn(async move {
        for i in 0..200 {
            let insert = format!("INSERT INTO todo VALUES ({})", 1000 + i);
            writer.batch_execute(&insert).await.unwrap();
        }
    });
    let mut told = String::new();
    for _ in 0..20 {
        told = tracked.worker(&["retention"]).run_to_end().await.assert_code(0).stdout;
        if !told.contains("left for later") {
            break;
        }
    }
    assert!(!told.contains("left for later"), "{told}");
    writing.await.unwrap();
    tracked.wait_for_count(300).await;
    worker.stop().await.assert_code(0);
    assert_eq!(tracked.count().await, 300);
    // It ends behind its rows, and others follow.
    assert!(partitions(&tracked).await.len() >= 8);
    let rows: i64 = tracked.value("SELECT count(*) FROM bemi.changes_from").await;
    assert_eq!(rows, 300);
    let again = tracked.worker(&["retention"]).run_to_end().await.assert_code(0).stdout;
    assert_eq!(again, "nothing to do\n");
}

#[tokio::test]
async fn the_owner_makes_them_ahead_while_it_runs() {
    let tracked = partitioned().await;
    neglect(&tracked).await;
    let mut worker = WorkerCommand::under_test(["run"])
        .env("DATABASE_URL", tracked.database.url())
        .env("BEMI_SLOT", tracked.database.slot_name())
        .spawn();
    worker.wait_for_log("make partition bemi.changes_").await;
    worker.stop().await.assert_code(0);
    assert!(partitions(&tracked).await.len() >= 8);
}

#[tokio::test]
async fn commits_of_any_clock_have_a_place() {
    let tracked = partitioned().await;
    tracked.sql("INSERT INTO todo VALUES (1), (2), (3)").await;
    tracked.store().await;
    // As if the clock had been there.
    tracked
        .sql(
            "BEGIN; SET LOCAL bemi.append_only = 'off';
             UPDATE changes SET committed_at = '1970-01-01' WHERE primary_key = '1';
             UPDATE changes SET committed_at = '2099-12-31' WHERE primary_key = '2';
             COMMIT",
        )
        .await;
    // Neither is in the way of more partitions, and what was stored just now is not dropped.
    let told = tracked
        .worker(&["retention", "--retention", "1d"])
        .run_to_end()
        .await
        .assert_code(0)
        .stdout;
    assert!(!told.contains("drop "), "{told}");
    assert_eq!(tracked.count().await, 3);
    let ends: Vec<String> = partitions(&tracked).await;
    assert!(ends.iter().any(|end| end.contains("(MINVALUE)")), "{ends:?}");
    assert!(ends.iter().any(|end| end.contains("(MAXVALUE)")), "{ends:?}");
}

#[tokio::test]
async fn a_stretch_without_a_partition_is_filled() {
    let tracked = partitioned().await;
    tracked
        .sql(
            "DO $$ DECLARE part regclass; BEGIN
                 FOR part IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'changes'::regclass
                             ORDER BY inhrelid OFFSET 2 LOOP
                     EXECUTE format('ALTER TABLE changes DETACH PARTITION %s', part);
                     EXECUTE format('DROP TABLE %s', part);
                 END LOOP;
             END $$",
        )
        .await;
    tracked.worker(&["retention"]).run_to_end().await.assert_code(0);
    let bounds = partitions(&tracked).await;
    assert!(bounds.iter().any(|bound| bound.contains("(MAXVALUE)")), "{bounds:?}");
    let again = tracked.worker(&["retention"]).run_to_end().await.assert_code(0).stdout;
    assert_eq!(again, "nothing to do\n");
}
