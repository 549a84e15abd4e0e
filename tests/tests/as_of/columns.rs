//! A row has the columns of its time.

use bemi_core::record::TableName;
use bemi_tests::Tracked;

use super::asked::{TODO, now, record, told};

#[tokio::test]
async fn a_row_has_the_columns_of_that_time() {
    let tracked = Tracked::new(TODO).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a')").await;
    let first = now(&tracked).await;
    tracked.sql("ALTER TABLE todo ADD priority int DEFAULT 5, ADD note text").await;
    let added = now(&tracked).await;
    tracked.sql("ALTER TABLE todo RENAME task TO title").await;
    let renamed = now(&tracked).await;
    tracked.sql("ALTER TABLE todo DROP done").await;
    let dropped = now(&tracked).await;
    tracked.store().await;

    let mut record = record(&tracked).await;
    assert_eq!(told(&mut record.as_of(first), "1").await, r#"{"done":false,"id":1,"task":"a"}"#);
    assert_eq!(
        told(&mut record.as_of(added), "1").await,
        r#"{"done":false,"id":1,"note":null,"priority":5,"task":"a"}"#
    );
    assert_eq!(
        told(&mut record.as_of(renamed), "1").await,
        r#"{"done":false,"id":1,"note":null,"priority":5,"title":"a"}"#
    );
    assert_eq!(
        told(&mut record.as_of(dropped), "1").await,
        r#"{"id":1,"note":null,"priority":5,"title":"a"}"#
    );
}

#[tokio::test]
async fn a_name_that_another_column_took_over_in_one_transaction_is_that_columns() {
    let tracked = Tracked::new(TODO).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a')").await;
    tracked
        .sql("BEGIN; ALTER TABLE todo RENAME task TO title; ALTER TABLE todo ADD task int DEFAULT 7; COMMIT")
        .await;
    tracked.sql("INSERT INTO todo VALUES (2, 'b')").await;
    tracked.sql("ALTER TABLE todo ADD note text").await;
    let then = now(&tracked).await;
    tracked.store().await;

    let mut record = record(&tracked).await;
    assert_eq!(
        told(&mut record.as_of(then), "1").await,
        r#"{"done":false,"id":1,"note":null,"task":7,"title":"a"}"#
    );
    assert_eq!(
        told(&mut record.as_of(then), "2").await,
        r#"{"done":false,"id":2,"note":null,"task":7,"title":"b"}"#
    );
}

#[tokio::test]
async fn what_a_later_row_does_not_have_is_not_told_by_it() {
    let tracked = Tracked::untracked(bemi_tests::shared_cluster(), TODO).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a'), (2, 'b')").await;
    tracked.setup(&["--all-tables", "--replica-identity", "full"]).await;
    let then = now(&tracked).await;
    tracked.sql("ALTER TABLE todo RENAME task TO title; ALTER TABLE todo ADD note text").await;
    tracked.sql("UPDATE todo SET note = 'x' WHERE id = 1; ALTER TABLE todo DROP done; DELETE FROM todo WHERE id = 2").await;
    tracked.store().await;

    let mut record = record(&tracked).await;
    let mut then = record.as_of(then);
    assert_eq!(told(&mut then, "1").await, r#"{"done":false,"id":1,"task":"a"}"#);
    assert_eq!(told(&mut then, "2").await, "incomplete done");
}

#[tokio::test]
async fn a_row_that_a_rewrite_may_have_changed_is_unknown_until_its_next_change() {
    let tracked = Tracked::new("").await;
    tracked.sql(TODO).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a'), (2, 'b')").await;
    tracked.sql("ALTER TABLE todo ALTER task TYPE text USING task || '!'").await;
    tracked.sql("ALTER TABLE todo ALTER task TYPE varchar(50)").await;
    let rewritten = now(&tracked).await;
    tracked.sql("UPDATE todo SET done = true WHERE id = 1").await;
    tracked.store().await;

    let mut record = record(&tracked).await;
    let mut rewritten = record.as_of(rewritten);
    // By its next change it is known.
    assert_eq!(told(&mut rewritten, "1").await, r#"{"done":false,"id":1,"task":"a!"}"#);
    assert_eq!(told(&mut rewritten, "2").await, "rewritten");
    assert_eq!(told(&mut rewritten, "3").await, "absent");
}

#[tokio::test]
async fn what_was_known_by_another_key_is_not_known_any_more() {
    let tracked = Tracked::new(TODO).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a')").await;
    let before = now(&tracked).await;
    tracked.store().await;
    tracked.sql("ALTER TABLE todo DROP CONSTRAINT todo_pkey, ADD PRIMARY KEY (task)").await;
    let after = now(&tracked).await;
    tracked.store().await;

    let mut record = record(&tracked).await;
    assert_eq!(told(&mut record.as_of(before), "1").await, r#"{"done":false,"id":1,"task":"a"}"#);
    assert_eq!(told(&mut record.as_of(after), "1").await, "rewritten");
    assert_eq!(told(&mut record.as_of(after), "a").await, "rewritten");
}

#[tokio::test]
async fn behind_a_gap_a_row_has_the_columns_that_it_was_written_with() {
    let tracked = Tracked::new(TODO).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a')").await;
    tracked.store().await;
    let slot = tracked.database.slot_name();
    tracked.database.drop_slot(&slot).await;
    tracked.sql("ALTER TABLE todo ADD note text").await;
    tracked.worker(&["run", "--once", "--on-gap", "continue"]).run_to_end().await.assert_code(0);
    tracked.database.wait_for_free_slot(&slot).await;
    tracked.sql("INSERT INTO todo VALUES (2, 'b', true, 'n')").await;
    let then = now(&tracked).await;
    tracked.sql("ALTER TABLE todo ADD more int").await;
    let later = now(&tracked).await;
    tracked.store().await;

    let mut record = record(&tracked).await;
    assert_eq!(
        told(&mut record.as_of(then), "2").await,
        r#"{"done":true,"id":2,"note":"n","task":"b"}"#
    );
    assert_eq!(
        told(&mut record.as_of(later), "2").await,
        r#"{"done":true,"id":2,"more":null,"note":"n","task":"b"}"#
    );
}

#[tokio::test]
async fn a_table_whose_columns_are_not_known_behind_a_gap_is_told_in_those_that_rows_were_written_with()
 {
    let tracked = Tracked::new(TODO).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'a')").await;
    tracked.sql("ALTER TABLE todo ADD note text").await;
    tracked.sql("INSERT INTO todo VALUES (2, 'b', true, 'n')").await;
    tracked.store().await;
    let slot = tracked.database.slot_name();
    tracked.database.drop_slot(&slot).await;
    tracked.sql("INSERT INTO todo VALUES (3, 'c', true, 'n')").await;
    let inside = now(&tracked).await;
    tracked.worker(&["run", "--once", "--on-gap", "continue"]).run_to_end().await.assert_code(0);

    let mut record = record(&tracked).await;
    let table = record.as_of(inside).table(&TableName::new("public", "todo")).await.unwrap();
    assert!(!table.is_complete);
    assert_eq!(told(&mut record.as_of(inside), "2").await, "gap");
}
