//! What a client is besides statements: cancelling, closing, types of one's own.

use std::time::Duration;

use bemi_tests::eventually;
use bemi_tests::journal::{by, inserted, user};
use bemi_tokio_postgres::{BemiClient, ContextFutureExt, with_context};
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;

use crate::app::{App, INSERT};

#[tokio::test]
async fn a_cancel_token_cancels_a_write_which_leaves_nothing() {
    let app = App::new().await;
    let token = app.client.cancel_token();
    let sql = "INSERT INTO todo SELECT 1, pg_sleep(60)::text";
    let cancel = async {
        let running = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()";
        eventually(Duration::from_secs(20), "the write to run", async || {
            (app.plain.query_one_scalar::<i64, _>(running, &[]).await.unwrap() > 0).then_some(())
        })
        .await;
        token.cancel_query(NoTls).await.unwrap();
    };
    let (written, ()) =
        tokio::join!(biased; app.client.execute(sql, &[]).with_context(user(1)), cancel);
    assert_eq!(written.unwrap_err().code(), Some(&SqlState::QUERY_CANCELED));
    app.client.execute(INSERT, &[&2, &"y"]).with_context(user(1)).await.unwrap();
    assert_eq!(app.changes().await, [[by(1, inserted(2, "y"))]]);
}

#[tokio::test]
async fn a_killed_backend_is_an_error_and_the_client_is_closed() {
    let app = App::new().await;
    let backend: i32 = app.client.query_one_scalar("SELECT pg_backend_pid()", &[]).await.unwrap();
    app.client.check_connection().await.unwrap();
    app.plain.execute("SELECT pg_terminate_backend($1)", &[&backend]).await.unwrap();
    with_context(user(1), async {
        app.client.execute(INSERT, &[&1, &"x"]).await.unwrap_err();
        let error = app.client.execute_typed("DELETE FROM todo", &[]).await.unwrap_err();
        assert!(error.is_closed(), "{error}");
    })
    .await;
    assert!(app.client.is_closed());
    app.client.check_connection().await.unwrap_err();
    assert!(app.journal().await.is_empty());
}

/// The library asks for types that it does not know, while the write is on its way.
#[tokio::test]
async fn types_of_ones_own_are_looked_up() {
    let app = App::new().await;
    app.run(
        "CREATE TYPE mood AS ENUM ('glad', 'sad');
         CREATE DOMAIN name AS text;
         CREATE TABLE person (id int PRIMARY KEY, mood mood, name name)",
    )
    .await;
    let insert = |id| format!("INSERT INTO person VALUES ({id}, 'glad', 'x') RETURNING mood, name");
    with_context(user(1), async {
        let row = app.client.query_typed_one(&insert(1), &[]).await.unwrap();
        assert_eq!(row.columns()[0].type_().name(), "mood");
        app.client.clear_type_cache();
        let row = app.client.query_one(&insert(2), &[]).await.unwrap();
        assert_eq!(row.get::<_, &str>(1), "x");
        app.client.clear_type_cache();
        // Others write meanwhile, and one of them fails.
        let (three, four, five) = (insert(3), insert(3), insert(5));
        let (three, four, five) = tokio::join!(
            biased;
            app.client.query_typed(&three, &[]),
            app.client.query_typed(&four, &[]),
            app.client.query_typed(&five, &[]),
        );
        assert!(three.is_ok() && four.is_err() && five.is_ok());
    })
    .await;
    let changes: Vec<_> = app.changes().await.into_iter().flatten().collect();
    assert_eq!(changes.len(), 4);
    assert!(changes.iter().all(|(user, _)| *user == Some(1)), "{changes:?}");
}

#[tokio::test]
async fn a_client_can_be_made_of_one_that_there_is() {
    let app = App::new().await;
    let client = BemiClient::from(app.database.connect().await.unwrap());
    assert!(!client.is_in_transaction() && !client.is_closed());
    client.execute(INSERT, &[&1, &"x"]).with_context(user(1)).await.unwrap();
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x"))]]);
}
