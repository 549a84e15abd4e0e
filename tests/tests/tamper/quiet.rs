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
    chained.sql("INSERT INTO todo SELECT n, repeat('x', 100), 'y' FROM generate_series(1, 60000) AS n").await;
    chained.store().await;
    let report = chained.sound().await;
    assert_eq!(report["verified"].as_u64(), Some(60_000));
    let links: i64 = chained.tracked.value("SELECT count(*) FROM bemi.chain WHERE kind = 'rows'").await;
    assert!(links > 2, "{links}");
}

#[tokio::test]
async fn two_slots_have_a_chain_each_and_do_not_disturb_one_another() {
    let chained = Chained::filled(None).await;
    let second = format!("{}_b", chained.tracked.database.slot_name());
    let other = |arguments: &[&str]| {
        chained
            .tracked
            .worker(arguments)
            .env("BEMI_SLOT", &second)
            .env("BEMI_PUBLICATION", "other")
            .env("BEMI_CHANGES_SCHEMA", "public")
    };
    let _ = other;
}
