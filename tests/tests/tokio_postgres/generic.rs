//! Code that is generic over a client and a transaction, and that is spawned.

use bemi_tests::journal::{by, inserted, user};
use bemi_tokio_postgres::{BemiGenericClient, spawn, with_context};
use futures_util::TryStreamExt;
use tokio_postgres::Error;
use tokio_postgres::types::Type;

use crate::app::App;

/// Six rows, beginning with `id`.
async fn insert_all(client: &mut impl BemiGenericClient, id: i32) -> Result<(), Error> {
    let sql = "INSERT INTO todo VALUES ($1, 'x') RETURNING id";
    let insert = client.prepare(sql).await?;
    client.execute(&insert, &[&id]).await?;
    client.query_one(sql, &[&(id + 1)]).await?;
    let rows: Vec<_> = client.query_raw(sql, vec![id + 2]).await?.try_collect().await?;
    assert_eq!(rows.len(), 1);
    client.query_typed(sql, &[(&(id + 3), Type::INT4)]).await?;
    client.batch_execute(&format!("INSERT INTO todo VALUES ({}, 'x')", id + 4)).await?;
    let tx = client.transaction().await?;
    tx.execute(&insert, &[&(id + 5)]).await?;
    tx.commit().await
}

#[tokio::test]
async fn code_that_is_generic_runs_on_a_client_and_on_a_transaction() {
    let mut app = App::new().await;
    let mut client = app.another().await;
    with_context(user(1), async move {
        // It can be sent to another thread.
        spawn(async move { insert_all(&mut client, 1).await }).await.unwrap().unwrap();
        let mut tx = app.client.transaction().await.unwrap();
        insert_all(&mut tx, 11).await.unwrap();
        tx.commit().await.unwrap();
        let changes = |ids: std::ops::Range<i32>| ids.map(|id| by(1, inserted(id, "x")));
        let mut expected: Vec<_> = changes(1..7).map(|change| vec![change]).collect();
        expected.push(changes(11..17).collect());
        assert_eq!(app.changes().await, expected);
    })
    .await;
}
