//! Rows that are read one by one.

use bemi_diesel::with_context;
use bemi_tests::journal::{messages, user};
use diesel::prelude::*;
use diesel::sql_types::Integer;
use diesel_async::{AsyncConnection, RunQueryDsl};
use futures_util::TryStreamExt;
use futures_util::future::try_join;

use crate::app::{App, todo};

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = Integer)]
    id: i32,
}

const INSERT: &str = "INSERT INTO todo SELECT n, 'x' FROM generate_series(1, 1000) n RETURNING id";

#[tokio::test]
async fn a_stream_that_is_dropped_after_its_first_row_has_written_and_committed_all() {
    let app = App::new().await;
    let mut ours = app.connection().await;
    with_context(user(1), async {
        let mut rows = diesel::sql_query(INSERT).load_stream::<Id>(&mut ours).await.unwrap();
        assert_eq!(rows.try_next().await.unwrap().unwrap().id, 1);
        drop(rows);
        let journal = app.journal().await;
        assert_eq!((journal.len(), journal[0].len()), (1, 1001));
    })
    .await;
}

#[tokio::test]
async fn a_read_is_a_stream_of_the_server() {
    let app = App::new().await;
    let mut ours = app.connection().await;
    with_context(user(1), async {
        // It fails at the row that divides by zero, after those before it were seen.
        let read = "SELECT 1 / (90000 - n) AS id FROM generate_series(1, 100000) n";
        let mut rows = diesel::sql_query(read).load_stream::<Id>(&mut ours).await.unwrap();
        let mut seen = 0;
        let failed = loop {
            match rows.try_next().await {
                Ok(Some(_)) => seen += 1,
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        assert!(failed);
        assert_eq!(seen, 89_999);
    })
    .await;
}

#[tokio::test]
async fn a_stream_of_a_write_in_a_transaction_comes_as_it_is_read() {
    let app = App::new().await;
    let mut ours = app.connection().await;
    with_context(user(1), async {
        ours.transaction(async |ours| {
            let rows = diesel::sql_query(INSERT).load_stream::<Id>(ours).await?;
            let ids: Vec<Id> = rows.try_collect().await?;
            assert_eq!(ids.len(), 1000);
            let mut rows =
                diesel::sql_query("DELETE FROM todo RETURNING id").load_stream::<Id>(ours).await?;
            rows.try_next().await?;
            QueryResult::Ok(())
        })
        .await
        .unwrap();
    })
    .await;
    let journal = app.journal().await;
    assert_eq!((journal[0].len(), messages(&journal[0])), (2001, 1), "all is deleted");
}

#[tokio::test]
async fn reads_may_share_the_untracked_connection() {
    let app = App::new().await;
    app.run("INSERT INTO todo VALUES (1, 'x')").await;
    let mut ours = app.connection().await;
    let shared = &*ours.untracked().unwrap();
    let (first, count) = try_join(
        todo::table.select(todo::id).first::<i32>(&mut &*shared),
        todo::table.count().get_result::<i64>(&mut &*shared),
    )
    .await
    .unwrap();
    assert_eq!((first, count), (1, 1));
}
