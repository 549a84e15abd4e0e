//! Code that was written for sqlx runs unchanged on the pool, on a connection and in a transaction.

use bemi_sqlx::with_context;
use bemi_tests::journal::{by, inserted, user};
use futures_util::TryStreamExt;
use sqlx::{Executor, PgExecutor, QueryBuilder, SqlSafeStr, Statement};

use crate::app::App;

#[derive(Debug, PartialEq, sqlx::FromRow)]
struct Todo {
    id: i32,
    task: String,
}

async fn add_generic<'c>(executor: impl PgExecutor<'c>, id: i32) -> sqlx::Result<Todo> {
    sqlx::query_as("INSERT INTO todo VALUES ($1, 'generic') RETURNING *")
        .bind(id)
        .fetch_one(executor)
        .await
}

#[tokio::test]
async fn functions_that_are_generic_over_the_executor_take_pool_connection_and_transaction() {
    let app = App::new().await;
    with_context(user(1), async {
        add_generic(&app.pool, 1).await.unwrap();
        let mut connection = app.pool.acquire().await.unwrap();
        add_generic(&mut *connection, 2).await.unwrap();
        let mut tx = app.pool.begin().await.unwrap();
        let todo = add_generic(&mut *tx, 3).await.unwrap();
        assert_eq!(todo, Todo { id: 3, task: "generic".to_owned() });
        tx.commit().await.unwrap();
    })
    .await;
    assert_eq!(
        app.changes().await,
        [
            [by(1, inserted(1, "generic"))],
            [by(1, inserted(2, "generic"))],
            [by(1, inserted(3, "generic"))]
        ]
    );
}

#[tokio::test]
async fn the_query_builder_and_every_way_to_fetch_work() {
    let app = App::new().await;
    with_context(user(1), async {
        let mut builder = QueryBuilder::new("INSERT INTO todo ");
        builder.push_values(1..=3, |mut row, id| {
            row.push_bind(id).push_bind(format!("task {id}"));
        });
        assert_eq!(builder.build().execute(&app.pool).await.unwrap().rows_affected(), 3);

        let all: Vec<Todo> = sqlx::query_as("UPDATE todo SET task = $1 RETURNING *")
            .bind("all")
            .fetch_all(&app.pool)
            .await
            .unwrap();
        assert_eq!(all.len(), 3);
        let streamed: Vec<Todo> = sqlx::query_as("UPDATE todo SET task = $1 RETURNING *")
            .bind("streamed")
            .fetch(&app.pool)
            .try_collect()
            .await
            .unwrap();
        assert_eq!(streamed.len(), 3);
        let scalar: Option<i32> = sqlx::query_scalar("DELETE FROM todo WHERE id = $1 RETURNING id")
            .bind(3)
            .fetch_optional(&app.pool)
            .await
            .unwrap();
        assert_eq!(scalar, Some(3));
        let mapped = sqlx::query("DELETE FROM todo WHERE id = $1 RETURNING id")
            .bind(2)
            .map(|row: sqlx::postgres::PgRow| sqlx::Row::get::<i32, _>(&row, 0))
            .fetch_one(&app.pool)
            .await
            .unwrap();
        assert_eq!(mapped, 2);
        let many: Vec<_> = app
            .pool
            .execute_many("UPDATE todo SET task = 'a'; SELECT 1; DELETE FROM todo WHERE id = 9")
            .map_ok(|result| result.rows_affected())
            .try_collect()
            .await
            .unwrap();
        assert_eq!(many, [1, 1, 0]);
    })
    .await;
    for transaction in app.changes().await {
        assert!(transaction.iter().all(|(user, _)| *user == Some(1)), "{transaction:?}");
    }
}

#[tokio::test]
async fn prepared_statements_can_be_kept_and_run() {
    let app = App::new().await;
    with_context(user(1), async {
        let statement =
            (&app.pool).prepare("INSERT INTO todo VALUES ($1, $2)".into_sql_str()).await.unwrap();
        assert_eq!(statement.parameters().unwrap().unwrap_left().len(), 2);
        statement.query().bind(1).bind("x").execute(&app.pool).await.unwrap();
        let mut tx = app.pool.begin().await.unwrap();
        statement.query().bind(2).bind("x").execute(&mut *tx).await.unwrap();
        let described = (&mut *tx).describe("SELECT id FROM todo".into_sql_str()).await.unwrap();
        assert_eq!(described.columns().len(), 1);
        tx.commit().await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x"))], [by(1, inserted(2, "x"))]]);
}

#[tokio::test]
async fn the_statement_cache_holds_what_it_would_hold_with_plain_sqlx() {
    let app = App::with_connections(1).await;
    let insert = "INSERT INTO todo VALUES ($1, 'x')";
    let mut sizes = Vec::new();
    {
        let mut plain = app.plain.acquire().await.unwrap();
        for id in [1, 2] {
            sqlx::query(insert).bind(id).execute(&mut *plain).await.unwrap();
            sqlx::query("DELETE FROM todo WHERE id = $1")
                .bind(id)
                .persistent(false)
                .execute(&mut *plain)
                .await
                .unwrap();
            sizes.push(sqlx::Connection::cached_statements_size(&*plain));
        }
    }
    let mut ours = Vec::new();
    with_context(user(1), async {
        let mut connection = app.pool.acquire().await.unwrap();
        for id in [1, 2] {
            sqlx::query(insert).bind(id).execute(&mut *connection).await.unwrap();
            sqlx::query("DELETE FROM todo WHERE id = $1")
                .bind(id)
                .persistent(false)
                .execute(&mut *connection)
                .await
                .unwrap();
            ours.push(connection.cached_statements_size());
        }
        let prepared: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_prepared_statements")
            .persistent(false)
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        assert_eq!(prepared, 1, "on the server as well");
    })
    .await;
    assert_eq!(ours, sizes);
}

#[tokio::test]
async fn a_query_that_is_made_in_one_scope_and_run_outside_keeps_its_context() {
    let app = App::new().await;
    let query = bemi_sqlx::with_context_sync(user(1), || {
        app.pool.execute("INSERT INTO todo VALUES (1, 'x')")
    });
    query.await.unwrap();
    let query = app.pool.execute("INSERT INTO todo VALUES (2, 'x')");
    with_context(user(2), query).await.unwrap();
    let stream = bemi_sqlx::with_context_sync(user(3), || {
        app.pool.fetch("INSERT INTO todo VALUES (3, 'x') RETURNING id")
    });
    assert_eq!(stream.try_collect::<Vec<_>>().await.unwrap().len(), 1);
    assert_eq!(
        app.changes().await,
        [[by(1, inserted(1, "x"))], [by(2, inserted(2, "x"))], [by(3, inserted(3, "x"))]]
    );
}
