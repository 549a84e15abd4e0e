//! Transactions inside transactions.

use bemi_core::{Settings, with_context};
use bemi_tests::journal::user;
use serde_json::json;

use crate::driver::Bind::{Int, Text};
use crate::driver::{Begin, Driver};
use crate::stage::Stage;
use crate::stored::{created, todo};

cases![
    three_deep_with_a_partial_rollback,
    after_a_rollback_to_a_savepoint_the_context_is_right,
    the_same_without_the_text_of_statements,
    a_nested_transaction_that_is_dropped_is_rolled_back,
    an_inner_commit_does_not_outlive_an_outer_rollback,
    what_was_said_for_no_row_inside_governs_outside,
];

const INSERT: &str = "INSERT INTO todo VALUES ($1, $2)";

async fn three_deep_with_a_partial_rollback(stage: Stage) {
    with_context(user(7), async {
        let mut outer = stage.driver.begin(Begin::Default).await.unwrap();
        outer.execute(INSERT, &[Int(1), Text("outer")]).await.unwrap();
        let mut middle = outer.begin().await.unwrap();
        middle.execute(INSERT, &[Int(2), Text("middle")]).await.unwrap();
        let mut inner = middle.begin().await.unwrap();
        inner.execute(INSERT, &[Int(3), Text("inner")]).await.unwrap();
        inner.rollback().await.unwrap();
        middle.execute(INSERT, &[Int(4), Text("middle")]).await.unwrap();
        let mut inner = middle.begin().await.unwrap();
        inner.execute(INSERT, &[Int(5), Text("inner")]).await.unwrap();
        inner.commit().await.unwrap();
        middle.commit().await.unwrap();
        let mut middle = outer.begin().await.unwrap();
        middle.execute(INSERT, &[Int(6), Text("middle")]).await.unwrap();
        let mut inner = middle.begin().await.unwrap();
        inner.execute(INSERT, &[Int(7), Text("inner")]).await.unwrap();
        inner.commit().await.unwrap();
        middle.rollback().await.unwrap();
        outer.execute(INSERT, &[Int(8), Text("outer")]).await.unwrap();
        outer.commit().await.unwrap();
    })
    .await;
    let written = [(1, "outer"), (2, "middle"), (4, "middle"), (5, "inner"), (8, "outer")];
    assert_eq!(
        stage.transactions().await,
        [written.map(|(id, task)| created(todo(id, task)).by(7, INSERT))]
    );
}

async fn after_a_rollback_to_a_savepoint_the_context_is_right(stage: Stage) {
    changing_users(&*stage.driver).await;
    let written = [(1, Some(7)), (3, Some(8)), (4, Some(7)), (6, None), (7, None)];
    assert_eq!(
        stage.transactions().await,
        [written.map(|(id, by)| match by {
            Some(user) => created(todo(id, "a")).by(user, INSERT),
            None => created(todo(id, "a")),
        })]
    );
}

/// Then only a change of the context tells when a message is needed.
async fn the_same_without_the_text_of_statements(stage: Stage) {
    let driver = stage.with_settings(Settings::new().without_sql()).await;
    changing_users(&*driver).await;
    let written = [(1, Some(7)), (3, Some(8)), (4, Some(7)), (6, None), (7, None)];
    assert_eq!(
        stage.transactions().await,
        [written.map(|(id, by)| match by {
            Some(user) => created(todo(id, "a")).under(json!({"user_id": user})),
            None => created(todo(id, "a")),
        })]
    );
}

/// A message has the LSN of what is written next, and the server orders by it what subtransactions wrote. Many rounds, since it
/// may order two that are the same either way.
async fn what_was_said_for_no_row_inside_governs_outside(stage: Stage) {
    let driver = stage.with_settings(Settings::new().without_sql()).await;
    let mut outer = driver.begin(Begin::Default).await.unwrap();
    for round in 0..10 {
        with_context(user(7), outer.execute(INSERT, &[Int(2 * round), Text("a")])).await.unwrap();
        with_context(user(8), async {
            let mut inner = outer.begin().await.unwrap();
            let nobody = "UPDATE todo SET task = $2 WHERE id = $1";
            inner.execute(nobody, &[Int(-1), Text("a")]).await.unwrap();
            inner.commit().await.unwrap();
            outer.execute(INSERT, &[Int(2 * round + 1), Text("a")]).await.unwrap();
        })
        .await;
    }
    outer.commit().await.unwrap();
    let written = (0..20).map(|id| {
        created(todo(id, "a")).under(json!({"user_id": if id % 2 == 0 { 7 } else { 8 }}))
    });
    assert_eq!(stage.transactions().await, [written.collect::<Vec<_>>()]);
}

async fn changing_users(driver: &dyn Driver) {
    let mut outer = driver.begin(Begin::Default).await.unwrap();
    with_context(user(7), outer.execute(INSERT, &[Int(1), Text("a")])).await.unwrap();

    let mut inner = outer.begin().await.unwrap();
    with_context(user(8), inner.execute(INSERT, &[Int(2), Text("a")])).await.unwrap();
    inner.rollback().await.unwrap();
    // What was emitted for this user is gone.
    with_context(user(8), outer.execute(INSERT, &[Int(3), Text("a")])).await.unwrap();
    with_context(user(7), outer.execute(INSERT, &[Int(4), Text("a")])).await.unwrap();

    let mut inner = outer.begin().await.unwrap();
    inner.execute(INSERT, &[Int(5), Text("a")]).await.unwrap();
    inner.rollback().await.unwrap();
    // So is the message that said that there is none.
    outer.execute(INSERT, &[Int(6), Text("a")]).await.unwrap();
    outer.execute(INSERT, &[Int(7), Text("a")]).await.unwrap();
    outer.commit().await.unwrap();
}

async fn a_nested_transaction_that_is_dropped_is_rolled_back(stage: Stage) {
    with_context(user(7), async {
        let mut outer = stage.driver.begin(Begin::Default).await.unwrap();
        let mut inner = outer.begin().await.unwrap();
        inner.execute(INSERT, &[Int(1), Text("a")]).await.unwrap();
        drop(inner);
        outer.execute(INSERT, &[Int(2), Text("a")]).await.unwrap();
        outer.commit().await.unwrap();
    })
    .await;
    assert_eq!(stage.stored().await, [created(todo(2, "a")).by(7, INSERT)]);
}

async fn an_inner_commit_does_not_outlive_an_outer_rollback(stage: Stage) {
    with_context(user(7), async {
        let mut outer = stage.driver.begin(Begin::Default).await.unwrap();
        let mut inner = outer.begin().await.unwrap();
        inner.execute(INSERT, &[Int(1), Text("a")]).await.unwrap();
        inner.commit().await.unwrap();
        outer.rollback().await.unwrap();
    })
    .await;
    stage.driver.execute(INSERT, &[Int(2), Text("a")]).await.unwrap();
    assert_eq!(stage.stored().await, [created(todo(2, "a"))]);
}
