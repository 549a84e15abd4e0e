//! Rows that are read as they come.

use std::pin::pin;

use bemi_tests::journal::{messages, user};
use bemi_tokio_postgres::with_context;
use futures_util::{StreamExt, TryStreamExt};

use crate::app::App;

const INSERT: &str = "INSERT INTO todo SELECT n, 'x' FROM generate_series(1, 1000) n RETURNING id";

#[tokio::test]
async fn a_stream_that_is_dropped_after_its_first_row_has_written_and_committed_all() {
    let app = App::new().await;
    with_context(user(1), async {
        {
            let params: [i32; 0] = [];
            let mut rows = pin!(app.client.query_raw(INSERT, params).await.unwrap());
            assert!(rows.try_next().await.unwrap().is_some());
        }
        let count = app.client.query_one_scalar::<i64, _>("SELECT count(*) FROM todo", &[]).await;
        assert_eq!(count.unwrap(), 1000);
    })
    .await;
    let journal = app.journal().await;
    assert_eq!((journal.len(), messages(&journal[0]), journal[0].len()), (1, 1, 1001));
}

#[tokio::test]
async fn a_stream_ends_when_its_rows_are_committed_and_knows_then_how_many_it_affected() {
    let app = App::new().await;
    with_context(user(1), async {
        let params: [i32; 0] = [];
        let mut rows = pin!(app.client.query_raw(INSERT, params).await.unwrap());
        let mut count = 0;
        while rows.try_next().await.unwrap().is_some() {
            count += 1;
            assert_eq!(rows.rows_affected(), None);
        }
        assert_eq!((count, rows.rows_affected()), (1000, Some(1000)));
        assert!(rows.next().await.is_none());
    })
    .await;
    assert_eq!(app.count("todo").await, 1000);
}

#[tokio::test]
async fn an_error_in_the_middle_of_the_rows_is_that_of_the_write_and_nothing_stays() {
    let app = App::new().await;
    with_context(user(1), async {
        let params: [i32; 0] = [];
        let sql = "INSERT INTO todo SELECT 1000 / (50 - n), 'x' FROM generate_series(1, 100) n RETURNING id";
        let rows = app.client.query_raw(sql, params).await.unwrap();
        let mut rows = pin!(rows);
        let error = loop {
            if let Err(error) = rows.try_next().await {
                break error;
            }
        };
        // 1000 / 49 and 1000 / 48 are the same.
        assert_eq!(error.code().unwrap().code(), "23505");
        assert!(rows.next().await.is_none());
        assert_eq!(rows.rows_affected(), None);
    })
    .await;
    assert!(app.journal().await.is_empty());
}

#[tokio::test]
async fn a_constraint_that_speaks_at_the_commit_is_the_last_that_comes_of_a_stream() {
    let app = App::new().await;
    app.run("CREATE TABLE late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)").await;
    with_context(user(1), async {
        let params: [i32; 0] = [];
        let sql = "INSERT INTO late VALUES (1), (1) RETURNING id";
        let items: Vec<_> = app.client.query_raw(sql, params).await.unwrap().collect().await;
        assert_eq!(items.len(), 3);
        assert_eq!(items[2].as_ref().unwrap_err().code().unwrap().code(), "23505");
    })
    .await;
    assert!(app.journal().await.is_empty());
}

#[tokio::test]
async fn reads_stream_row_by_row() {
    let app = App::new().await;
    with_context(user(1), async {
        // More than anybody would hold.
        let sql = "SELECT repeat('x', 100) FROM generate_series(1, $1)";
        let mut rows = pin!(app.client.query_raw(sql, [10_000_000]).await.unwrap());
        for _ in 0..10 {
            assert!(rows.try_next().await.unwrap().is_some());
        }
    })
    .await;
}
