//! Writes without a transaction of the caller's own.

use bemi_seaorm::{ContextFutureExt, Settings, add_context, with_context, write};
use bemi_tests::journal::{Event, by, by_nobody, inserted, user};
use bemi_tests::merge_into_todo;
use sea_orm::ConnectionTrait;
use serde_json::json;

use crate::app::{App, insert, statement};

#[tokio::test]
async fn each_write_in_a_scope_has_its_context_before_it_in_its_own_transaction() {
    let app = App::new().await;
    with_context(user(1), async {
        app.db
            .execute_raw(statement("INSERT INTO todo VALUES ($1, $2)", [1.into(), "Sleep".into()]))
            .await?;
        app.db.execute_raw(statement("UPDATE todo SET task = $1", ["Eat".into()])).await?;
        app.db.execute_raw(statement("DELETE FROM todo WHERE id = $1", [1.into()])).await
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
async fn rows_affected_and_returned_rows_are_those_of_plain_sea_orm() {
    let app = App::new().await;
    with_context(user(1), async {
        let sql = "INSERT INTO todo SELECT n, 'x' FROM generate_series(1, 3) n RETURNING id";
        for sql in [sql.to_owned(), sql.replace("todo", "public.todo")] {
            let mut seen = Vec::new();
            for connection in [&app.plain as &dyn Ids, &app.db] {
                app.run("TRUNCATE todo").await;
                seen.push(connection.ids(&sql).await);
            }
            assert_eq!(seen[0], seen[1]);
            assert_eq!(seen[0], (vec![1, 2, 3], Some(1), 3));
        }
        let none = app
            .db
            .query_one_raw(statement("DELETE FROM todo WHERE id = $1 RETURNING id", [9.into()]));
        assert!(none.await.unwrap().is_none());
        let update = statement("UPDATE todo SET task = 'y' WHERE id > $1", [1.into()]);
        assert_eq!(app.db.execute_raw(update).await.unwrap().rows_affected(), 2);
        // Of several statements, the sum.
        let text = "DELETE FROM todo WHERE id = 1; UPDATE todo SET task = 'z'; SELECT 1";
        let ours = app.db.execute_unprepared(text).await.unwrap().rows_affected();
        app.run("INSERT INTO todo VALUES (1, 'x')").await;
        let plain = app.plain.execute_unprepared(text).await.unwrap().rows_affected();
        assert_eq!((ours, plain), (4, 4));
    })
    .await;
}

/// All three ways to run a statement that writes and returns ids: all rows, the first row, and how many rows.
trait Ids {
    fn ids<'a>(
        &'a self,
        sql: &'a str,
    ) -> futures_util::future::BoxFuture<'a, (Vec<i32>, Option<i32>, u64)>;
}

impl<C: ConnectionTrait> Ids for C {
    fn ids<'a>(
        &'a self,
        sql: &'a str,
    ) -> futures_util::future::BoxFuture<'a, (Vec<i32>, Option<i32>, u64)> {
        let id = |row: sea_orm::QueryResult| row.try_get_by::<i32, _>(0).unwrap();
        Box::pin(async move {
            let all = self.query_all_raw(statement(sql, [])).await.unwrap();
            self.execute_unprepared("DELETE FROM todo").await.unwrap();
            let first = self.query_one_raw(statement(sql, [])).await.unwrap();
            self.execute_unprepared("DELETE FROM todo").await.unwrap();
            let result = self.execute_raw(statement(sql, [])).await.unwrap();
            (all.into_iter().map(id).collect(), first.map(id), result.rows_affected())
        })
    }
}

#[tokio::test]
async fn outside_a_scope_there_is_no_message() {
    let app = App::new().await;
    insert(&app.db, 1).await;
    app.db.execute_unprepared("INSERT INTO todo VALUES (2, 'x')").await.unwrap();
    assert_eq!(
        app.journal().await,
        [[Event::Change(inserted(1, "x"))], [Event::Change(inserted(2, "x"))]]
    );
}

#[tokio::test]
async fn a_read_in_a_scope_has_no_transaction_id() {
    let app = App::new().await;
    with_context(user(1), async {
        let read = "SELECT pg_current_xact_id_if_assigned()::text AS xid";
        let row = app.db.query_one_raw(statement(read, [])).await.unwrap().unwrap();
        assert_eq!(row.try_get::<Option<String>>("", "xid").unwrap(), None);
        app.db.query_all_raw(statement("SELECT id FROM todo FOR UPDATE", [])).await.unwrap();
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
        "TRUNCATE todo",
    ];
    for (number, write) in (1..).zip(writes) {
        app.db.execute_raw(statement(write, [])).with_context(user(number)).await.unwrap();
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
            vec![by(8, "todo: TRUNCATE: (no-flags)")],
        ]
    );
}

#[tokio::test]
async fn a_select_that_calls_a_function_is_a_write_where_it_is_said_to_be() {
    let app = App::new().await;
    app.run("CREATE FUNCTION add_todo(id int) RETURNS int LANGUAGE sql AS 'INSERT INTO todo VALUES ($1, ''f'') RETURNING id'")
        .await;
    let named =
        app.db.clone().with_settings(Settings::new().write_functions(["add_todo"]).unwrap());
    let select = |id: i32| statement("SELECT add_todo($1)", [id.into()]);
    with_context(user(1), async {
        named.query_one_raw(select(1)).await.unwrap();
        write(app.db.query_one_raw(select(2))).await.unwrap();
        app.db.query_one_raw(select(3)).await.unwrap();
    })
    .await;
    assert_eq!(
        app.changes().await,
        [[by(1, inserted(1, "f"))], [by(1, inserted(2, "f"))], [by_nobody(inserted(3, "f"))]]
    );
}

#[tokio::test]
async fn the_statements_text_goes_along_without_its_literals() {
    let app = App::new().await;
    let db = app.with_sql();
    with_context(user(1), async {
        let insert = statement("INSERT INTO todo VALUES (1, $1)", ["secret".into()]);
        db.execute_raw(insert).await.unwrap();
        let raw = db.clone().with_settings(Settings::new().raw_sql_with_literals());
        raw.execute_unprepared("UPDATE todo SET task = 'it''s'").await.unwrap();
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
    with_context([("endpoint", "/todos")], async {
        insert(&app.db, 1).await;
        assert!(add_context([("user_id", 7)]));
        insert(&app.db, 2).await;
    })
    .await;
    assert_eq!(app.changes().await, [[by_nobody(inserted(1, "x"))], [by(7, inserted(2, "x"))]]);
}

#[tokio::test]
async fn a_text_of_several_statements_has_a_message_before_each_write_in_its_transaction() {
    let app = App::new().await;
    with_context(user(1), async {
        app.db
            .execute_unprepared(
                "INSERT INTO todo VALUES (1, 'x'); BEGIN; INSERT INTO todo VALUES (2, 'x'); COMMIT; \
                 INSERT INTO todo VALUES (3, 'x')",
            )
            .await
            .unwrap();
    })
    .await;
    assert_eq!(
        app.changes().await,
        [vec![by(1, inserted(1, "x")), by(1, inserted(2, "x"))], vec![by(1, inserted(3, "x"))]]
    );
}

#[tokio::test]
async fn a_transaction_that_was_begun_as_text_and_never_ended_does_not_reach_the_pool() {
    let app = App::with_connections(1).await;
    with_context(user(1), async {
        let begin =
            "INSERT INTO todo VALUES (1, 'x'); COMMIT; BEGIN; INSERT INTO todo VALUES (2, 'x')";
        app.db.execute_unprepared(begin).await.unwrap();
        insert(&app.db, 3).await;
    })
    .await;
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x"))], [by(1, inserted(3, "x"))]]);
    assert_eq!(app.idle_in_transaction().await, 0);
}
