//! The history of a record: also under keys that it gave up, and past a TRUNCATE.

use bemi_core::record::{Changes, Key, TableName};
use bemi_tests::Tracked;

use crate::asked::{noted, record, those, todo};

#[tokio::test(flavor = "multi_thread")]
async fn it_has_the_changes_by_which_the_key_was_taken_and_given_up() {
    let tracked = Tracked::new("CREATE TABLE todo (id int PRIMARY KEY, task text)").await;
    tracked.sql("INSERT INTO todo VALUES (1, 'Sleep'), (2, 'Eat')").await;
    tracked.sql("UPDATE todo SET id = 3 WHERE id = 1").await;
    tracked.sql("UPDATE todo SET id = 1 WHERE id = 2").await;
    tracked.sql("DELETE FROM todo WHERE id = 1").await;
    tracked.store().await;
    let mut record = record(&tracked).await;

    let of = |key: i32| Changes::new().record(todo(), key);
    assert_eq!(those(&mut record, of(1)).await, ["CREATE 1", "UPDATE 3", "UPDATE 1", "DELETE 1"]);
    assert_eq!(those(&mut record, of(2)).await, ["CREATE 2", "UPDATE 1"]);
    assert_eq!(those(&mut record, of(3)).await, ["UPDATE 3"]);
    assert!(those(&mut record, of(4)).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncate_is_part_of_it() {
    let tracked = Tracked::new(
        "CREATE TABLE todo (id int PRIMARY KEY); CREATE TABLE other (id int PRIMARY KEY)",
    )
    .await;
    tracked.sql("INSERT INTO todo VALUES (1), (2)").await;
    tracked.sql("TRUNCATE other, todo").await;
    tracked.sql("INSERT INTO todo VALUES (1)").await;
    tracked.store().await;
    let mut record = record(&tracked).await;
    let history = those(&mut record, Changes::new().record(todo(), 1)).await;
    assert_eq!(history, ["CREATE 1", "TRUNCATE -", "CREATE 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_conditions_narrow_each_of_its_ways() {
    let tracked = Tracked::new("CREATE TABLE todo (id int PRIMARY KEY, task text)").await;
    tracked.sql("INSERT INTO todo VALUES (1, 'Sleep')").await;
    tracked.sql("UPDATE todo SET task = 'Eat'").await;
    tracked.sql("UPDATE todo SET id = 2").await;
    tracked.sql("TRUNCATE todo").await;
    tracked.store().await;
    let mut record = record(&tracked).await;

    let history = Changes::new().record(todo(), 1);
    let moved = history.clone().field_changed("id");
    assert_eq!(those(&mut record, moved).await, ["UPDATE 2"]);
    // Page by page, one change each.
    let changes = history.oldest_first().limit(1);
    let mut page = record.changes(&changes).await.unwrap();
    let mut seen = page.items;
    while let Some(next) = page.next {
        page = record.changes(&changes.clone().after(next)).await.unwrap();
        seen.append(&mut page.items);
    }
    assert_eq!(noted(&seen), ["CREATE 1", "UPDATE 1", "UPDATE 2", "TRUNCATE -"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_several_columns_and_of_other_schemas() {
    let tracked = Tracked::new(
        "CREATE TABLE todo (id int PRIMARY KEY); CREATE SCHEMA \"Sales\";
         CREATE TABLE \"Sales\".todo (region text, day date, PRIMARY KEY (region, day))",
    )
    .await;
    tracked.sql("INSERT INTO todo VALUES (1)").await;
    tracked.sql("INSERT INTO \"Sales\".todo VALUES ('north \"x\"', '2026-05-05')").await;
    tracked.store().await;
    let mut record = record(&tracked).await;
    let key = Key::of(["north \"x\"", "2026-05-05"]);
    let history = Changes::new().record(TableName::new("Sales", "todo"), key);
    assert_eq!(those(&mut record, history).await.len(), 1);
    let other = Changes::new().record(TableName::new("Sales", "todo"), 1);
    assert!(those(&mut record, other).await.is_empty());
}
