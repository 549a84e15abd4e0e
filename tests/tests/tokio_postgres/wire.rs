//! What goes over the wire, as the server logs it.

use bemi_tests::journal::user;
use bemi_tokio_postgres::with_context;
use tokio_postgres::types::Type;

use crate::app::{App, INSERT};

#[tokio::test]
async fn reads_and_writes_outside_a_scope_are_what_the_plain_client_sends() {
    let app = App::new().await;
    let (client, plain) = app.logged().await;
    let typed = "SELECT $1";
    plain.query("SELECT * FROM todo WHERE id = $1", &[&1]).await.unwrap();
    plain.query_typed(typed, &[(&1, Type::INT4)]).await.unwrap();
    plain.batch_execute("SELECT 1; SELECT 2").await.unwrap();
    plain.execute(INSERT, &[&1, &"x"]).await.unwrap();
    plain.batch_execute("DELETE FROM todo; SELECT 1").await.unwrap();
    let expected = app.sent();
    with_context(user(1), async {
        client.query("SELECT * FROM todo WHERE id = $1", &[&1]).await.unwrap();
        client.query_typed(typed, &[(&1, Type::INT4)]).await.unwrap();
        client.batch_execute("SELECT 1; SELECT 2").await.unwrap();
    })
    .await;
    client.execute(INSERT, &[&1, &"x"]).await.unwrap();
    client.batch_execute("DELETE FROM todo; SELECT 1").await.unwrap();
    let sent = app.sent();
    assert_eq!(expected.len(), 5);
    assert_eq!(sent[5..], expected);
}

#[tokio::test]
async fn a_write_in_a_scope_is_between_a_begin_with_the_message_and_a_commit() {
    let app = App::new().await;
    let (client, _) = app.logged().await;
    with_context(user(1), async {
        client.execute(INSERT, &[&1, &"x"]).await.unwrap();
        client.execute(INSERT, &[&1, &"x"]).await.unwrap_err();
        client.query_typed("DELETE FROM todo", &[]).await.unwrap();
    })
    .await;
    assert_eq!(
        app.sent(),
        [
            "BEGIN; <emit>",
            INSERT,
            "COMMIT",
            "BEGIN; <emit>",
            INSERT,
            "COMMIT",
            "BEGIN; <emit>",
            "DELETE FROM todo",
            "COMMIT"
        ]
    );
}

#[tokio::test]
async fn a_text_without_parameters_takes_its_message_along() {
    let app = App::new().await;
    let (client, _) = app.logged().await;
    with_context(user(1), client.batch_execute("DELETE FROM todo; SELECT 1")).await.unwrap();
    assert_eq!(app.sent(), ["<emit>; DELETE FROM todo; SELECT 1"]);
}

#[tokio::test]
async fn in_a_transaction_the_message_is_sent_before_the_first_write() {
    let app = App::new().await;
    let (mut client, _) = app.logged().await;
    with_context(user(1), async {
        let mut tx = client.transaction().await.unwrap();
        tx.query("SELECT 1", &[]).await.unwrap();
        for id in [1, 2] {
            tx.execute(INSERT, &[&id, &"x"]).await.unwrap();
        }
        drop(tx.transaction().await.unwrap());
        tx.savepoint("mine").await.unwrap().commit().await.unwrap();
        tx.batch_execute("DELETE FROM todo").await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
    assert_eq!(
        app.sent(),
        [
            "START TRANSACTION",
            "SELECT 1",
            "<emit>",
            INSERT,
            INSERT,
            "SAVEPOINT sp_1",
            "ROLLBACK TO sp_1",
            "SAVEPOINT mine",
            "RELEASE mine",
            "DELETE FROM todo",
            "COMMIT"
        ]
    );
}

#[tokio::test]
async fn after_a_commit_that_is_refused_there_is_nothing_to_roll_back() {
    let app = App::new().await;
    app.run("CREATE TABLE late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)").await;
    let (client, _) = app.logged().await;
    let insert = "INSERT INTO late VALUES (1), (1)";
    with_context(user(1), client.execute(insert, &[])).await.unwrap_err();
    client.batch_execute("SELECT 1").await.unwrap();
    assert_eq!(app.sent(), ["BEGIN; <emit>", insert, "COMMIT", "SELECT 1"]);
}
