//! Texts without values, of one or several statements, with BEGIN, SAVEPOINT and COMMIT in them or not.

use bemi_core::with_context;
use bemi_tests::journal::user;

use super::assert_refused;
use crate::driver::Begin;
use crate::driver::Bind::{Int, Text};
use crate::stage::Stage;
use crate::stored::{Stored, created, deleted, todo, updated};

cases![
    each_statement_of_a_script_has_its_own_text,
    a_script_is_all_or_nothing,
    begin_and_commit_as_text,
    several_transactions_in_one_script,
    rollback_as_text,
    savepoints_as_text,
    savepoints_as_text_inside_a_transaction,
    what_looks_like_a_statement_in_a_string_is_none,
    what_was_prepared_by_text_has_its_context,
    a_read_only_transaction_as_text_refuses_to_write,
];

/// Of a row that a script wrote.
fn inserted(id: i32) -> Stored {
    created(todo(id, "a")).by(7, "INSERT INTO todo VALUES (?, ?)")
}

async fn script(stage: &Stage, sql: &str) {
    with_context(user(7), stage.driver.script(sql)).await.unwrap();
}

async fn each_statement_of_a_script_has_its_own_text(stage: Stage) {
    script(
        &stage,
        "INSERT INTO todo VALUES (1, 'a'); SELECT 1; UPDATE todo SET task = 'b'; DELETE FROM todo WHERE id = 1;",
    )
    .await;
    assert_eq!(
        stage.transactions().await,
        [[
            inserted(1),
            updated(todo(1, "a"), todo(1, "b")).by(7, "UPDATE todo SET task = ?"),
            deleted(todo(1, "b")).by(7, "DELETE FROM todo WHERE id = ?"),
        ]]
    );
}

async fn a_script_is_all_or_nothing(stage: Stage) {
    let sql = "INSERT INTO todo VALUES (1, 'a'); INSERT INTO todo VALUES (2, 'a'); INSERT INTO todo VALUES (1, 'b')";
    assert_refused(with_context(user(7), stage.driver.script(sql)).await, "23505");
    stage.settled().await;
    script(&stage, "INSERT INTO todo VALUES (3, 'a')").await;
    assert_eq!(stage.stored().await, [inserted(3)]);
}

async fn begin_and_commit_as_text(stage: Stage) {
    script(
        &stage,
        "BEGIN; INSERT INTO todo VALUES (1, 'a'); INSERT INTO todo VALUES (2, 'a'); COMMIT",
    )
    .await;
    stage.settled().await;
    stage.driver.execute("INSERT INTO todo VALUES ($1, $2)", &[Int(3), Text("a")]).await.unwrap();
    assert_eq!(
        stage.transactions().await,
        [vec![inserted(1), inserted(2)], vec![created(todo(3, "a"))]]
    );
}

async fn several_transactions_in_one_script(stage: Stage) {
    script(
        &stage,
        "INSERT INTO todo VALUES (1, 'a'); COMMIT; BEGIN; INSERT INTO todo VALUES (2, 'a'); COMMIT; \
         INSERT INTO todo VALUES (3, 'a')",
    )
    .await;
    assert_eq!(stage.transactions().await, [[inserted(1)], [inserted(2)], [inserted(3)]]);
}

async fn rollback_as_text(stage: Stage) {
    script(
        &stage,
        "BEGIN; INSERT INTO todo VALUES (1, 'a'); ROLLBACK; INSERT INTO todo VALUES (2, 'a')",
    )
    .await;
    stage.settled().await;
    assert_eq!(stage.transactions().await, [[inserted(2)]]);
}

async fn savepoints_as_text(stage: Stage) {
    script(
        &stage,
        "BEGIN; SAVEPOINT a; INSERT INTO todo VALUES (1, 'a'); ROLLBACK TO a; \
         INSERT INTO todo VALUES (2, 'a'); SAVEPOINT b; INSERT INTO todo VALUES (3, 'a'); RELEASE b; COMMIT",
    )
    .await;
    assert_eq!(stage.transactions().await, [[inserted(2), inserted(3)]]);
}

async fn savepoints_as_text_inside_a_transaction(stage: Stage) {
    let insert = "INSERT INTO todo VALUES ($1, $2)";
    let mut tx = stage.driver.begin(Begin::Default).await.unwrap();
    tx.script("SAVEPOINT a").await.unwrap();
    with_context(user(7), tx.execute(insert, &[Int(1), Text("a")])).await.unwrap();
    tx.script("ROLLBACK TO SAVEPOINT a").await.unwrap();
    // The message went with the savepoint: this one must emit again, and the next one need not.
    with_context(user(7), tx.execute(insert, &[Int(2), Text("a")])).await.unwrap();
    tx.script("SAVEPOINT b; RELEASE SAVEPOINT b").await.unwrap();
    with_context(user(7), tx.execute(insert, &[Int(3), Text("a")])).await.unwrap();
    tx.execute(insert, &[Int(4), Text("a")]).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(
        stage.transactions().await,
        [[
            created(todo(2, "a")).by(7, insert),
            created(todo(3, "a")).by(7, insert),
            created(todo(4, "a")),
        ]]
    );
}

async fn what_looks_like_a_statement_in_a_string_is_none(stage: Stage) {
    let tasks =
        ["; DELETE FROM todo; --", "it''s /* not */ a comment", "$$; COMMIT; $$", "E''; BEGIN"];
    let sql: String = tasks
        .iter()
        .zip(1..)
        .map(|(task, id)| format!("INSERT INTO todo VALUES ({id}, '{task}'); -- '; COMMIT\n"))
        .collect();
    script(&stage, &sql).await;
    let expected: Vec<_> = tasks
        .iter()
        .zip(1..)
        .map(|(task, id)| {
            created(todo(id, &task.replace("''", "'"))).by(7, "INSERT INTO todo VALUES (?, ?)")
        })
        .collect();
    assert_eq!(stage.transactions().await, [expected]);
}

async fn what_was_prepared_by_text_has_its_context(stage: Stage) {
    script(
        &stage,
        "PREPARE add AS INSERT INTO todo VALUES ($1, 'a'); EXECUTE add(1); DEALLOCATE add",
    )
    .await;
    assert_eq!(stage.stored().await, [created(todo(1, "a")).by(7, "EXECUTE add(?)")]);
}

async fn a_read_only_transaction_as_text_refuses_to_write(stage: Stage) {
    let sql = "BEGIN READ ONLY; SELECT 1; INSERT INTO todo VALUES (1, 'a'); COMMIT";
    assert_refused(with_context(user(7), stage.driver.script(sql)).await, "25006");
    script(&stage, "BEGIN READ ONLY; SELECT 1; COMMIT; INSERT INTO todo VALUES (2, 'a')").await;
    assert_eq!(stage.stored().await, [inserted(2)]);
}
