//! Changes that were lost: never without a word.

use bemi_tests::Tracked;

const SCHEMA: &str = "CREATE TABLE t (id bigint PRIMARY KEY)";

async fn gaps(tracked: &Tracked) -> Vec<(bool, String)> {
    let rows = tracked
        .client
        .query("SELECT to_position > from_position, reason FROM bemi.gaps ORDER BY id", &[])
        .await
        .unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[tokio::test]
async fn a_slot_that_somebody_else_moved_on_is_a_gap() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked.sql("INSERT INTO t VALUES (1)").await;
    tracked.store().await;
    tracked.sql("INSERT INTO t VALUES (2)").await;
    let slot = tracked.database.slot_name();
    tracked
        .sql(&format!("SELECT pg_replication_slot_advance('{slot}', pg_current_wal_lsn())"))
        .await;
    tracked.sql("INSERT INTO t VALUES (3)").await;

    for _ in 0..2 {
        let refused = tracked.worker(&["run", "--once"]).run_to_end().await.assert_code(3);
        assert!(refused.stderr.contains("--on-gap continue"), "{refused}");
    }
    assert_eq!(tracked.count().await, 1, "nothing is stored past a gap unasked");
    let recorded = gaps(&tracked).await;
    assert_eq!(recorded.len(), 1, "met twice, it is one gap: {recorded:?}");
    assert!(recorded[0].0 && recorded[0].1.contains("acknowledged"), "{recorded:?}");

    tracked.worker(&["run", "--once", "--on-gap", "continue"]).run_to_end().await.assert_code(0);
    let keys: Vec<_> =
        tracked.changes().await.into_iter().map(|c| c.primary_key.unwrap()).collect();
    assert_eq!(keys, ["1", "3"]);
    assert_eq!(gaps(&tracked).await.len(), 1);
    tracked.store().await;
}

#[tokio::test]
async fn a_slot_that_is_gone_is_a_gap_and_is_renewed_only_when_asked() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked.sql("INSERT INTO t VALUES (1)").await;
    tracked.store().await;
    let slot = tracked.database.slot_name();
    tracked.database.drop_slot(&slot).await;
    tracked.sql("INSERT INTO t VALUES (2)").await;

    tracked.worker(&["run", "--once"]).run_to_end().await.assert_code(3);
    let renewed: i64 = tracked
        .value(&format!("SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{slot}'"))
        .await;
    assert_eq!(renewed, 0);

    tracked.worker(&["run", "--once", "--on-gap", "continue"]).run_to_end().await.assert_code(0);
    tracked.sql("INSERT INTO t VALUES (3)").await;
    tracked.store().await;
    let keys: Vec<_> =
        tracked.changes().await.into_iter().map(|c| c.primary_key.unwrap()).collect();
    assert_eq!(keys, ["1", "3"]);
    let recorded = gaps(&tracked).await;
    assert!(recorded.len() == 1 && recorded[0].0 && recorded[0].1.contains("gone"), "{recorded:?}");
}

#[tokio::test]
async fn a_destination_restored_from_an_older_backup_is_a_gap() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked.sql("INSERT INTO t VALUES (1)").await;
    tracked.store().await;
    tracked.sql("CREATE TABLE bemi.backup AS TABLE bemi.checkpoint").await;
    tracked.sql("INSERT INTO t VALUES (2)").await;
    tracked.store().await;
    tracked
        .sql(
            "SET bemi.append_only = off; DELETE FROM changes WHERE primary_key = '2'; \
             DELETE FROM bemi.checkpoint; \
             INSERT INTO bemi.checkpoint TABLE bemi.backup",
        )
        .await;
    let refused = tracked.worker(&["run", "--once"]).run_to_end().await.assert_code(3);
    assert!(refused.stderr.contains("backup"), "{refused}");
}

#[tokio::test]
async fn a_checkpoint_of_another_cluster_is_a_gap() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked.sql("UPDATE bemi.checkpoint SET system_identifier = '1'").await;
    let refused = tracked.worker(&["run", "--once"]).run_to_end().await.assert_code(3);
    assert!(refused.stderr.contains("system identifier"), "{refused}");
}

#[tokio::test]
async fn a_database_that_was_not_set_up_is_told_so() {
    let tracked = Tracked::untracked(bemi_tests::shared_cluster(), SCHEMA).await;
    let refused = tracked.worker(&["run", "--once"]).run_to_end().await.assert_code(3);
    assert!(refused.stderr.contains("bemi-worker setup"), "{refused}");
}

#[tokio::test]
async fn other_publications_than_those_of_setup_are_refused() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked.sql("CREATE PUBLICATION other; CREATE PUBLICATION other_insert_only").await;
    let run = tracked.worker(&["run", "--once", "--publication", "other"]);
    let refused = run.run_to_end().await.assert_code(3);
    assert!(refused.stderr.contains("--publication"), "{refused}");
}
