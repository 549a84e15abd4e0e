//! Texts without arguments, of one or several statements, and the transactions that are begun and ended in them.

use bemi_diesel::{Settings, with_context_sync};
use bemi_tests::journal::{Event, by, by_nobody, inserted, user};
use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::prelude::*;
use diesel::r2d2::R2D2Connection;
use diesel::result::Error;
use serde_json::json;

use crate::app::{App, insert, todo};

#[tokio::test]
async fn each_statement_of_a_text_has_its_own_text_in_its_context() {
    let app = App::new().await;
    let connection = &mut app.with_sql();
    with_context_sync(user(1), || {
        connection
            .batch_execute("SELECT 1; INSERT INTO todo VALUES (1, 'a'); DELETE FROM todo; SELECT 2")
    })
    .unwrap();
    let message = |sql: &str| Event::Message(json!({ "user_id": 1, "SQL": sql }));
    assert_eq!(
        app.journal().await,
        [[
            message("INSERT INTO todo VALUES (?, ?)"),
            Event::Change(inserted(1, "a")),
            message("DELETE FROM todo"),
            Event::Change("todo: DELETE: id:1".to_owned()),
        ]]
    );
}

#[tokio::test]
async fn transactions_that_are_begun_as_text_are_followed() {
    let app = App::new().await;
    for prepared in [false, true] {
        app.run("DELETE FROM todo").await;
        app.journal().await;
        let connection = &mut app.connection();
        with_context_sync(user(1), || {
            for text in [
                "BEGIN",
                "INSERT INTO todo VALUES (1, 'x')",
                "SAVEPOINT a",
                "INSERT INTO todo VALUES (2, 'x')",
                "ROLLBACK TO SAVEPOINT a",
                "INSERT INTO todo VALUES (3, 'x')",
                "COMMIT AND CHAIN",
                "INSERT INTO todo VALUES (4, 'x')",
                "END",
                "INSERT INTO todo VALUES (5, 'x')",
            ] {
                match prepared {
                    true => drop(diesel::sql_query(text).execute(connection).unwrap()),
                    false => connection.batch_execute(text).unwrap(),
                }
            }
        });
        assert_eq!(
            app.changes().await,
            [
                vec![by(1, inserted(1, "x")), by(1, inserted(3, "x"))],
                vec![by(1, inserted(4, "x"))],
                vec![by(1, inserted(5, "x"))]
            ]
        );
    }
}

#[tokio::test]
async fn a_text_that_fails_half_way_leaves_the_transaction_where_the_server_has_it() {
    let app = App::new().await;
    let connection = &mut app.connection();
    let is_open_after = |connection: &mut bemi_diesel::BemiPgConnection, text: &str| {
        connection.batch_execute(text).unwrap_err();
        connection.is_in_transaction()
    };
    with_context_sync(user(1), || {
        assert!(is_open_after(connection, "BEGIN; INSERT INTO todo VALUES (1, 'x'); SELECT 1 / 0"));
        assert!(insert(connection, 2).unwrap_err().to_string().contains("aborted"));
        connection.batch_execute("ROLLBACK").unwrap();
        assert!(!connection.is_in_transaction());

        assert!(!is_open_after(connection, "BEGIN; COMMIT; SELECT 1 / 0"));
        insert(connection, 3).unwrap();
        assert!(!is_open_after(connection, "SELECT 1 / 0; BEGIN"));
        insert(connection, 4).unwrap();
        assert!(!is_open_after(connection, "DELETE FROM todo; SELECT 1 / 0"));
        assert!(!is_open_after(connection, "BEGIN; DELETE FROM todo; \0"));
        insert(connection, 5).unwrap();

        let text = "BEGIN; INSERT INTO todo VALUES (6, 'x'); SAVEPOINT a; INSERT INTO todo VALUES (7, 'x')";
        connection.batch_execute(text).unwrap();
        assert!(is_open_after(connection, "ROLLBACK TO SAVEPOINT nowhere"));
        connection.batch_execute("ROLLBACK TO SAVEPOINT a").unwrap();
        insert(connection, 8).unwrap();
        connection.batch_execute("COMMIT").unwrap();
    });
    assert_eq!(
        app.changes().await,
        [
            vec![by(1, inserted(3, "x"))],
            vec![by(1, inserted(4, "x"))],
            vec![by(1, inserted(5, "x"))],
            vec![by(1, inserted(6, "x")), by(1, inserted(8, "x"))],
        ]
    );
}

#[tokio::test]
async fn a_transaction_that_a_text_ended_is_not_open_for_diesel_either() {
    let app = App::new().await;
    let connection = &mut app.connection();
    with_context_sync(user(1), || {
        AnsiTransactionManager::begin_transaction(connection).unwrap();
        insert(connection, 1).unwrap();
        connection.batch_execute("COMMIT").unwrap();
        assert!(!connection.is_in_transaction());
        insert(connection, 2).unwrap();
        let none = AnsiTransactionManager::commit_transaction(connection);
        assert!(matches!(none, Err(Error::NotInTransaction)), "{none:?}");
    });
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x"))], [by(1, inserted(2, "x"))]]);
}

#[tokio::test]
async fn a_procedure_may_commit_outside_a_transaction_and_has_a_context_inside_one() {
    let app = App::new().await;
    app.run(
        "CREATE PROCEDURE step(id int, commits boolean) LANGUAGE plpgsql AS
         'BEGIN INSERT INTO todo VALUES (id, ''p''); IF commits THEN COMMIT; END IF; END'",
    )
    .await;
    let connection = &mut app.connection();
    with_context_sync(user(1), || {
        connection.batch_execute("CALL step(1, true)").unwrap();
        diesel::sql_query("CALL step(2, true)").execute(connection).unwrap();
        connection
            .transaction(|connection| connection.batch_execute("CALL step(3, false)"))
            .unwrap();
    });
    assert_eq!(
        app.changes().await,
        [[by_nobody(inserted(1, "p"))], [by_nobody(inserted(2, "p"))], [by(1, inserted(3, "p"))]]
    );
}

#[tokio::test]
async fn a_connection_with_a_transaction_from_a_text_does_not_go_back_to_a_pool() {
    let app = App::new().await;
    let connection = &mut app.connection();
    assert!(!connection.is_broken());
    connection.batch_execute("BEGIN").unwrap();
    assert!(connection.is_broken());
    connection.batch_execute("ROLLBACK").unwrap();
    assert!(!connection.is_broken());
    connection.begin_test_transaction().unwrap();
    assert!(!connection.is_broken(), "as diesel has it for tests");
}

#[tokio::test]
async fn where_strings_may_be_cut_differently_all_of_a_text_has_one_message() {
    let app = App::new().await;
    let connection = &mut app.with_sql().with_settings(Settings::new());
    with_context_sync(user(1), || {
        connection.batch_execute(r"INSERT INTO todo VALUES (1, E'it\'s; '); DELETE FROM todo")
    })
    .unwrap();
    assert_eq!(app.changes().await[0].len(), 2);
    assert_eq!(todo::table.count().get_result(connection), Ok(0_i64));
}
