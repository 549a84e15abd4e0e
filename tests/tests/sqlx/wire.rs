//! What goes over the wire, as the server logs it: one line is one statement or text, so one round trip or, where a statement is
//! prepared first, two.

use bemi_sqlx::with_context;
use bemi_tests::journal::user;
use sqlx::Executor;

use crate::app::App;

const INSERT: &str = "INSERT INTO todo VALUES ($1, 'x')";

#[tokio::test]
async fn reads_and_writes_outside_a_scope_are_all_that_is_sent() {
    let app = App::new().await;
    let pool = app.logged().await;
    with_context(user(1), sqlx::query("SELECT * FROM todo WHERE id = $1").bind(1).fetch_all(&pool))
        .await
        .unwrap();
    with_context(user(1), sqlx::raw_sql("SELECT 1; SELECT 2").execute(&pool)).await.unwrap();
    sqlx::query(INSERT).bind(1).execute(&pool).await.unwrap();
    sqlx::raw_sql("DELETE FROM todo; SELECT 1").execute(&pool).await.unwrap();
    assert_eq!(
        app.sent(),
        [
            "SELECT * FROM todo WHERE id = $1",
            "SELECT 1; SELECT 2",
            INSERT,
            "DELETE FROM todo; SELECT 1"
        ]
    );
}

#[tokio::test]
async fn a_write_in_a_scope_is_between_a_begin_with_the_message_and_a_commit() {
    let app = App::new().await;
    let pool = app.logged().await;
    with_context(user(1), async {
        sqlx::query(INSERT).bind(1).execute(&pool).await.unwrap();
        sqlx::query(INSERT).bind(1).execute(&pool).await.unwrap_err();
    })
    .await;
    assert_eq!(
        app.sent(),
        ["BEGIN; <emit>", INSERT, "COMMIT", "BEGIN; <emit>", INSERT, "ROLLBACK"]
    );
}

#[tokio::test]
async fn a_text_without_arguments_takes_its_message_along() {
    let app = App::new().await;
    let pool = app.logged().await;
    with_context(user(1), pool.execute("DELETE FROM todo; SELECT 1")).await.unwrap();
    assert_eq!(app.sent(), ["<emit>; DELETE FROM todo; SELECT 1"]);
}

#[tokio::test]
async fn in_a_transaction_the_message_is_sent_before_the_first_write() {
    let app = App::new().await;
    let pool = app.logged().await;
    with_context(user(1), async {
        let mut tx = pool.begin().await.unwrap();
        tx.execute("SELECT 1").await.unwrap();
        for id in [1, 2] {
            sqlx::query(INSERT).bind(id).execute(&mut *tx).await.unwrap();
        }
        drop(tx.begin().await.unwrap());
        tx.execute("DELETE FROM todo").await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
    assert_eq!(
        app.sent(),
        [
            "BEGIN",
            "SELECT 1",
            "<emit>",
            INSERT,
            INSERT,
            "SAVEPOINT bemi_savepoint_1",
            "ROLLBACK TO SAVEPOINT bemi_savepoint_1",
            "RELEASE SAVEPOINT bemi_savepoint_1",
            "DELETE FROM todo",
            "COMMIT"
        ]
    );
}

#[tokio::test]
async fn after_a_commit_that_is_refused_there_is_nothing_to_roll_back() {
    let app = App::new().await;
    app.run("CREATE TABLE late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)").await;
    let pool = app.logged().await;
    let insert = "INSERT INTO late VALUES (1), (1)";
    with_context(user(1), sqlx::query(insert).execute(&pool)).await.unwrap_err();
    pool.execute("SELECT 1").await.unwrap();
    assert_eq!(app.sent(), ["BEGIN; <emit>", insert, "COMMIT", "SELECT 1"]);
}
