//! Rows, all at once and one by one.

use bemi_diesel::with_context_sync;
use bemi_tests::journal::{by, by_nobody, inserted, messages, user};
use diesel::connection::{DefaultLoadingMode, SimpleConnection};
use diesel::pg::PgRowByRowLoadingMode;
use diesel::prelude::*;

use crate::app::{App, Todo, a_todo, todo};

const INSERT: &str = "INSERT INTO todo SELECT n, 'x' FROM generate_series(1, 1000) n RETURNING *";

#[tokio::test]
async fn rows_that_are_not_read_to_the_end_are_written_and_committed_all() {
    let app = App::new().await;
    let connection = &mut app.connection();
    with_context_sync(user(1), || {
        let insert = diesel::sql_query(INSERT);
        let mut rows = insert.load_iter::<Todo, DefaultLoadingMode>(connection).unwrap();
        assert_eq!(rows.next().unwrap(), Ok(a_todo(1, "x")));
        drop(rows);
        connection.batch_execute("DELETE FROM todo").unwrap();

        let insert = diesel::sql_query(INSERT);
        let mut rows = insert.load_iter::<Todo, PgRowByRowLoadingMode>(connection).unwrap();
        assert_eq!(rows.next().unwrap(), Ok(a_todo(1, "x")));
        drop(rows);
    });
    let journal = app.journal().await;
    assert_eq!(journal.len(), 3);
    for written in [&journal[0], &journal[2]] {
        assert_eq!((messages(written), written.len()), (1, 1001));
    }
}

#[tokio::test]
async fn row_by_row_a_read_streams_and_a_write_in_a_transaction_has_its_message() {
    let app = App::new().await;
    let connection = &mut app.connection();
    connection.batch_execute("INSERT INTO todo VALUES (1, 'x'), (2, 'x')").unwrap();
    app.journal().await;
    with_context_sync(user(1), || {
        let rows: QueryResult<Vec<_>> =
            todo::table.load_iter::<Todo, PgRowByRowLoadingMode>(connection).unwrap().collect();
        assert_eq!(rows.unwrap(), [a_todo(1, "x"), a_todo(2, "x")]);
        connection.transaction(|connection| {
            let delete = diesel::delete(todo::table).returning(Todo::as_returning());
            let mut rows = delete.load_iter::<Todo, PgRowByRowLoadingMode>(connection)?;
            assert_eq!(rows.next(), Some(Ok(a_todo(1, "x"))));
            QueryResult::Ok(())
        })
    })
    .unwrap();
    assert_eq!(app.changes().await, [[by(1, "todo: DELETE: id:1"), by(1, "todo: DELETE: id:2")]]);
}

#[tokio::test]
async fn row_by_row_outside_a_scope_a_write_is_as_it_was() {
    let app = App::new().await;
    let connection = &mut app.connection();
    let insert = diesel::insert_into(todo::table).values(a_todo(1, "x")).returning(todo::id);
    let ids: QueryResult<Vec<i32>> =
        insert.load_iter::<i32, PgRowByRowLoadingMode>(connection).unwrap().collect();
    assert_eq!(ids, Ok(vec![1]));
    assert_eq!(app.changes().await, [[by_nobody(inserted(1, "x"))]]);
}

#[tokio::test]
async fn row_by_row_a_write_that_fails_half_way_leaves_nothing() {
    let app = App::new().await;
    let connection = &mut app.connection();
    let insert = "INSERT INTO todo SELECT n, 'x' FROM generate_series(1, 9) n RETURNING 1 / (5 - id) AS id, task";
    let failed = with_context_sync(user(1), || {
        diesel::sql_query(insert)
            .load_iter::<Todo, PgRowByRowLoadingMode>(connection)
            .and_then(Iterator::collect::<QueryResult<Vec<_>>>)
    });
    assert!(failed.unwrap_err().to_string().contains("division by zero"));
    assert_eq!(todo::table.count().get_result(connection), Ok(0_i64));
    assert!(app.journal().await.is_empty());
    assert_eq!(app.idle_in_transaction().await, 0);
}
