//! What can be taken back, and what becomes of it.

use bemi_core::record::{Changes, Selection};

use crate::case::{Case, row, shown};

const TODO: &str = "CREATE TABLE todo (id int PRIMARY KEY, task text, done boolean DEFAULT false)";

#[tokio::test]
async fn a_transaction_goes_back_as_a_whole() {
    let mut case = Case::new(TODO).await;
    case.committed("INSERT INTO todo VALUES (1, 'a'), (2, 'b')").await;
    let changed = case
        .committed(
            "INSERT INTO todo VALUES (3, 'c'); UPDATE todo SET done = true WHERE id = 1; DELETE FROM todo WHERE id = 2",
        )
        .await;
    let plan = case.revert(&changed).await;
    assert_eq!(shown(&plan), ["DELETE todo 3", "UPDATE todo 1 (done)", "INSERT todo 2"]);
    assert_eq!(case.rows("todo").await, "(1,a,f) (2,b,f)");
    // It is in the record itself, and goes back as well.
    let reverted = Selection::Committed(case.stored().await);
    case.revert(&reverted).await;
    assert_eq!(case.rows("todo").await, "(1,a,t) (3,c,f)");
}

#[tokio::test]
async fn a_change_goes_back_alone_and_touches_only_its_columns() {
    let mut case = Case::new(TODO).await;
    case.committed("INSERT INTO todo VALUES (1, 'a')").await;
    case.committed("UPDATE todo SET done = true").await;
    let id: String =
        case.tracked.value("SELECT id::text FROM changes WHERE operation = 'UPDATE'").await;
    case.committed("UPDATE todo SET task = 'b'").await;
    let plan = case.revert(&Selection::Change(id.parse().unwrap())).await;
    assert_eq!(shown(&plan), ["UPDATE todo 1 (done)"]);
    assert_eq!(case.rows("todo").await, "(1,b,f)");
}

#[tokio::test]
async fn a_row_goes_back_to_a_point_under_all_keys_that_it_had() {
    let mut case = Case::new(TODO).await;
    case.committed("INSERT INTO todo VALUES (1, 'a'), (9, 'other')").await;
    let since = case.stored().await;
    case.committed("UPDATE todo SET done = true WHERE id = 1").await;
    case.committed("UPDATE todo SET id = 2 WHERE id = 1").await;
    case.committed("UPDATE todo SET task = 'b' WHERE id = 2").await;
    case.committed("UPDATE todo SET task = 'else' WHERE id = 9").await;
    let plan = case.plan(&row("todo", 2, since), Default::default()).await;
    assert_eq!(shown(&plan), ["UPDATE todo 2 (done, id, task)"]);
    case.revert(&row("todo", 1, since)).await;
    assert_eq!(case.rows("todo").await, "(1,a,f) (9,else,f)");
}

#[tokio::test]
async fn what_a_request_did_goes_back_by_its_context() {
    let mut case = Case::new(TODO).await;
    let message = |id: &str| {
        format!("SELECT pg_logical_emit_message(true, '_bemi', '{{\"request_id\": \"{id}\"}}')")
    };
    case.committed(&format!("{}; INSERT INTO todo VALUES (1, 'a'), (2, 'b')", message("one")))
        .await;
    case.committed(&format!("{}; UPDATE todo SET task = 'c' WHERE id = 1", message("two"))).await;
    case.committed("INSERT INTO todo VALUES (3, 'd')").await;
    case.committed(&format!("{}; DELETE FROM todo WHERE id = 2", message("two"))).await;
    let request = Selection::Where(Changes::new().context("request_id", "two"));
    case.revert(&request).await;
    assert_eq!(case.rows("todo").await, "(1,a,f) (2,b,f) (3,d,f)");
}

#[tokio::test]
async fn everything_since_a_commit_goes_back_to_it() {
    let mut case = Case::new(TODO).await;
    case.committed("INSERT INTO todo VALUES (1, 'a'), (2, 'b')").await;
    let then = case.stored().await;
    case.committed("DELETE FROM todo WHERE id = 1").await;
    case.committed("INSERT INTO todo VALUES (1, 'again', true)").await;
    case.committed("UPDATE todo SET id = 5 WHERE id = 2; INSERT INTO todo VALUES (2, 'new')").await;
    let plan = case.revert(&Selection::After(then)).await;
    // One statement for each row.
    assert_eq!(shown(&plan), ["DELETE todo 2", "UPDATE todo 5 (id)", "UPDATE todo 1 (done, task)"]);
    assert_eq!(case.rows("todo").await, "(1,a,f) (2,b,f)");
}

#[tokio::test]
async fn what_is_not_in_the_record_is_an_error() {
    let mut case = Case::new(TODO).await;
    let then = case.stored().await;
    assert!(case.record.reverse(&Selection::Committed(then)).await.is_err());
    assert!(
        case.record
            .reverse(&Selection::Transaction(bemi_core::TransactionId(u32::MAX)))
            .await
            .is_err()
    );
    let plan = case.plan(&Selection::After(then), Default::default()).await;
    assert!(plan.is_empty() && plan.conflicts().is_empty());
    assert_eq!(plan.summary().to_string(), "nothing to do");
}
