//! Where something is missing, nothing is told across it.

use bemi_core::record::Unknown;
use bemi_tests::{Tracked, shared_cluster};

use super::asked::{TODO, now, record, todo, told};

#[tokio::test]
async fn across_a_gap_nothing_is_told() {
    let tracked = Tracked::new(TODO).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a'), (2, 'b')").await;
    let before = now(&tracked).await;
    tracked.store().await;
    let slot = tracked.database.slot_name();
    tracked.database.drop_slot(&slot).await;
    tracked.sql("UPDATE todo SET task = 'lost'").await;
    let inside: String = tracked.value("SELECT to_json(clock_timestamp()) #>> '{}'").await;
    tracked.worker(&["run", "--once", "--on-gap", "continue"]).run_to_end().await.assert_code(0);
    tracked.database.wait_for_free_slot(&slot).await;
    let after = now(&tracked).await;
    tracked.sql("UPDATE todo SET done = true WHERE id = 1").await;
    tracked.store().await;

    let mut record = record(&tracked).await;
    assert_eq!(told(&mut record.as_of(before), "1").await, r#"{"done":false,"id":1,"task":"a"}"#);
    // By its next change.
    assert_eq!(told(&mut record.as_of(after), "1").await, r#"{"done":false,"id":1,"task":"lost"}"#);
    assert_eq!(told(&mut record.as_of(after), "2").await, "gap");
    assert_eq!(told(&mut record.as_of(after), "3").await, "gap");
    // An instant in which changes were being lost is in the gap.
    let mut inside = record.as_of(inside.parse().unwrap());
    assert_eq!(told(&mut inside, "1").await, "gap");
    let told = inside.table(&todo()).await.unwrap();
    assert!(!told.is_complete);
}

#[tokio::test]
async fn a_baseline_makes_a_table_known_again() {
    let tracked = Tracked::untracked(shared_cluster(), TODO).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a'), (2, 'b')").await;
    tracked.setup(&["--all-tables", "--replica-identity", "full"]).await;
    let before = now(&tracked).await;
    tracked.worker(&["backfill", "--all-tables"]).run_to_end().await.assert_code(0);
    let after = now(&tracked).await;
    tracked.store().await;

    let mut record = record(&tracked).await;
    for point in [before, after] {
        let mut then = record.as_of(point);
        assert_eq!(told(&mut then, "1").await, r#"{"done":false,"id":1,"task":"a"}"#);
        assert_eq!(told(&mut then, "3").await, "absent");
        let table = then.table(&todo()).await.unwrap();
        assert!(table.is_complete && table.rows.len() == 2, "{table:?}");
    }
}

#[tokio::test]
async fn a_change_in_quarantine_may_be_of_any_row_of_its_table() {
    let tracked = Tracked::new(&format!("{TODO}; CREATE TABLE other (id int PRIMARY KEY)")).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a'); INSERT INTO other VALUES (1)").await;
    let before = now(&tracked).await;
    tracked.sql("UPDATE todo SET done = true").await;
    tracked.store().await;
    // As if that last change could not be stored.
    tracked
        .sql(
            "INSERT INTO bemi.quarantine (slot, position, commit_position, sequence, committed_at, transaction_id, \
                                          schema, \"table\", error, raw) \
             SELECT p.slot, c.position, c.commit_position, c.sequence, c.committed_at, c.transaction_id, c.schema, \
                    c.\"table\", 'refused', '' \
             FROM changes c, bemi.checkpoint p WHERE c.operation = 'UPDATE'; \
             SET bemi.append_only = off; DELETE FROM changes WHERE operation = 'UPDATE'",
        )
        .await;
    let after = now(&tracked).await;
    tracked.store().await;

    let mut record = record(&tracked).await;
    assert_eq!(told(&mut record.as_of(before), "1").await, r#"{"done":false,"id":1,"task":"a"}"#);
    assert_eq!(told(&mut record.as_of(after), "1").await, "quarantined");
    let other =
        super::asked::told_of(&mut record.as_of(after), &"other".parse().unwrap(), "1").await;
    assert_eq!(other, r#"{"id":1}"#);
}

#[tokio::test]
async fn while_a_table_is_not_tracked_it_is_unknown() {
    let tracked = Tracked::new(TODO).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a')").await;
    tracked.setup(&["--exclude", "todo"]).await;
    let untracked = now(&tracked).await;
    tracked.setup(&["--forget", "todo"]).await;
    tracked.sql("INSERT INTO todo VALUES (2, 'b')").await;
    let again = now(&tracked).await;
    tracked.store().await;

    let mut record = record(&tracked).await;
    assert_eq!(told(&mut record.as_of(untracked), "1").await, "not_tracked");
    let mut again = record.as_of(again);
    assert_eq!(told(&mut again, "1").await, "not_tracked");
    assert_eq!(told(&mut again, "2").await, r#"{"done":false,"id":2,"task":"b"}"#);
}

#[tokio::test]
async fn a_table_that_was_renamed_is_known_from_there_on() {
    let tracked = Tracked::new(TODO).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a')").await;
    tracked.sql("ALTER TABLE todo RENAME TO task").await;
    let renamed = now(&tracked).await;
    tracked.sql("INSERT INTO task VALUES (2, 'b')").await;
    let later = now(&tracked).await;
    tracked.store().await;

    let mut record = record(&tracked).await;
    assert_eq!(told(&mut record.as_of(renamed), "1").await, "not_tracked");
    let task = "task".parse().unwrap();
    let mut later = record.as_of(later);
    let told = super::asked::told_of(&mut later, &task, "2").await;
    assert_eq!(told, r#"{"done":false,"id":2,"task":"b"}"#);
    let before = later.row(&task, &1.into()).await.unwrap();
    assert_eq!(before, bemi_core::record::RowAt::Unknown(Unknown::BeforeRecord));
}

#[tokio::test]
async fn a_table_that_is_made_again_begins_empty() {
    let tracked = Tracked::new(TODO).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a')").await;
    tracked.sql("DROP TABLE todo").await;
    let dropped = now(&tracked).await;
    tracked.sql(TODO).await;
    let made = now(&tracked).await;
    tracked.sql("INSERT INTO todo VALUES (2, 'b')").await;
    let later = now(&tracked).await;
    tracked.store().await;

    let mut record = record(&tracked).await;
    assert_eq!(told(&mut record.as_of(dropped), "1").await, "not_tracked");
    assert_eq!(told(&mut record.as_of(made), "1").await, "absent");
    assert_eq!(told(&mut record.as_of(later), "1").await, "absent");
    assert_eq!(told(&mut record.as_of(later), "2").await, r#"{"done":false,"id":2,"task":"b"}"#);
}
