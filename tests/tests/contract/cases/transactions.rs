//! Transactions.

use bemi_core::{Context, add_context, with_context};
use bemi_tests::journal::user;
use serde_json::json;

use super::{assert_refused, values};
use crate::driver::Begin;
use crate::driver::Bind::{Int, Text};
use crate::stage::Stage;
use crate::stored::{created, deleted, todo, updated};

cases![
    the_writes_of_a_transaction_are_one,
    a_transaction_that_is_rolled_back_leaves_nothing,
    a_transaction_that_is_dropped_is_rolled_back,
    two_contexts_in_one_transaction,
    context_that_is_added_between_two_writes,
    writes_outside_any_scope_between_those_inside,
    the_scope_of_the_write_counts_and_not_that_of_begin,
    a_read_only_transaction_reads_and_refuses_to_write,
    a_transaction_sees_what_it_wrote,
];

const INSERT: &str = "INSERT INTO todo VALUES ($1, $2)";
const UPDATE: &str = "UPDATE todo SET task = $1 WHERE id = $2";

async fn the_writes_of_a_transaction_are_one(stage: Stage) {
    with_context(user(7), async {
        let mut tx = stage.driver.begin(Begin::Default).await.unwrap();
        assert_eq!(tx.execute(INSERT, &[Int(1), Text("a")]).await.unwrap(), 1);
        assert_eq!(tx.execute(UPDATE, &[Text("b"), Int(1)]).await.unwrap(), 1);
        assert_eq!(stage.todos().await, [""; 0]);
        assert_eq!(tx.execute(INSERT, &[Int(2), Text("c")]).await.unwrap(), 1);
        assert_eq!(tx.execute("DELETE FROM todo WHERE id = $1", &[Int(1)]).await.unwrap(), 1);
        tx.commit().await.unwrap();
    })
    .await;
    assert_eq!(stage.todos().await, ["2 c"]);
    assert_eq!(
        stage.transactions().await,
        [[
            created(todo(1, "a")).by(7, INSERT),
            updated(todo(1, "a"), todo(1, "b")).by(7, UPDATE),
            created(todo(2, "c")).by(7, INSERT),
            deleted(todo(1, "b")).by(7, "DELETE FROM todo WHERE id = $1"),
        ]]
    );
}

async fn a_transaction_that_is_rolled_back_leaves_nothing(stage: Stage) {
    with_context(user(7), async {
        let mut tx = stage.driver.begin(Begin::Default).await.unwrap();
        tx.execute(INSERT, &[Int(1), Text("a")]).await.unwrap();
        tx.rollback().await.unwrap();
    })
    .await;
    // The connection knows nothing of the context any more.
    stage.driver.execute(INSERT, &[Int(2), Text("b")]).await.unwrap();
    assert_eq!(stage.stored().await, [created(todo(2, "b"))]);
}

async fn a_transaction_that_is_dropped_is_rolled_back(stage: Stage) {
    let driver = stage.with_one_connection().await;
    with_context(user(7), async {
        let mut tx = driver.begin(Begin::Default).await.unwrap();
        tx.execute(INSERT, &[Int(1), Text("a")]).await.unwrap();
        drop(tx);
    })
    .await;
    driver.execute(INSERT, &[Int(2), Text("b")]).await.unwrap();
    stage.settled().await;
    assert_eq!(stage.stored().await, [created(todo(2, "b"))]);
}

async fn two_contexts_in_one_transaction(stage: Stage) {
    let mut tx = stage.driver.begin(Begin::Default).await.unwrap();
    for (id, user_id) in [(1, 7), (2, 8), (3, 8), (4, 7)] {
        with_context(user(user_id), tx.execute(INSERT, &[Int(id), Text("a")])).await.unwrap();
    }
    tx.commit().await.unwrap();
    assert_eq!(
        stage.transactions().await,
        [[(1, 7), (2, 8), (3, 8), (4, 7)]
            .map(|(id, user_id)| created(todo(id, "a")).by(user_id, INSERT))]
    );
}

async fn context_that_is_added_between_two_writes(stage: Stage) {
    with_context(Context::new().with("endpoint", "/todos"), async {
        let mut tx = stage.driver.begin(Begin::Default).await.unwrap();
        tx.execute(INSERT, &[Int(1), Text("a")]).await.unwrap();
        assert!(add_context([("user_id", 7)]));
        tx.execute(INSERT, &[Int(2), Text("a")]).await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
    assert_eq!(
        stage.transactions().await,
        [[
            created(todo(1, "a")).under(json!({"endpoint": "/todos", "SQL": INSERT})),
            created(todo(2, "a")).under(json!({"endpoint": "/todos", "user_id": 7, "SQL": INSERT})),
        ]]
    );
}

async fn writes_outside_any_scope_between_those_inside(stage: Stage) {
    let mut tx = stage.driver.begin(Begin::Default).await.unwrap();
    tx.execute(INSERT, &[Int(1), Text("a")]).await.unwrap();
    with_context(user(7), tx.execute(INSERT, &[Int(2), Text("a")])).await.unwrap();
    tx.execute(INSERT, &[Int(3), Text("a")]).await.unwrap();
    tx.script("INSERT INTO todo VALUES (4, 'a')").await.unwrap();
    with_context(user(7), tx.execute(INSERT, &[Int(5), Text("a")])).await.unwrap();
    tx.script("INSERT INTO todo VALUES (6, 'a')").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(
        stage.transactions().await,
        [[
            created(todo(1, "a")),
            created(todo(2, "a")).by(7, INSERT),
            created(todo(3, "a")),
            created(todo(4, "a")),
            created(todo(5, "a")).by(7, INSERT),
            created(todo(6, "a")),
        ]]
    );
}

async fn the_scope_of_the_write_counts_and_not_that_of_begin(stage: Stage) {
    let mut tx = with_context(user(7), stage.driver.begin(Begin::Default)).await.unwrap();
    with_context(user(8), tx.execute(INSERT, &[Int(1), Text("a")])).await.unwrap();
    with_context(user(9), tx.commit()).await.unwrap();
    assert_eq!(stage.stored().await, [created(todo(1, "a")).by(8, INSERT)]);
}

async fn a_read_only_transaction_reads_and_refuses_to_write(stage: Stage) {
    stage.sql("INSERT INTO todo VALUES (1, 'a')").await;
    with_context(user(7), async {
        let read = "SELECT task AS value FROM todo";
        let mut tx = stage.driver.begin(Begin::ReadOnly).await.unwrap();
        assert_eq!(tx.query(read, &[]).await.unwrap(), values(["a"]));
        tx.commit().await.unwrap();
        let mut tx = stage.driver.begin(Begin::ReadOnly).await.unwrap();
        assert_refused(tx.execute(INSERT, &[Int(2), Text("b")]).await, "25006");
        assert_refused(tx.query(read, &[]).await, "25P02");
        tx.rollback().await.unwrap();
        let mut tx = stage.driver.begin(Begin::ReadOnly).await.unwrap();
        assert_refused(tx.script("INSERT INTO todo VALUES (2, 'b')").await, "25006");
        tx.rollback().await.unwrap();
        stage.driver.execute(INSERT, &[Int(2), Text("b")]).await.unwrap();
    })
    .await;
    assert_eq!(stage.stored().await, [created(todo(1, "a")), created(todo(2, "b")).by(7, INSERT)]);
}

async fn a_transaction_sees_what_it_wrote(stage: Stage) {
    with_context(user(7), async {
        let mut tx = stage.driver.begin(Begin::Default).await.unwrap();
        let inserted = tx.query(
            "INSERT INTO todo VALUES ($1, $2) RETURNING task AS value",
            &[Int(1), Text("a")],
        );
        assert_eq!(inserted.await.unwrap(), values(["a"]));
        let read = "SELECT task AS value FROM todo WHERE id = $1";
        assert_eq!(tx.query(read, &[Int(1)]).await.unwrap(), values(["a"]));
        tx.script("UPDATE todo SET task = 'b'").await.unwrap();
        assert_eq!(tx.query(read, &[Int(1)]).await.unwrap(), values(["b"]));
        tx.commit().await.unwrap();
    })
    .await;
    assert_eq!(
        stage.transactions().await,
        [[
            created(todo(1, "a")).by(7, "INSERT INTO todo VALUES ($1, $2) RETURNING task AS value"),
            updated(todo(1, "a"), todo(1, "b")).by(7, "UPDATE todo SET task = ?"),
        ]]
    );
}
