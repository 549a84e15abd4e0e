//! COPY … FROM STDIN.

use bemi_sqlx::with_context;
use bemi_tests::journal::{by, by_nobody, inserted, user};
use sqlx::Executor;
use sqlx::postgres::PgPoolCopyExt;

use crate::app::App;

const COPY: &str = "COPY todo FROM STDIN";

#[tokio::test]
async fn copied_rows_have_the_context_in_and_outside_of_a_transaction() {
    let app = App::with_connections(1).await;
    with_context(user(1), async {
        let mut copy = app.pool.copy_in_raw(COPY).await.unwrap();
        assert_eq!((copy.num_columns(), copy.is_textual()), (2, true));
        copy.send(&b"1\ta\n"[..]).await.unwrap().send(&b"2\tb\n"[..]).await.unwrap();
        assert_eq!(copy.finish().await.unwrap(), 2);

        let mut connection = app.pool.acquire().await.unwrap();
        let mut copy = connection.copy_in_raw(COPY).await.unwrap();
        copy.read_from(&b"3\tc\n4\td\n"[..]).await.unwrap();
        assert_eq!(copy.finish().await.unwrap(), 2);
        assert!(!connection.is_in_transaction());

        let mut tx = connection.begin().await.unwrap();
        sqlx::query("DELETE FROM todo WHERE id = 1").execute(&mut *tx).await.unwrap();
        let mut copy = tx.copy_in_raw(COPY).await.unwrap();
        copy.send(&b"5\te\n"[..]).await.unwrap();
        copy.finish().await.unwrap();
        tx.commit().await.unwrap();
    })
    .await;
    let mut outside = app.pool.copy_in_raw(COPY).await.unwrap();
    outside.send(&b"6\tf\n"[..]).await.unwrap();
    outside.finish().await.unwrap();
    assert_eq!(
        app.changes().await,
        [
            vec![by(1, inserted(1, "a")), by(1, inserted(2, "b"))],
            vec![by(1, inserted(3, "c")), by(1, inserted(4, "d"))],
            vec![by(1, "todo: DELETE: id:1"), by(1, inserted(5, "e"))],
            vec![by_nobody(inserted(6, "f"))],
        ]
    );
}

#[tokio::test]
async fn large_data_arrives_whole() {
    let app = App::new().await;
    let line = |id: i32| format!("{id}\t{}\n", "x".repeat(1000));
    let data: String = (0..2000).map(line).collect();
    with_context(user(1), async {
        let mut copy = app.pool.copy_in_raw(COPY).await.unwrap();
        copy.send(data.as_bytes()).await.unwrap();
        assert_eq!(copy.finish().await.unwrap(), 2000);
    })
    .await;
    let bytes: i64 = sqlx::query_scalar("SELECT sum(length(task)) FROM todo")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!(bytes, 2_000_000);
}

#[tokio::test]
async fn a_copy_that_fails_gives_the_error_of_plain_sqlx_and_the_connection_goes_on() {
    let app = App::with_connections(1).await;
    with_context(user(1), async {
        for (statement, data) in
            [(COPY, "1\ta\n1\tb\n"), (COPY, "x"), ("COPY nowhere FROM STDIN", "")]
        {
            let mut errors = Vec::new();
            match app.plain.copy_in_raw(statement).await {
                Ok(mut copy) => {
                    copy.send(data.as_bytes()).await.unwrap();
                    errors.push(copy.finish().await.unwrap_err().to_string());
                }
                Err(error) => errors.push(error.to_string()),
            }
            match app.pool.copy_in_raw(statement).await {
                Ok(mut copy) => {
                    copy.send(data.as_bytes()).await.unwrap();
                    errors.push(copy.finish().await.unwrap_err().to_string());
                }
                Err(error) => errors.push(error.to_string()),
            }
            assert_eq!(errors[0], errors[1]);
            assert_eq!(app.idle_in_transaction().await, 0);
        }
        app.pool.execute("INSERT INTO todo VALUES (1, 'x')").await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x"))]]);
}

#[tokio::test]
async fn a_copy_that_is_given_up_or_dropped_stores_nothing() {
    let app = App::with_connections(1).await;
    with_context(user(1), async {
        let mut copy = app.pool.copy_in_raw(COPY).await.unwrap();
        copy.send(&b"1\ta\n"[..]).await.unwrap();
        copy.abort("on purpose").await.unwrap();

        let mut copy = app.pool.copy_in_raw(COPY).await.unwrap();
        copy.send(&b"1\ta\n"[..]).await.unwrap();
        drop(copy);

        let mut connection = app.pool.acquire().await.unwrap();
        let mut copy = connection.copy_in_raw(COPY).await.unwrap();
        copy.send(&b"1\ta\n"[..]).await.unwrap();
        drop(copy);
        let refused = connection.execute("SELECT 1").await.unwrap_err();
        assert!(refused.to_string().contains("acquire another"), "{refused}");
        drop(connection);

        app.pool.execute("INSERT INTO todo VALUES (1, 'x')").await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x"))]]);
    assert_eq!(app.idle_in_transaction().await, 0);
}
