//! What goes over the wire, as the server logs it: one line is one statement or text, so one round trip or, where a statement is
//! prepared first, two.

use bemi_diesel::{Settings, with_context_sync};
use bemi_tests::journal::user;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::result::Error;

use crate::app::{App, Todo, insert, todo};

const INSERT: &str = r#"INSERT INTO "todo" ("id", "task") VALUES ($1, $2)"#;
const SELECT: &str = r#"SELECT "todo"."id", "todo"."task" FROM "todo""#;

fn without_sql() -> Settings {
    Settings::new().without_sql()
}

#[tokio::test]
async fn reads_and_writes_outside_a_scope_are_all_that_is_sent() {
    let app = App::new().await;
    let connection = &mut app.logged(without_sql()).await;
    with_context_sync(user(1), || {
        todo::table.load::<Todo>(connection).unwrap();
        connection.batch_execute("SELECT 1; SELECT 2").unwrap();
    });
    insert(connection, 1).unwrap();
    connection.batch_execute("DELETE FROM todo; SELECT 1").unwrap();
    assert_eq!(app.sent(), [SELECT, "SELECT 1; SELECT 2", INSERT, "DELETE FROM todo; SELECT 1"]);
}

#[tokio::test]
async fn a_write_in_a_scope_is_between_a_begin_with_the_message_and_a_commit() {
    let app = App::new().await;
    let connection = &mut app.logged(without_sql()).await;
    with_context_sync(user(1), || {
        insert(connection, 1).unwrap();
        insert(connection, 1).unwrap_err();
    });
    assert_eq!(
        app.sent(),
        ["BEGIN; <emit>", INSERT, "COMMIT", "BEGIN; <emit>", INSERT, "ROLLBACK"]
    );
}

#[tokio::test]
async fn a_text_without_arguments_takes_its_message_along() {
    let app = App::new().await;
    let connection = &mut app.logged(without_sql()).await;
    with_context_sync(user(1), || connection.batch_execute("DELETE FROM todo; SELECT 1")).unwrap();
    assert_eq!(app.sent(), ["<emit>; DELETE FROM todo; SELECT 1"]);
}

#[tokio::test]
async fn in_a_transaction_the_message_is_sent_before_the_first_write() {
    let app = App::new().await;
    let connection = &mut app.logged(without_sql()).await;
    with_context_sync(user(1), || {
        connection.transaction(|connection| {
            todo::table.load::<Todo>(connection)?;
            insert(connection, 1)?;
            insert(connection, 2)?;
            let _ = connection.transaction(|_| Err::<(), _>(Error::RollbackTransaction));
            connection.batch_execute("DELETE FROM todo")
        })
    })
    .unwrap();
    assert_eq!(
        app.sent(),
        [
            "BEGIN",
            SELECT,
            "<emit>",
            INSERT,
            INSERT,
            "SAVEPOINT diesel_savepoint_1",
            "ROLLBACK TO SAVEPOINT diesel_savepoint_1",
            "DELETE FROM todo",
            "COMMIT"
        ]
    );
}

#[tokio::test]
async fn after_a_commit_that_is_refused_there_is_nothing_to_roll_back() {
    let app = App::new().await;
    app.run("CREATE TABLE late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)").await;
    let connection = &mut app.logged(without_sql()).await;
    let insert = "INSERT INTO late VALUES (1), (1)";
    with_context_sync(user(1), || diesel::sql_query(insert).execute(connection)).unwrap_err();
    connection.batch_execute("SELECT 1").unwrap();
    assert_eq!(app.sent(), ["BEGIN; <emit>", insert, "COMMIT", "SELECT 1"]);
}
