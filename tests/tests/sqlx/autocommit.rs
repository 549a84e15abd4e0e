//! Writes without a transaction of the caller's own.

use bemi_sqlx::{ContextFutureExt, Settings, add_context, with_context};
use bemi_tests::journal::{Event, by, by_nobody, inserted, messages, user};
use bemi_tests::merge_into_todo;
use futures_util::TryStreamExt;
use serde_json::json;
use sqlx::{Either, Executor, Row};

use crate::app::App;

#[tokio::test]
async fn each_write_in_a_scope_has_its_context_before_it_in_its_own_transaction() {
    let app = App::new().await;
    with_context(user(1), async {
        sqlx::query("INSERT INTO todo VALUES ($1, $2)")
            .bind(1)
            .bind("Sleep")
            .execute(&app.pool)
            .await?;
        sqlx::query("UPDATE todo SET task = $1").bind("Eat").execute(&app.pool).await?;
        sqlx::query("DELETE FROM todo WHERE id = $1").bind(1).execute(&app.pool).await
    })
    .await
    .unwrap();
    assert_eq!(
        app.changes().await,
        [
            [by(1, inserted(1, "Sleep"))],
            [by(1, "todo: UPDATE: id:1 task:'Eat'")],
            [by(1, "todo: DELETE: id:1")]
        ]
    );
}

#[tokio::test]
async fn rows_affected_and_returned_rows_are_those_of_plain_sqlx() {
    let app = App::new().await;
    let insert = "INSERT INTO todo SELECT n, 'x' FROM generate_series(1, 3) n RETURNING id";
    with_context(user(1), async {
        let plain: Vec<_> = sqlx::query(insert).fetch_many_items(&app.plain).await;
        sqlx::query("TRUNCATE todo").execute(&app.plain).await.unwrap();
        let ours: Vec<_> = sqlx::query(insert).fetch_many_items(&app.pool).await;
        assert_eq!(ours, plain);
        assert_eq!(ours, ["1", "2", "3", "3 rows"]);

        let update = sqlx::query("UPDATE todo SET task = 'y' WHERE id > $1").bind(1);
        assert_eq!(update.execute(&app.pool).await.unwrap().rows_affected(), 2);
        let one = sqlx::query("DELETE FROM todo WHERE id > $1 RETURNING id")
            .bind(0)
            .fetch_one(&app.pool)
            .await;
        assert_eq!(one.unwrap().get::<i32, _>(0), 1);
        let none = sqlx::query("DELETE FROM todo WHERE id = $1 RETURNING id")
            .bind(9)
            .fetch_optional(&app.pool)
            .await;
        assert!(none.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn outside_a_scope_there_is_no_message() {
    let app = App::new().await;
    sqlx::query("INSERT INTO todo VALUES ($1, $2)")
        .bind(1)
        .bind("Sleep")
        .execute(&app.pool)
        .await
        .unwrap();
    sqlx::raw_sql("INSERT INTO todo VALUES (2, 'Eat')").execute(&app.pool).await.unwrap();
    let journal = app.journal().await;
    assert_eq!(
        journal,
        [[Event::Change(inserted(1, "Sleep"))], [Event::Change(inserted(2, "Eat"))]]
    );
}

#[tokio::test]
async fn a_read_in_a_scope_has_no_transaction_id() {
    let app = App::new().await;
    with_context(user(1), async {
        let read = sqlx::query_scalar("SELECT pg_current_xact_id_if_assigned()::text");
        let xid: Option<String> = read.fetch_one(&app.pool).await.unwrap();
        assert_eq!(xid, None);
        sqlx::query("SELECT id FROM todo FOR UPDATE").fetch_all(&app.pool).await.unwrap();
    })
    .await;
    assert!(app.journal().await.is_empty());
}

#[tokio::test]
async fn every_kind_of_write_has_its_context() {
    let app = App::new().await;
    let writes = [
        "INSERT INTO todo VALUES (1, 'a') ON CONFLICT (id) DO UPDATE SET task = excluded.task",
        "INSERT INTO todo VALUES (1, 'b') ON CONFLICT (id) DO UPDATE SET task = excluded.task",
        "WITH gone AS (DELETE FROM todo RETURNING id) SELECT count(*) FROM gone",
        "WITH new (id) AS (VALUES (2)) INSERT INTO todo SELECT id, 'c' FROM new",
        merge_into_todo(),
        "EXPLAIN ANALYZE DELETE FROM todo WHERE id = 2",
        "CREATE TABLE copied AS SELECT id FROM todo",
        "SELECT id INTO copied_too FROM todo",
        "TRUNCATE todo",
    ];
    for (number, write) in (1..).zip(writes) {
        sqlx::query(write).execute(&app.pool).with_context(user(number)).await.unwrap();
    }
    assert_eq!(
        app.changes().await,
        [
            vec![by(1, inserted(1, "a"))],
            vec![by(2, "todo: UPDATE: id:1 task:'b'")],
            vec![by(3, "todo: DELETE: id:1")],
            vec![by(4, inserted(2, "c"))],
            vec![by(5, "todo: UPDATE: id:2 task:'d'"), by(5, inserted(3, "e"))],
            vec![by(6, "todo: DELETE: id:2")],
            vec![by(7, "copied: INSERT: id:3")],
            vec![by(8, "copied_too: INSERT: id:3")],
            vec![by(9, "todo: TRUNCATE: (no-flags)")],
        ]
    );
}

#[tokio::test]
async fn a_select_that_calls_a_registered_function_is_a_write() {
    let app = App::new().await;
    app.run("CREATE FUNCTION add_todo(id int) RETURNS int LANGUAGE sql AS 'INSERT INTO todo VALUES ($1, ''f'') RETURNING id'")
        .await;
    let pool =
        app.pool.clone().with_settings(Settings::new().write_functions(["add_todo"]).unwrap());
    let added: i32 = sqlx::query_scalar("SELECT add_todo($1)")
        .bind(1)
        .fetch_one(&pool)
        .with_context(user(1))
        .await
        .unwrap();
    assert_eq!(added, 1);
    sqlx::query("SELECT add_todo($1)")
        .bind(2)
        .execute(&app.pool)
        .with_context(user(1))
        .await
        .unwrap();
    assert_eq!(app.changes().await, [[by(1, inserted(1, "f"))], [by_nobody(inserted(2, "f"))]]);
}

#[tokio::test]
async fn the_statements_text_goes_along_without_its_literals() {
    let app = App::new().await;
    let pool = app.with_sql();
    with_context(user(1), async {
        sqlx::query("INSERT INTO todo VALUES (1, $1)").bind("secret").execute(&pool).await.unwrap();
        let raw = pool.clone().with_settings(Settings::new().raw_sql_with_literals());
        sqlx::query("UPDATE todo SET task = 'it''s'").execute(&raw).await.unwrap();
    })
    .await;
    let journal = app.journal().await;
    let message = |sql: &str| Event::Message(json!({ "user_id": 1, "SQL": sql }));
    assert_eq!(journal[0][0], message("INSERT INTO todo VALUES (?, $1)"));
    assert_eq!(journal[1][0], message("UPDATE todo SET task = 'it''s'"));
}

#[tokio::test]
async fn what_is_added_to_the_scope_later_is_in_the_next_write() {
    let app = App::new().await;
    let insert = "INSERT INTO todo VALUES ($1, 'x')";
    with_context([("endpoint", "/todos")], async {
        sqlx::query(insert).bind(1).execute(&app.pool).await.unwrap();
        assert!(add_context([("user_id", 7)]));
        sqlx::query(insert).bind(2).execute(&app.pool).await.unwrap();
    })
    .await;
    assert_eq!(app.changes().await, [[by_nobody(inserted(1, "x"))], [by(7, inserted(2, "x"))]]);
}

#[tokio::test]
async fn a_stream_that_is_dropped_after_its_first_row_has_written_and_committed_all() {
    let app = App::with_connections(1).await;
    let insert = "INSERT INTO todo SELECT n, 'x' FROM generate_series(1, 1000) n RETURNING id";
    with_context(user(1), async {
        for sql in [insert.to_owned(), format!("{insert}; SELECT 1")] {
            app.run("DELETE FROM todo").await;
            app.journal().await;
            // Without arguments of its own, `query` still uses the extended protocol and a plain text the simple one.
            let mut rows = if sql == insert {
                sqlx::query(insert).fetch(&app.pool)
            } else {
                app.pool.fetch(sqlx::AssertSqlSafe(sql))
            };
            assert!(rows.try_next().await.unwrap().is_some());
            drop(rows);
            let count: i64 =
                sqlx::query_scalar("SELECT count(*) FROM todo").fetch_one(&app.pool).await.unwrap();
            assert_eq!(count, 1000);
            let journal = app.journal().await;
            assert_eq!((journal.len(), messages(&journal[0]), journal[0].len()), (1, 1, 1001));
        }
    })
    .await;
}

/// The items of `fetch_many`, in the order they come in.
trait FetchManyItems {
    async fn fetch_many_items<'c, E>(self, executor: E) -> Vec<String>
    where
        E: Executor<'c, Database = sqlx::Postgres>;
}

impl FetchManyItems for sqlx::query::Query<'static, sqlx::Postgres, sqlx::postgres::PgArguments> {
    async fn fetch_many_items<'c, E>(self, executor: E) -> Vec<String>
    where
        E: Executor<'c, Database = sqlx::Postgres>,
    {
        let items: Vec<_> = executor.fetch_many(self).try_collect().await.unwrap();
        items
            .into_iter()
            .map(|item| match item {
                Either::Left(result) => format!("{} rows", result.rows_affected()),
                Either::Right(row) => row.get::<i32, _>(0).to_string(),
            })
            .collect()
    }
}
