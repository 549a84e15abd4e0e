//! Which scope a write belongs to.

use bemi_core::{Context, spawn, with_context};
use bemi_tests::journal::user;
use serde_json::json;

use crate::driver::Begin;
use crate::driver::Bind::{Int, Text};
use crate::stage::Stage;
use crate::stored::{created, todo};

cases![
    an_inner_scope_wins_until_it_ends,
    a_scope_goes_along_with_a_spawned_task,
    a_plain_spawned_task_has_no_scope,
    an_empty_context_is_a_context,
    scopes_that_are_polled_together_are_kept_apart,
];

const INSERT: &str = "INSERT INTO todo VALUES ($1, $2)";

async fn an_inner_scope_wins_until_it_ends(stage: Stage) {
    with_context(user(7).with("job", "import"), async {
        let mut tx = stage.driver.begin(Begin::Default).await.unwrap();
        tx.execute(INSERT, &[Int(1), Text("a")]).await.unwrap();
        with_context(user(8), tx.execute(INSERT, &[Int(2), Text("a")])).await.unwrap();
        tx.execute(INSERT, &[Int(3), Text("a")]).await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
    assert_eq!(
        stage.transactions().await,
        [[(1, 7), (2, 8), (3, 7)].map(|(id, user_id)| {
            created(todo(id, "a"))
                .under(json!({"user_id": user_id, "job": "import", "SQL": INSERT}))
        })]
    );
}

async fn a_scope_goes_along_with_a_spawned_task(stage: Stage) {
    let driver = stage.driver.clone();
    with_context(user(7), async {
        spawn(async move { driver.execute(INSERT, &[Int(1), Text("a")]).await }).await
    })
    .await
    .unwrap()
    .unwrap();
    assert_eq!(stage.stored().await, [created(todo(1, "a")).by(7, INSERT)]);
}

async fn a_plain_spawned_task_has_no_scope(stage: Stage) {
    let driver = stage.driver.clone();
    with_context(user(7), async {
        tokio::spawn(async move { driver.execute(INSERT, &[Int(1), Text("a")]).await }).await
    })
    .await
    .unwrap()
    .unwrap();
    assert_eq!(stage.stored().await, [created(todo(1, "a"))]);
}

async fn an_empty_context_is_a_context(stage: Stage) {
    with_context(Context::new(), stage.driver.execute(INSERT, &[Int(1), Text("a")])).await.unwrap();
    assert_eq!(stage.stored().await, [created(todo(1, "a")).under(json!({"SQL": INSERT}))]);
}

async fn scopes_that_are_polled_together_are_kept_apart(stage: Stage) {
    let write = async |id: i32| {
        let binds = [Int(id), Text("a")];
        with_context(user(id), stage.driver.execute(INSERT, &binds)).await.unwrap();
    };
    tokio::join!(write(1), write(2), write(3), write(4));
    let mut stored = stage.stored().await;
    stored.sort_by_key(|row| row.after["id"].as_i64());
    assert_eq!(stored, [1, 2, 3, 4].map(|id| created(todo(id, "a")).by(id, INSERT)));
}
