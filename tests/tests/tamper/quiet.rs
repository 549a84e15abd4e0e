//! What is no tampering is not told as such.

use crate::chained::{Chained, SCHEMA};
use bemi_tests::Tracked;

#[tokio::test]
async fn what_was_stored_is_verified_and_the_report_says_how_much() {
    let chained = Chained::filled(None).await;
    let report = chained.sound().await;
    assert_eq!((report["verified"].as_u64(), report["links"].as_u64()), (Some(6), Some(4)));
    assert_eq!(report["is_covering"], true);
    assert_eq!(report["is_keyed"], false);
    let head = chained.head().await;
    chained.verify(&["--head", &head]).await.assert_code(0);
    chained.sql("INSERT INTO todo VALUES (9)").await;
    chained.store().await;
    chained.verify(&["--head", &head]).await.assert_code(0);
}

#[tokio::test]
async fn without_a_chain_nothing_can_be_told() {
    let tracked = Tracked::new(SCHEMA).await;
    let output = tracked.worker(&["verify"]).run_to_end().await.assert_code(4);
    assert!(output.stderr.contains("setup --tamper-evidence"), "{}", output.stderr);
}

#[tokio::test]
async fn what_was_stored_before_and_after_is_told_as_not_covered() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked.sql("INSERT INTO todo VALUES (1), (2)").await;
    tracked.store().await;
    tracked.setup(&["--tamper-evidence"]).await;
    tracked.sql("INSERT INTO todo VALUES (3)").await;
    tracked.store().await;
    tracked.setup(&["--tamper-evidence=off"]).await;
    tracked.sql("INSERT INTO todo VALUES (4)").await;
    tracked.store().await;
    tracked.setup(&["--tamper-evidence"]).await;
    tracked.sql("INSERT INTO todo VALUES (5)").await;
    tracked.store().await;
    let output = tracked.worker(&["verify"]).run_to_end().await.assert_code(0);
    assert!(output.stdout.contains("2 changes are as they were stored"), "{}", output.stdout);
    assert!(output.stdout.contains("3 more are not covered"), "{}", output.stdout);
}

#[tokio::test]
async fn a_worker_that_runs_takes_up_what_setup_turns_on() {
    let tracked = Tracked::new(SCHEMA).await;
    let worker = tracked.run().await;
    tracked.sql("INSERT INTO todo VALUES (1)").await;
    tracked.wait_for_count(1).await;
    tracked.setup(&["--tamper-evidence"]).await;
    tracked.sql("INSERT INTO todo VALUES (2)").await;
    tracked.wait_for_count(2).await;
    tracked.setup(&["--tamper-evidence=off"]).await;
    tracked.sql("INSERT INTO todo VALUES (3)").await;
    tracked.wait_for_count(3).await;
    drop(worker);
    let output = tracked.worker(&["verify"]).run_to_end().await.assert_code(0);
    assert!(output.stdout.contains("1 changes are as they were stored"), "{}", output.stdout);
    assert!(output.stdout.contains("2 more are not covered"), "{}", output.stdout);
    assert!(output.stdout.contains("tamper evidence is off"), "{}", output.stdout);
}

#[tokio::test]
async fn a_baseline_is_covered_while_the_worker_runs() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked.sql("INSERT INTO todo SELECT n, 'x', 'y' FROM generate_series(1, 3000) AS n").await;
    tracked.worker(&["backfill", "todo"]).run_to_end().await.assert_code(0);
    tracked.setup(&["--tamper-evidence"]).await;
    let worker = tracked.run().await;
    let again = ["backfill", "todo", "--again", "--chunk-rows", "700"];
    tracked.worker(&again).run_to_end().await.assert_code(0);
    drop(worker);
    let output = tracked.worker(&["verify"]).run_to_end().await.assert_code(0);
    assert!(output.stdout.contains("6000 changes are as they were stored"), "{}", output.stdout);
    assert!(output.stdout.contains("3000 more are not covered"), "{}", output.stdout);
}

#[tokio::test]
async fn a_transaction_of_many_batches_is_many_links_and_one_whole() {
    let chained = Chained::new().await;
    chained
        .sql("INSERT INTO todo SELECT n, repeat('x', 100), 'y' FROM generate_series(1, 60000) AS n")
        .await;
    chained.store().await;
    let report = chained.sound().await;
    assert_eq!(report["verified"].as_u64(), Some(60_000));
    let links: i64 =
        chained.tracked.value("SELECT count(*) FROM bemi.chain WHERE kind = 'rows'").await;
    assert!(links > 2, "{links}");
}

#[tokio::test]
async fn a_worker_that_was_killed_anywhere_leaves_a_chain_that_is_sound() {
    for failpoint in ["after-copy:1", "before-checkpoint:1", "before-commit:1", "after-commit:1"] {
        let chained = Chained::filled(None).await;
        chained.sql("INSERT INTO todo VALUES (8, 'x', 'y'), (9, 'x', 'y')").await;
        let killed = chained.worker(&["run", "--once"]).env("BEMI_FAILPOINT", failpoint);
        assert_eq!(killed.run_to_end().await.code, None, "{failpoint}");
        chained.sound().await;
        chained.tracked.database.wait_for_free_slot(&chained.tracked.database.slot_name()).await;
        chained.store().await;
        assert_eq!(chained.sound().await["verified"].as_u64(), Some(8), "{failpoint}");
    }
}

#[tokio::test]
async fn two_slots_have_a_chain_each_and_do_not_disturb_one_another() {
    let chained = Chained::filled(None).await;
    let other = Tracked::new(SCHEMA).await;
    let to_the_same = |arguments: &[&str]| {
        other.worker(arguments).env("DESTINATION_DATABASE_URL", chained.tracked.database.url())
    };
    to_the_same(&["setup", "--all-tables", "--tamper-evidence"]).run_to_end().await.assert_code(0);
    other.sql("INSERT INTO todo VALUES (1), (2)").await;
    to_the_same(&["run", "--once"]).run_to_end().await.assert_code(0);
    let report = chained.sound().await;
    assert_eq!((report["verified"].as_u64(), report["others"].as_u64()), (Some(6), Some(2)));
    let output = to_the_same(&["verify"]).run_to_end().await.assert_code(0);
    assert!(output.stdout.contains("2 changes are as they were stored"), "{}", output.stdout);
    assert!(output.stdout.contains("6 more are of other slots"), "{}", output.stdout);
    chained.tamper("DELETE FROM changes WHERE database <> current_database()").await;
    chained.sound().await;
    to_the_same(&["verify"]).run_to_end().await.assert_code(3);
}

#[tokio::test]
async fn what_retention_drops_is_not_missing_and_what_somebody_drops_is() {
    let chained = Chained::filled(None).await;
    // As if it had been stored a hundred days ago.
    chained
        .tamper(
            "UPDATE changes SET committed_at = committed_at - interval '100 days', \
                 created_at = created_at - interval '100 days'; \
             UPDATE bemi.chain SET made_at = made_at - interval '100 days'",
        )
        .await;
    chained.forge().await;
    chained.sound().await;
    chained.sql("INSERT INTO todo VALUES (7), (8)").await;
    chained.store().await;
    assert_eq!(chained.sound().await["verified"].as_u64(), Some(8));
    chained.worker(&["retention", "--retention", "90d"]).run_to_end().await.assert_code(0);
    assert_eq!(chained.tracked.count().await, 2);
    let report = chained.sound().await;
    assert_eq!(report["verified"].as_u64(), Some(2));
    let first: i64 = chained.tracked.value("SELECT min(number) FROM bemi.chain").await;
    assert_eq!(first, 5, "the links of what was dropped are gone, too");
    chained.sql("INSERT INTO todo VALUES (9)").await;
    chained.store().await;
    chained.sound().await;
    chained.tamper("DELETE FROM changes WHERE primary_key = '8'").await;
    assert_eq!(chained.kinds().await, ["missing_change"]);
}
