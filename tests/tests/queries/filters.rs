//! Each condition, by what it finds in a record that the worker has stored.

use bemi_core::record::{Changes, TableName};
use bemi_core::{CommitPosition, Lsn, Operation, TransactionId};
use bemi_tests::Tracked;
use jiff::Timestamp;
use serde_json::json;

use crate::asked::{record, those, todo, under};

const SCHEMA: &str = "CREATE TABLE todo (id int PRIMARY KEY, task text, done bool, price numeric);
    CREATE SCHEMA sales; CREATE TABLE sales.todo (id int PRIMARY KEY)";

#[tokio::test(flavor = "multi_thread")]
async fn tables_and_operations() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'Sleep')").await;
    tracked.sql("INSERT INTO sales.todo VALUES (7)").await;
    tracked.sql("UPDATE todo SET task = 'Eat'").await;
    tracked.sql("DELETE FROM todo").await;
    tracked.sql("TRUNCATE todo").await;
    tracked.store().await;
    let mut record = record(&tracked).await;

    let all = ["CREATE 1", "CREATE 7", "UPDATE 1", "DELETE 1", "TRUNCATE -"];
    assert_eq!(those(&mut record, Changes::new()).await, all);
    let sales = TableName::new("sales", "todo");
    assert_eq!(those(&mut record, Changes::new().table(sales.clone())).await, ["CREATE 7"]);
    assert_eq!(those(&mut record, Changes::new().table(todo()).table(sales)).await, all);
    let gone = Changes::new().operation(Operation::Delete).operation(Operation::Truncate);
    assert_eq!(those(&mut record, gone).await, ["DELETE 1", "TRUNCATE -"]);
    let none = Changes::new().table(TableName::new("public", "nothing"));
    assert!(those(&mut record, none).await.is_empty());

    let name = tracked.database.name();
    assert_eq!(those(&mut record, Changes::new().database(name)).await, all);
    assert!(those(&mut record, Changes::new().database("another")).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_rows() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'Sleep', false, 0.10000000000000000000000001)").await;
    tracked.sql("INSERT INTO todo VALUES (2, 'Eat', false, 0.1)").await;
    tracked.sql("UPDATE todo SET done = true WHERE id = 1").await;
    tracked.sql("UPDATE todo SET task = 'Drink', done = false WHERE id = 2").await;
    tracked.store().await;
    let mut record = record(&tracked).await;

    let done = Changes::new().after_contains(&json!({"done": true}));
    assert_eq!(those(&mut record, done).await, ["UPDATE 1"]);
    let was = Changes::new().before_contains(&json!({"task": "Eat", "done": false}));
    assert_eq!(those(&mut record, was).await, ["UPDATE 2"]);
    let digits = r#"{"price": 0.10000000000000000000000001}"#;
    let exact = Changes::from_pairs([("after", digits)]).unwrap();
    assert_eq!(those(&mut record, exact).await, ["CREATE 1", "UPDATE 1"]);

    assert_eq!(those(&mut record, Changes::new().field_changed("done")).await, ["UPDATE 1"]);
    assert_eq!(those(&mut record, Changes::new().field_changed("task")).await, ["UPDATE 2"]);
    assert!(those(&mut record, Changes::new().field_changed("id")).await.is_empty());
    assert!(those(&mut record, Changes::new().field_changed("nothing")).await.is_empty());
}

/// Under REPLICA IDENTITY DEFAULT an UPDATE's old values are unknown: it may have changed any column
/// but those that PostgreSQL did not send, as they were untouched.
#[tokio::test(flavor = "multi_thread")]
async fn what_may_have_changed_is_not_missed() {
    let tracked = Tracked::untracked(
        bemi_tests::shared_cluster(),
        "CREATE TABLE todo (id int PRIMARY KEY, task text, notes text);
         ALTER TABLE todo ALTER notes SET STORAGE EXTERNAL",
    )
    .await;
    tracked.setup(&["--all-tables"]).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'Sleep', repeat('x', 10000))").await;
    tracked.sql("UPDATE todo SET task = task").await;
    tracked.store().await;
    let mut record = record(&tracked).await;

    assert_eq!(those(&mut record, Changes::new().field_changed("task")).await, ["UPDATE 1"]);
    assert!(those(&mut record, Changes::new().field_changed("notes")).await.is_empty());
    let update = record.changes(&Changes::new().limit(1)).await.unwrap().items.remove(0);
    let task = update.fields().into_iter().find(|field| field.column == "task").unwrap();
    assert_eq!((task.before, task.after, task.before_known), (None, Some("\"Sleep\""), false));
    assert!(!update.fields().iter().any(|field| field.column == "notes"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_and_where() {
    let tracked = Tracked::new(SCHEMA).await;
    let contexts = [
        r#"{"user_id": 188, "tenant": "acme", "admin": true}"#,
        r#"{"user_id": "188", "user": {"id": 5, "roles": ["a", "b"]}}"#,
        r#"{"user.id": 5}"#,
        r#"{"user_id": null, "quote": "it's \"188\""}"#,
        "{}",
    ];
    for (id, context) in contexts.iter().enumerate() {
        tracked.sql(&under(context, &format!("INSERT INTO todo VALUES ({id})"))).await;
    }
    tracked.store().await;
    let mut record = record(&tracked).await;

    let by = Changes::new().context("user_id", 188);
    assert_eq!(those(&mut record, by.clone()).await, ["CREATE 0", "CREATE 1"]);
    assert_eq!(those(&mut record, by.context("tenant", "acme")).await, ["CREATE 0"]);
    assert_eq!(those(&mut record, Changes::new().context("admin", true)).await, ["CREATE 0"]);
    let dotted = Changes::new().context("user.id", 5);
    assert_eq!(those(&mut record, dotted).await, ["CREATE 1", "CREATE 2"]);
    assert_eq!(those(&mut record, Changes::new().context("user.roles.1", "b")).await, ["CREATE 1"]);
    let quote = Changes::new().context("quote", "it's \"188\"");
    assert_eq!(those(&mut record, quote).await, ["CREATE 3"]);
    assert!(those(&mut record, Changes::new().context("user_id", "null")).await.is_empty());
    assert_eq!(those(&mut record, Changes::new().without_context()).await, ["CREATE 4"]);
    let contained = Changes::new().context_contains(&json!({"user": {"roles": ["b"]}}));
    assert_eq!(those(&mut record, contained).await, ["CREATE 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_by_its_id_or_by_the_header() {
    let tracked = Tracked::new(SCHEMA).await;
    let id = "4bf92f3577b34da6a3ce929d0e0e4736";
    for (key, context) in [
        (1, format!(r#"{{"trace_id": "{id}", "service": "shop"}}"#)),
        (2, format!(r#"{{"traceparent": "00-{id}-00f067aa0ba902b7-01", "service": "billing"}}"#)),
        (3, format!(r#"{{"trace_id": "another", "traceparent": "00-{id}-00f067aa0ba902b7-01"}}"#)),
        (4, "{}".to_owned()),
    ] {
        tracked.sql(&under(&context, &format!("INSERT INTO todo VALUES ({key})"))).await;
    }
    tracked.store().await;
    let mut record = record(&tracked).await;
    assert_eq!(those(&mut record, Changes::new().trace(id)).await, ["CREATE 1", "CREATE 2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_positions_and_times() {
    let tracked = Tracked::new(SCHEMA).await;
    for id in 1..=3 {
        tracked.sql(&format!("INSERT INTO todo VALUES ({id}), (-{id})")).await;
    }
    tracked.store().await;
    let mut record = record(&tracked).await;
    let all = record.changes(&Changes::new().oldest_first()).await.unwrap().items;
    let (middle, last) = (&all[2], &all[4]);
    let second = ["CREATE 2", "CREATE -2"];

    assert_eq!(those(&mut record, Changes::new().commit(middle.commit_position)).await, second);
    assert_eq!(those(&mut record, Changes::new().transaction(middle.transaction_id)).await, second);
    assert!(those(&mut record, Changes::new().transaction(TransactionId(1))).await.is_empty());
    let span = Changes::new().behind(all[0].commit_position).up_to(middle.commit_position);
    assert_eq!(those(&mut record, span).await, second);
    // From an instant on, and up to just before the other.
    let span = Changes::new().since(middle.committed_at).until(last.committed_at);
    assert_eq!(those(&mut record, span).await, second);
    assert_eq!(those(&mut record, Changes::new().since(Timestamp::MIN)).await.len(), 6);
    assert_eq!(those(&mut record, Changes::new().until(Timestamp::MAX)).await.len(), 6);
    let end = CommitPosition(Lsn::new(u64::MAX));
    assert!(those(&mut record, Changes::new().behind(end)).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_change_by_its_id() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked.sql("INSERT INTO todo VALUES (1, 'Sleep', NULL, 1.50), (2, NULL, NULL, NULL)").await;
    tracked.store().await;
    let mut record = record(&tracked).await;
    for change in record.changes(&Changes::new()).await.unwrap().items {
        assert_eq!(record.change(change.id).await.unwrap(), Some(change));
    }
    for digit in ["0", "f"] {
        let nobody = digit.repeat(32).parse().unwrap();
        assert_eq!(record.change(nobody).await.unwrap(), None);
    }
    let first = record.changes(&Changes::new().oldest_first()).await.unwrap().items.remove(0);
    assert_eq!(first.after.get("price"), Some("1.50"));
}
