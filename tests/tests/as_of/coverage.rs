//! What the record covers.

use bemi_core::record::{Coverage, Identity, Unknown};
use bemi_tests::{Tracked, shared_cluster};

use super::asked::{TODO, last_position, record, todo};

async fn coverage(tracked: &Tracked) -> Coverage {
    record(tracked).await.coverage_of(&todo()).await.unwrap()
}

#[tokio::test]
async fn a_table_that_was_tracked_from_its_first_row_on_is_known_from_there() {
    let tracked = Tracked::new("").await;
    tracked.sql(TODO).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a')").await;
    tracked.store().await;

    let coverage = coverage(&tracked).await;
    let since = coverage.since.unwrap();
    assert!(since.position < last_position(&tracked).await && since.at.is_some());
    assert_eq!(coverage.complete_since, Some(since));
    assert_eq!(coverage.identity, Some(Identity::Full));
    assert_eq!(coverage.holes, []);
}

#[tokio::test]
async fn of_one_that_was_filled_before_rows_that_did_not_change_are_unknown() {
    let tracked = Tracked::untracked(shared_cluster(), TODO).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a')").await;
    tracked.setup(&["--all-tables", "--replica-identity", "full"]).await;
    tracked.store().await;

    let before = coverage(&tracked).await;
    assert!(before.since.is_some());
    assert_eq!(before.complete_since, None);
    tracked.worker(&["backfill", "--all-tables"]).run_to_end().await.assert_code(0);
    // Under FULL, what was read says what was there before.
    let after = coverage(&tracked).await;
    assert_eq!(after.complete_since, before.since);
}

#[tokio::test]
async fn where_changes_tell_the_key_alone_it_is_known_from_the_baseline_on() {
    let tracked = Tracked::untracked(shared_cluster(), TODO).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a')").await;
    tracked.setup(&["--all-tables", "--replica-identity", "keep"]).await;
    tracked.worker(&["backfill", "--all-tables"]).run_to_end().await.assert_code(0);
    tracked.store().await;

    let coverage = coverage(&tracked).await;
    assert_eq!(coverage.identity, Some(Identity::Key));
    assert!(coverage.complete_since.unwrap().position > coverage.since.unwrap().position);
}

#[tokio::test]
async fn holes_are_told_with_their_reasons() {
    let tracked = Tracked::new(TODO).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a')").await;
    tracked.store().await;
    tracked.database.drop_slot(&tracked.database.slot_name()).await;
    tracked.sql("UPDATE todo SET task = 'lost'").await;
    tracked.worker(&["run", "--once", "--on-gap", "continue"]).run_to_end().await.assert_code(0);
    tracked.database.wait_for_free_slot(&tracked.database.slot_name()).await;
    tracked.sql("ALTER TABLE todo ALTER id TYPE bigint").await;
    tracked.store().await;

    let holes = coverage(&tracked).await.holes;
    let reasons: Vec<&Unknown> = holes.iter().map(|hole| &hole.why).collect();
    assert!(
        matches!(reasons.as_slice(), [Unknown::Gap { .. }, Unknown::Rewritten { .. }]),
        "{holes:?}"
    );
    assert!(holes[0].to.unwrap() > holes[0].from);
}

#[tokio::test]
async fn tables_that_the_record_knows_are_listed() {
    let tracked = Tracked::new(&format!(
        "{TODO}; CREATE SCHEMA sales; CREATE TABLE sales.\"Order\" (id int)"
    ))
    .await;
    tracked.store().await;

    let coverage = record(&tracked).await.coverage().await.unwrap();
    let tables: Vec<String> = coverage.iter().map(|table| table.table.to_string()).collect();
    assert_eq!(tables, ["todo", "sales.\"Order\""]);
}
