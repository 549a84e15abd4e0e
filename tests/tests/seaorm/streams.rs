//! Rows that are read one by one.

use bemi_seaorm::with_context;
use bemi_tests::journal::{messages, user};
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use sea_orm::{ConnectionTrait, EntityTrait, QueryResult, StreamTrait, TransactionTrait};

use crate::app::{App, insert, statement};
use crate::entities::todo;

const MANY: &str = "INSERT INTO todo SELECT n, 'x' FROM generate_series(1, 1000) n RETURNING id";

fn id(row: &QueryResult) -> i32 {
    row.try_get_by(0).unwrap()
}

#[tokio::test]
async fn the_rows_are_those_of_plain_sea_orm() {
    async fn ids(db: &impl StreamTrait, sql: &str) -> Vec<i32> {
        let rows = db.stream_raw(statement(sql, [])).await.unwrap();
        rows.map_ok(|row| id(&row)).try_collect().await.unwrap()
    }
    let app = App::new().await;
    app.run("INSERT INTO todo SELECT n, 'x' FROM generate_series(1, 100) n").await;
    with_context(user(1), async {
        for sql in ["SELECT id FROM todo", "UPDATE todo SET task = 'y' RETURNING id"] {
            let plain = ids(&app.plain, sql).await;
            assert_eq!(ids(&app.db, sql).await, plain);
            let tx = app.db.begin().await.unwrap();
            assert_eq!(ids(&tx, sql).await, plain);
            tx.rollback().await.unwrap();
        }
        let models = todo::Entity::find().stream(&app.db).await.unwrap();
        assert_eq!(models.count().await, 100);
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_is_dropped_after_its_first_row_has_written_and_committed_all() {
    let app = App::with_connections(1).await;
    with_context(user(1), async {
        let mut rows = app.db.stream_raw(statement(MANY, [])).await.unwrap();
        assert_eq!(id(&rows.try_next().await.unwrap().unwrap()), 1);
        drop(rows);
    })
    .await;
    assert_eq!(app.count().await, 1000);
    let journal = app.journal().await;
    assert_eq!((journal.len(), messages(&journal[0]), journal[0].len()), (1, 1, 1001));
}

#[tokio::test]
async fn a_stream_in_a_transaction_holds_the_connection_until_its_end() {
    let app = App::with_connections(1).await;
    with_context(user(1), async {
        let tx = app.db.begin().await.unwrap();
        let written = tx.stream_raw(statement(MANY, [])).await.unwrap();
        // A write has ended by then, and does not hold it.
        insert(&tx, 2000).await;
        assert_eq!(written.count().await, 1000);

        let mut rows = tx.stream_raw(statement("SELECT id FROM todo", [])).await.unwrap();
        assert!(rows.try_next().await.unwrap().is_some());
        let count = "SELECT count(*) AS count FROM todo";
        let mut other = tx.query_one_raw(statement(count, []));
        assert!((&mut other).now_or_never().is_none());
        assert_eq!(rows.by_ref().count().await, 1000);
        let row = other.await.unwrap().unwrap();
        assert_eq!(row.try_get::<i64>("", "count").unwrap(), 1001);
        assert!(rows.next().await.is_none());
        drop(rows);

        let dropped = tx.stream_raw(statement("SELECT id FROM todo", [])).await.unwrap();
        drop(dropped);
        tx.commit().await.unwrap();
    })
    .await;
    assert_eq!(app.count().await, 1001);
}

#[tokio::test]
async fn an_error_ends_the_rows() {
    let app = App::new().await;
    let sql = "SELECT 1 / (n - 3) FROM generate_series(1, 5) n";
    let tx = app.db.begin().await.unwrap();
    let rows = tx.stream_raw(statement(sql, [])).await.unwrap();
    let seen: Vec<_> = rows.map(|row| row.is_ok()).collect().await;
    assert_eq!(seen, [true, true, false]);
    tx.rollback().await.unwrap();
}

/// Reads come as the server sends them, and are not held in memory first.
#[tokio::test]
async fn the_rows_of_a_read_come_before_the_read_has_ended() {
    let app = App::new().await;
    let slow = "SELECT n, repeat('x', 8000), CASE WHEN n > 100 THEN pg_sleep(600) END FROM generate_series(1, 101) n";
    let tx = app.db.begin().await.unwrap();
    let mut rows = with_context(user(1), tx.stream_raw(statement(slow, []))).await.unwrap();
    assert_eq!(id(&rows.try_next().await.unwrap().unwrap()), 1);
    drop(rows);
    app.run(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()",
    )
    .await;
}
