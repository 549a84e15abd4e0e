//! Writes that the server refuses: the same error as without us, and nothing left behind.

use bemi_core::with_context;
use bemi_tests::journal::user;
use serde_json::json;

use super::{assert_refused, values};
use crate::driver::Begin;
use crate::driver::Bind::{Int, Text};
use crate::stage::Stage;
use crate::stored::{created, todo};

cases![
    a_unique_violation_leaves_nothing,
    a_foreign_key_violation_leaves_nothing,
    a_check_violation_leaves_nothing,
    a_statement_that_the_server_cannot_read_leaves_nothing,
    a_write_that_takes_too_long_leaves_nothing,
    a_failure_in_a_transaction_ends_it,
    a_savepoint_heals_a_failure,
];

const INSERT: &str = "INSERT INTO todo VALUES ($1, $2)";

async fn a_unique_violation_leaves_nothing(stage: Stage) {
    with_context(user(7), async {
        stage.driver.execute(INSERT, &[Int(1), Text("a")]).await.unwrap();
        assert_refused(stage.driver.execute(INSERT, &[Int(1), Text("b")]).await, "23505");
        let several = "INSERT INTO todo VALUES ($1, 'b'), ($2, 'b') RETURNING task AS value";
        assert_refused(stage.driver.query(several, &[Int(2), Int(1)]).await, "23505");
    })
    .await;
    works_afterwards(&stage).await;
    assert_eq!(
        stage.stored().await,
        [created(todo(1, "a")).by(7, INSERT), created(todo(9, "after")).by(8, INSERT)]
    );
}

async fn a_foreign_key_violation_leaves_nothing(stage: Stage) {
    stage.sql("CREATE TABLE note (id int PRIMARY KEY, todo int REFERENCES todo)").await;
    let sql = "INSERT INTO note VALUES ($1, $2)";
    with_context(user(7), async {
        assert_refused(stage.driver.execute(sql, &[Int(1), Int(9)]).await, "23503");
        works_afterwards(&stage).await;
        assert_eq!(stage.driver.execute(sql, &[Int(1), Int(9)]).await.unwrap(), 1);
        assert_refused(
            stage.driver.execute("DELETE FROM todo WHERE id = $1", &[Int(9)]).await,
            "23503",
        );
    })
    .await;
    assert_eq!(
        stage.stored().await,
        [
            created(todo(9, "after")).by(8, INSERT),
            created(json!({"id": 1, "todo": 9})).of("note").by(7, sql),
        ]
    );
}

async fn a_check_violation_leaves_nothing(stage: Stage) {
    stage.sql("ALTER TABLE todo ADD CHECK (id < 100), ALTER task SET NOT NULL").await;
    with_context(user(7), async {
        assert_refused(stage.driver.execute(INSERT, &[Int(100), Text("a")]).await, "23514");
        let null = "INSERT INTO todo VALUES ($1, NULL)";
        assert_refused(stage.driver.execute(null, &[Int(1)]).await, "23502");
    })
    .await;
    works_afterwards(&stage).await;
    assert_eq!(stage.stored().await, [created(todo(9, "after")).by(8, INSERT)]);
}

async fn a_statement_that_the_server_cannot_read_leaves_nothing(stage: Stage) {
    with_context(user(7), async {
        let no_column = "UPDATE todo SET nothing = $1";
        assert_refused(stage.driver.execute(no_column, &[Int(1)]).await, "42703");
        let no_table = "DELETE FROM nowhere WHERE id = $1";
        assert_refused(stage.driver.execute(no_table, &[Int(1)]).await, "42P01");
        let no_sense = "INSERT INTO todo VALUES ($1";
        assert_refused(stage.driver.execute(no_sense, &[Int(1)]).await, "42601");
        assert_refused(stage.driver.script("INSERT INTO todo VALUES (1").await, "42601");
        assert_refused(stage.driver.script("UPDATE todo SET nothing = 1").await, "42703");
    })
    .await;
    works_afterwards(&stage).await;
    assert_eq!(stage.stored().await, [created(todo(9, "after")).by(8, INSERT)]);
}

async fn a_write_that_takes_too_long_leaves_nothing(stage: Stage) {
    let driver = stage.with_server_setting("statement_timeout", "200").await;
    with_context(user(7), async {
        let sql = "INSERT INTO todo SELECT $1::int, 'a' FROM pg_sleep(60)";
        // Not every library tells this code.
        let failure = driver.execute(sql, &[Int(1)]).await.unwrap_err();
        assert!(failure.message.contains("statement timeout"), "{failure:?}");
        assert_eq!(driver.execute(INSERT, &[Int(1), Text("a")]).await.unwrap(), 1);
    })
    .await;
    assert_eq!(stage.stored().await, [created(todo(1, "a")).by(7, INSERT)]);
}

async fn a_failure_in_a_transaction_ends_it(stage: Stage) {
    with_context(user(7), async {
        let mut tx = stage.driver.begin(Begin::Default).await.unwrap();
        tx.execute(INSERT, &[Int(1), Text("a")]).await.unwrap();
        assert_refused(tx.execute(INSERT, &[Int(1), Text("b")]).await, "23505");
        assert_refused(tx.execute(INSERT, &[Int(2), Text("b")]).await, "25P02");
        assert_refused(tx.query("SELECT task AS value FROM todo", &[]).await, "25P02");
        tx.rollback().await.unwrap();
    })
    .await;
    works_afterwards(&stage).await;
    assert_eq!(stage.stored().await, [created(todo(9, "after")).by(8, INSERT)]);
}

async fn a_savepoint_heals_a_failure(stage: Stage) {
    with_context(user(7), async {
        let mut tx = stage.driver.begin(Begin::Default).await.unwrap();
        tx.execute(INSERT, &[Int(1), Text("a")]).await.unwrap();
        let mut inner = tx.begin().await.unwrap();
        assert_refused(inner.execute(INSERT, &[Int(1), Text("b")]).await, "23505");
        inner.rollback().await.unwrap();
        let seen = tx.query("SELECT task AS value FROM todo", &[]).await.unwrap();
        assert_eq!(seen, values(["a"]));
        tx.execute(INSERT, &[Int(2), Text("b")]).await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
    let written = [created(todo(1, "a")).by(7, INSERT), created(todo(2, "b")).by(7, INSERT)];
    assert_eq!(stage.transactions().await, [written]);
}

/// No connection of the pool is spoilt.
async fn works_afterwards(stage: &Stage) {
    stage.settled().await;
    let inserted =
        with_context(user(8), stage.driver.execute(INSERT, &[Int(9), Text("after")])).await;
    assert_eq!(inserted.unwrap(), 1);
}
