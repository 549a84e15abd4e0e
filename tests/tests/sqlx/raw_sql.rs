//! Texts without arguments, which may hold several statements.

use bemi_sqlx::with_context;
use bemi_tests::journal::{Event, by, inserted, messages, user};
use futures_util::TryStreamExt;
use serde_json::json;
use sqlx::{Either, Executor, Row};

use crate::app::App;

async fn items<'c>(
    executor: impl Executor<'c, Database = sqlx::Postgres>,
    sql: &'static str,
) -> Vec<String> {
    let items: Vec<_> = sqlx::raw_sql(sql).fetch_many(executor).try_collect().await.unwrap();
    items
        .into_iter()
        .map(|item| match item {
            Either::Left(result) => format!("{} rows", result.rows_affected()),
            Either::Right(row) => row.get::<i32, _>(0).to_string(),
        })
        .collect()
}

#[tokio::test]
async fn several_statements_answer_as_with_plain_sqlx_and_have_the_context() {
    let app = App::new().await;
    let sql = "INSERT INTO todo VALUES (1, 'a'), (2, 'b') RETURNING id; SELECT 7; \
               UPDATE todo SET task = 'c' RETURNING id; ; DELETE FROM todo WHERE id = 2;";
    let plain = items(&app.plain, sql).await;
    sqlx::raw_sql("DELETE FROM todo").execute(&app.plain).await.unwrap();
    app.journal().await;
    let ours = with_context(user(1), items(&app.pool, sql)).await;
    assert_eq!(ours, plain);
    assert_eq!(
        app.changes().await,
        [[
            by(1, inserted(1, "a")),
            by(1, inserted(2, "b")),
            by(1, "todo: UPDATE: id:1 task:'c'"),
            by(1, "todo: UPDATE: id:2 task:'c'"),
            by(1, "todo: DELETE: id:2"),
        ]]
    );
}

#[tokio::test]
async fn rows_affected_counts_only_the_callers_statements() {
    let app = App::new().await;
    with_context(user(1), async {
        let sql = "INSERT INTO todo VALUES (1, 'a'); INSERT INTO todo VALUES (2, 'b'), (3, 'c')";
        assert_eq!(sqlx::raw_sql(sql).execute(&app.pool).await.unwrap().rows_affected(), 3);
        let mut tx = app.pool.begin().await.unwrap();
        let deleted =
            sqlx::raw_sql("DELETE FROM todo RETURNING id").fetch_all(&mut *tx).await.unwrap();
        assert_eq!(deleted.len(), 3);
        let first = sqlx::raw_sql("INSERT INTO todo VALUES (4, 'd') RETURNING id")
            .fetch_one(&mut *tx)
            .await
            .unwrap();
        assert_eq!(first.get::<i32, _>(0), 4);
        tx.commit().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn each_statement_of_a_text_has_its_own_text_in_the_context() {
    let app = App::new().await;
    let sql =
        "INSERT INTO todo VALUES (1, 'a'); INSERT INTO todo VALUES (2, 'b'); DELETE FROM todo";
    with_context(user(1), sqlx::raw_sql(sql).execute(&app.with_sql())).await.unwrap();
    let journal = app.journal().await;
    let message = |sql: &str| Event::Message(json!({ "user_id": 1, "SQL": sql }));
    assert_eq!(journal.len(), 1);
    assert_eq!(messages(&journal[0]), 2);
    assert_eq!(journal[0][0], message("INSERT INTO todo VALUES (?, ?)"));
    assert_eq!(journal[0][3], message("DELETE FROM todo"));
}

#[tokio::test]
async fn a_text_is_all_or_nothing_as_with_plain_sqlx() {
    let app = App::with_connections(1).await;
    let sql = "INSERT INTO todo VALUES (1, 'a'); INSERT INTO todo VALUES (1, 'b')";
    with_context(user(1), sqlx::raw_sql(sql).execute(&app.pool)).await.unwrap_err();
    assert!(app.journal().await.is_empty());
    assert_eq!(app.idle_in_transaction().await, 0);
}

#[tokio::test]
async fn a_script_with_transactions_of_its_own_has_a_message_in_each() {
    let app = App::with_connections(1).await;
    let sql = "INSERT INTO todo VALUES (1, 'a'); BEGIN; INSERT INTO todo VALUES (2, 'b'); COMMIT; \
               INSERT INTO todo VALUES (3, 'c'); ROLLBACK; BEGIN; INSERT INTO todo VALUES (4, 'd'); \
               SAVEPOINT s; INSERT INTO todo VALUES (5, 'e'); ROLLBACK TO s; INSERT INTO todo VALUES (6, 'f'); END";
    let result = with_context(user(1), sqlx::raw_sql(sql).execute(&app.pool)).await.unwrap();
    assert_eq!(result.rows_affected(), 6);
    assert_eq!(
        app.changes().await,
        [
            [by(1, inserted(1, "a")), by(1, inserted(2, "b"))],
            [by(1, inserted(4, "d")), by(1, inserted(6, "f"))]
        ]
    );
    assert_eq!(app.idle_in_transaction().await, 0);
}

#[tokio::test]
async fn a_script_may_leave_a_transaction_open_on_a_connection() {
    let app = App::with_connections(1).await;
    with_context(user(1), async {
        let mut connection = app.pool.acquire().await.unwrap();
        connection.execute("BEGIN; INSERT INTO todo VALUES (1, 'a')").await.unwrap();
        assert!(connection.is_in_transaction());
        sqlx::query("INSERT INTO todo VALUES ($1, 'b')")
            .bind(2)
            .execute(&mut *connection)
            .await
            .unwrap();
        connection.execute("COMMIT").await.unwrap();
        // One that fails leaves its transaction to be rolled back, as with plain sqlx.
        connection.execute("BEGIN; INSERT INTO todo VALUES (1, 'a'); COMMIT").await.unwrap_err();
        assert!(connection.is_in_transaction());
        let aborted = connection.execute("INSERT INTO todo VALUES (3, 'c')").await.unwrap_err();
        assert_eq!(aborted.as_database_error().unwrap().code().unwrap(), "25P02");
        connection.execute("ROLLBACK").await.unwrap();
        connection.execute("INSERT INTO todo VALUES (3, 'c')").await.unwrap();
    })
    .await;
    assert_eq!(
        app.changes().await,
        [vec![by(1, inserted(1, "a")), by(1, inserted(2, "b"))], vec![by(1, inserted(3, "c"))]]
    );
}

#[tokio::test]
async fn what_cannot_run_in_a_transaction_runs_in_a_scope() {
    let app = App::new().await;
    with_context(user(1), async {
        for sql in [
            "VACUUM todo",
            "CREATE INDEX CONCURRENTLY todo_task ON todo (task)",
            "DROP INDEX CONCURRENTLY todo_task",
        ] {
            sqlx::raw_sql(sql).execute(&app.pool).await.unwrap();
            sqlx::query(sql).execute(&app.pool).await.unwrap_or_default();
        }
    })
    .await;
}
