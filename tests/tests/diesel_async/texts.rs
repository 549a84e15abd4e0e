//! Texts of the simple query protocol, and transactions that are begun and ended as text.

use bemi_diesel::{BemiAsyncPgConnection, Settings, with_context};
use bemi_tests::journal::{by, inserted, messages, stitch, user};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

use crate::app::{App, insert};

async fn text(connection: &mut BemiAsyncPgConnection, sql: &str) {
    connection.batch_execute(sql).await.unwrap();
}

#[tokio::test]
async fn each_statement_of_a_text_has_its_own_message() {
    let app = App::new().await;
    let mut ours = app.with_sql().await;
    let sql = "INSERT INTO todo VALUES (1, 'x'); SELECT 1; DELETE FROM todo";
    with_context(user(1), text(&mut ours, sql)).await;
    let journal = app.journal().await;
    assert_eq!((messages(&journal[0]), journal[0].len()), (2, 4), "{journal:?}");
}

#[tokio::test]
async fn transactions_as_text_are_followed() {
    let app = App::new().await;
    let mut ours = app.connection().await;
    with_context(user(1), async {
        text(&mut ours, "BEGIN").await;
        assert!(ours.is_in_transaction());
        insert(&mut ours, 1).await.unwrap();
        diesel::sql_query("SAVEPOINT a").execute(&mut ours).await.unwrap();
        with_context(user(2), insert(&mut ours, 2)).await.unwrap();
        text(&mut ours, "ROLLBACK TO a").await;
        insert(&mut ours, 3).await.unwrap();
        diesel::sql_query("COMMIT").execute(&mut ours).await.unwrap();
        assert!(!ours.is_in_transaction());
        insert(&mut ours, 4).await.unwrap();
    })
    .await;
    let journal = app.journal().await;
    assert_eq!(messages(&journal[0]), 1, "the message of user 1 governs again: {journal:?}");
    assert_eq!(
        journal.into_iter().map(stitch).collect::<Vec<_>>(),
        [vec![by(1, inserted(1, "x")), by(1, inserted(3, "x"))], vec![by(1, inserted(4, "x"))]]
    );
}

/// diesel-async does not say how far a text came, so the server is asked.
#[tokio::test]
async fn after_a_text_that_failed_it_is_known_whether_a_transaction_is_open() {
    let app = App::new().await;
    app.run("CREATE TABLE late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)").await;
    let mut ours = app.connection().await;
    with_context(user(1), async {
        let texts = [
            ("BEGIN; SELECT 1 / 0; COMMIT", true),
            ("SELECT 1 / 0; BEGIN", false),
            ("BEGIN; COMMIT; SELECT 1 / 0", false),
            ("BEGIN; COMMIT; BEGIN; SELECT 1 / 0", true),
            ("BEGIN; this is no SQL", false),
            ("BEGIN; INSERT INTO late VALUES (1), (1); COMMIT", false),
        ];
        for (sql, open) in texts {
            ours.batch_execute(sql).await.unwrap_err();
            assert_eq!(ours.is_in_transaction(), open, "{sql}");
            if open {
                insert(&mut ours, 1).await.unwrap_err();
                text(&mut ours, "ROLLBACK").await;
            }
            insert(&mut ours, 1).await.unwrap();
            app.run("DELETE FROM todo").await;
        }
        // One statement needs no question.
        text(&mut ours, "BEGIN; INSERT INTO late VALUES (1), (1)").await;
        ours.batch_execute("COMMIT").await.unwrap_err();
        assert!(!ours.is_in_transaction());
        insert(&mut ours, 2).await.unwrap();
    })
    .await;
    let last = app.changes().await.pop().unwrap();
    assert_eq!(last, [by(1, inserted(2, "x"))]);
}

#[tokio::test]
async fn procedures_and_blocks_may_commit() {
    let app = App::new().await;
    app.run("CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO todo VALUES (1, 'x'); COMMIT; END $$").await;
    let mut ours = app.connection().await.with_settings(Settings::new());
    with_context(user(1), async {
        diesel::sql_query("CALL p()").execute(&mut ours).await.unwrap();
        text(&mut ours, "DO $$ BEGIN DELETE FROM todo; COMMIT; END $$").await;
    })
    .await;
    assert_eq!(app.journal().await.len(), 2);
}
