//! Many tasks on few connections, and connections that die.

use std::sync::Arc;

use bemi_core::with_context;
use bemi_tests::journal::user;

use crate::driver::Bind::{Int, Text};
use crate::driver::{Begin, Driver};
use crate::stage::Stage;
use crate::stored::{created, todo, updated};

cases![
    two_hundred_tasks_on_five_connections_keep_their_own_context,
    a_backend_that_is_killed_while_idle_is_replaced,
    a_backend_that_is_killed_in_a_transaction_is_replaced,
];

const INSERT: &str = "INSERT INTO todo VALUES ($1, $2)";
const UPDATE: &str = "UPDATE todo SET task = $1 WHERE id = $2";
const TASKS: i32 = 200;

async fn two_hundred_tasks_on_five_connections_keep_their_own_context(stage: Stage) {
    let tasks: Vec<_> = (0..TASKS)
        .map(|id| tokio::spawn(with_context(user(id), insert_and_update(stage.driver.clone(), id))))
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let mut stored = stage.stored().await;
    // Those of one task stay in order.
    stored.sort_by_key(|row| row.after["id"].as_i64());
    let expected: Vec<_> = (0..TASKS)
        .flat_map(|id| {
            [
                created(todo(id, "a")).by(id, INSERT),
                updated(todo(id, "a"), todo(id, "b")).by(id, UPDATE),
                updated(todo(id, "b"), todo(id, "c")).by(id, UPDATE),
            ]
        })
        .collect();
    assert_eq!(stored, expected);
}

/// In autocommit, and in a transaction.
async fn insert_and_update(driver: Arc<dyn Driver>, id: i32) {
    driver.execute(INSERT, &[Int(id), Text("a")]).await.unwrap();
    let mut tx = driver.begin(Begin::Default).await.unwrap();
    for task in ["b", "c"] {
        tx.execute(UPDATE, &[Text(task), Int(id)]).await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn a_backend_that_is_killed_while_idle_is_replaced(stage: Stage) {
    let driver = stage.with_one_connection().await;
    with_context(user(7), async {
        driver.execute(INSERT, &[Int(1), Text("a")]).await.unwrap();
        stage.kill_backends().await;
        insert_at_the_second_try(&*driver, 2).await;
        stage.kill_backends().await;
        insert_at_the_second_try(&*driver, 3).await;
    })
    .await;
    let ids = [1, 2, 3];
    assert_eq!(stage.stored().await, ids.map(|id| created(todo(id, "a")).by(7, INSERT)));
}

async fn a_backend_that_is_killed_in_a_transaction_is_replaced(stage: Stage) {
    let driver = stage.with_one_connection().await;
    with_context(user(7), async {
        let mut tx = driver.begin(Begin::Default).await.unwrap();
        tx.execute(INSERT, &[Int(1), Text("a")]).await.unwrap();
        stage.kill_backends().await;
        tx.execute(INSERT, &[Int(2), Text("a")]).await.unwrap_err();
        drop(tx);
        insert_at_the_second_try(&*driver, 3).await;

        let mut tx = driver.begin(Begin::Default).await.unwrap();
        tx.execute(INSERT, &[Int(4), Text("a")]).await.unwrap();
        stage.kill_backends().await;
        tx.commit().await.unwrap_err();
        insert_at_the_second_try(&*driver, 5).await;
    })
    .await;
    assert_eq!(stage.stored().await, [3, 5].map(|id| created(todo(id, "a")).by(7, INSERT)));
}

/// A pool may find out by the first call that its connection is gone, not by the second.
async fn insert_at_the_second_try(driver: &dyn Driver, id: i32) {
    if driver.execute(INSERT, &[Int(id), Text("a")]).await.is_err() {
        driver.execute(INSERT, &[Int(id), Text("a")]).await.unwrap();
    }
}
