//! Texts of the simple query protocol, and transactions that are begun and ended as text.

use bemi_tests::journal::{Event, by, by_nobody, inserted, messages, stitch, user};
use bemi_tokio_postgres::{BemiClient, with_context};
use serde_json::json;
use tokio_postgres::SimpleQueryMessage;

use crate::app::{App, INSERT};

/// What a text answers, in words.
fn words(answer: Vec<SimpleQueryMessage>) -> Vec<String> {
    answer
        .into_iter()
        .map(|message| match message {
            SimpleQueryMessage::Row(row) => format!("row {:?}", row.get(0)),
            SimpleQueryMessage::CommandComplete(rows) => format!("{rows} rows"),
            SimpleQueryMessage::RowDescription(columns) => format!("column {}", columns[0].name()),
            _ => panic!("unknown"),
        })
        .collect()
}

#[tokio::test]
async fn a_text_answers_what_it_answers_without_us() {
    let app = App::new().await;
    let text = "INSERT INTO todo VALUES (1, 'x') RETURNING id; SELECT 7 AS seven; UPDATE todo SET task = 'y'; DELETE FROM todo;";
    let plain = words(app.plain.simple_query(text).await.unwrap());
    app.journal().await;
    let ours = with_context(user(1), app.client.simple_query(text)).await.unwrap();
    assert_eq!(words(ours), plain);
    assert_eq!(
        app.changes().await,
        [[
            by(1, inserted(1, "x")),
            by(1, "todo: UPDATE: id:1 task:'y'"),
            by(1, "todo: DELETE: id:1")
        ]]
    );
    assert!(with_context(user(1), app.client.simple_query("")).await.is_ok());
}

#[tokio::test]
async fn each_statement_of_a_text_has_its_own_text() {
    let app = App::new().await;
    let text = "INSERT INTO todo VALUES (1, 'x'); DELETE FROM todo";
    with_context(user(1), app.with_sql().await.batch_execute(text)).await.unwrap();
    let message = |sql| Event::Message(json!({ "user_id": 1, "SQL": sql }));
    assert_eq!(
        app.journal().await,
        [[
            message("INSERT INTO todo VALUES (?, ?)"),
            Event::Change(inserted(1, "x")),
            message("DELETE FROM todo"),
            Event::Change("todo: DELETE: id:1".to_owned()),
        ]]
    );
}

/// One statement as text, by either protocol.
async fn run(client: &BemiClient, sql: &str, simple: bool) -> Result<(), tokio_postgres::Error> {
    match simple {
        true => client.batch_execute(sql).await,
        false => client.execute(sql, &[]).await.map(drop),
    }
}

#[tokio::test]
async fn transactions_that_are_begun_as_text_are_followed() {
    for simple in [true, false] {
        let app = App::new().await;
        with_context(user(1), async {
            for sql in [
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
                run(&app.client, sql, simple).await.unwrap();
            }
        })
        .await;
        let journal = app.journal().await;
        assert_eq!(messages(&journal[0]), 1, "{journal:?}");
        assert_eq!(
            journal.into_iter().map(stitch).collect::<Vec<_>>(),
            [
                vec![by(1, inserted(1, "x")), by(1, inserted(3, "x"))],
                vec![by(1, inserted(4, "x"))],
                vec![by(1, inserted(5, "x"))]
            ]
        );
    }
}

#[tokio::test]
async fn what_was_emitted_inside_a_savepoint_is_emitted_again_after_a_rollback_to_it() {
    for simple in [true, false] {
        let app = App::new().await;
        with_context(user(1), async {
            run(&app.client, "BEGIN", simple).await.unwrap();
            run(&app.client, "SAVEPOINT A", simple).await.unwrap();
            app.client.execute(INSERT, &[&1, &"x"]).await.unwrap();
            run(&app.client, "ROLLBACK TO \"a\"", simple).await.unwrap();
            app.client.execute(INSERT, &[&2, &"x"]).await.unwrap();
            run(&app.client, "COMMIT", simple).await.unwrap();
        })
        .await;
        assert_eq!(app.changes().await, [[by(1, inserted(2, "x"))]]);
    }
}

#[tokio::test]
async fn a_script_that_fails_leaves_the_transaction_that_it_began_and_that_is_known() {
    let app = App::new().await;
    with_context(user(1), async {
        let script = "BEGIN; INSERT INTO todo VALUES (1, 'x'); SELECT 1 / 0; COMMIT";
        app.client.batch_execute(script).await.unwrap_err();
        assert!(app.client.is_in_transaction());
        app.client.execute(INSERT, &[&2, &"x"]).await.unwrap_err();
        app.client.batch_execute("ROLLBACK").await.unwrap();
        assert!(!app.client.is_in_transaction());
        app.client.execute(INSERT, &[&3, &"x"]).await.unwrap();

        // The server could not read it, so nothing of it has run.
        app.client.batch_execute("BEGIN; SELEC 1").await.unwrap_err();
        assert!(!app.client.is_in_transaction());
        app.client.execute(INSERT, &[&4, &"x"]).await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(3, "x"))], [by(1, inserted(4, "x"))]]);
}

#[tokio::test]
async fn a_procedure_commits_as_it_likes_and_has_the_context_of_a_transaction_that_is_open() {
    let mut app = App::new().await;
    app.run(
        "CREATE PROCEDURE commits() LANGUAGE plpgsql AS $$ BEGIN \
         INSERT INTO todo VALUES (1, 'x'); COMMIT; INSERT INTO todo VALUES (2, 'x'); END $$;
         CREATE PROCEDURE writes() LANGUAGE sql AS $$ INSERT INTO todo VALUES (3, 'x') $$",
    )
    .await;
    with_context(user(1), async {
        app.client.execute("CALL commits()", &[]).await.unwrap();
        let tx = app.client.transaction().await.unwrap();
        tx.execute("CALL writes()", &[]).await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
    assert_eq!(
        app.changes().await,
        [[by_nobody(inserted(1, "x"))], [by_nobody(inserted(2, "x"))], [by(1, inserted(3, "x"))]]
    );
}
