//! Transactions that get in each other's way.

use std::sync::Arc;

use bemi_core::{Settings, with_context};
use bemi_tests::journal::user;

use super::{assert_refused, values};
use crate::driver::Bind::{Int, Text};
use crate::driver::{Begin, Driver, Failure};
use crate::stage::Stage;
use crate::stored::{created, todo, updated};

cases![
    a_serialization_failure_can_be_retried,
    a_serialization_failure_at_commit_leaves_nothing,
    a_transaction_has_the_isolation_that_was_asked_for,
    a_write_that_waits_for_another_follows_it,
    an_inlined_message_waits_with_its_write,
];

const READ: &str = "SELECT task AS value FROM todo WHERE id = $1";
const UPDATE: &str = "UPDATE todo SET task = $1 WHERE id = $2";

async fn a_serialization_failure_can_be_retried(stage: Stage) {
    stage.sql("INSERT INTO todo VALUES (1, 'a')").await;
    let mut tx = stage.driver.begin(Begin::Serializable).await.unwrap();
    assert_eq!(tx.query(READ, &[Int(1)]).await.unwrap(), values(["a"]));
    // Somebody is faster.
    with_context(user(8), stage.driver.execute(UPDATE, &[Text("b"), Int(1)])).await.unwrap();
    let update = with_context(user(7), tx.execute(UPDATE, &[Text("c"), Int(1)])).await;
    assert_refused(update, "40001");
    tx.rollback().await.unwrap();
    with_context(user(7), change(&*stage.driver, "c")).await.unwrap();
    assert_eq!(
        stage.stored().await,
        [
            created(todo(1, "a")),
            updated(todo(1, "a"), todo(1, "b")).by(8, UPDATE),
            updated(todo(1, "b"), todo(1, "c")).by(7, UPDATE),
        ]
    );
}

async fn change(driver: &dyn Driver, task: &str) -> Result<(), Failure> {
    let mut tx = driver.begin(Begin::Serializable).await?;
    tx.query(READ, &[Int(1)]).await?;
    tx.execute(UPDATE, &[Text(task), Int(1)]).await?;
    tx.commit().await
}

/// Both read all rows and write another one: only one of them can be right.
async fn a_serialization_failure_at_commit_leaves_nothing(stage: Stage) {
    stage.sql("INSERT INTO todo VALUES (1, 'a'), (2, 'a')").await;
    let all = "SELECT string_agg(task, ',' ORDER BY id) AS value FROM todo";
    let mut one = stage.driver.begin(Begin::Serializable).await.unwrap();
    let mut two = stage.driver.begin(Begin::Serializable).await.unwrap();
    assert_eq!(one.query(all, &[]).await.unwrap(), values(["a,a"]));
    assert_eq!(two.query(all, &[]).await.unwrap(), values(["a,a"]));
    with_context(user(1), one.execute(UPDATE, &[Text("b"), Int(1)])).await.unwrap();
    with_context(user(2), two.execute(UPDATE, &[Text("b"), Int(2)])).await.unwrap();
    one.commit().await.unwrap();
    assert_refused(two.commit().await, "40001");
    stage.settled().await;
    assert_eq!(
        stage.stored().await,
        [
            created(todo(1, "a")),
            created(todo(2, "a")),
            updated(todo(1, "a"), todo(1, "b")).by(1, UPDATE),
        ]
    );
}

async fn a_write_that_waits_for_another_follows_it(stage: Stage) {
    let driver = stage.driver.clone();
    follows_another(&stage, driver).await;
}

/// The server evaluates the condition of such a write a second time, once the other one is done.
async fn an_inlined_message_waits_with_its_write(stage: Stage) {
    let driver = stage.with_settings(Settings::new().inline_messages()).await;
    follows_another(&stage, driver).await;
}

async fn follows_another(stage: &Stage, driver: Arc<dyn Driver>) {
    stage.sql("INSERT INTO todo VALUES (1, 'a'), (2, 'a')").await;
    let other = stage.another_client().await;
    other.batch_execute("BEGIN; UPDATE todo SET task = 'b' WHERE id = 1").await.unwrap();
    let follower = tokio::spawn(with_context(user(7), async move {
        let sql = "UPDATE todo SET task = task || $1 WHERE id < $2";
        driver.execute(sql, &[Text("c"), Int(9)]).await.unwrap()
    }));
    stage.waits_for_a_lock().await;
    other.batch_execute("COMMIT").await.unwrap();
    assert_eq!(follower.await.unwrap(), 2);
    let sql = "UPDATE todo SET task = task || $1 WHERE id < $2";
    assert_eq!(
        stage.stored().await,
        [
            created(todo(1, "a")),
            created(todo(2, "a")),
            updated(todo(1, "a"), todo(1, "b")),
            updated(todo(1, "b"), todo(1, "bc")).by(7, sql),
            updated(todo(2, "a"), todo(2, "ac")).by(7, sql),
        ]
    );
}

async fn a_transaction_has_the_isolation_that_was_asked_for(stage: Stage) {
    let isolation = "SELECT current_setting('transaction_isolation') AS value";
    with_context(user(7), async {
        for (begin, expected) in
            [(Begin::Serializable, "serializable"), (Begin::Default, "read committed")]
        {
            let mut tx = stage.driver.begin(begin).await.unwrap();
            assert_eq!(tx.query(isolation, &[]).await.unwrap(), values([expected]));
            tx.execute("INSERT INTO todo VALUES ($1, $2)", &[Int(1), Text("a")]).await.unwrap();
            assert_eq!(tx.query(isolation, &[]).await.unwrap(), values([expected]));
            tx.rollback().await.unwrap();
        }
    })
    .await;
    assert_eq!(stage.stored().await, []);
}
