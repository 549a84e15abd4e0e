//! Over diesel-async: connections of a pool, and their transactions.

use bemi_diesel::{BemiAsyncPgConnection, BemiAsyncPool};
use diesel::result::Error;
use diesel_async::AsyncConnection;
use diesel_async::pooled_connection::AsyncDieselConnectionManager;

use crate::shop::{Shop, settings};

async fn open() -> (Shop, BemiAsyncPool) {
    let shop = Shop::open().await;
    let config = BemiAsyncPgConnection::manager_config(settings());
    let manager = AsyncDieselConnectionManager::new_with_config(shop.url(), config);
    let pool = BemiAsyncPool::builder(manager).build().unwrap();
    Shop::trade(&mut pool.get().await.unwrap()).await;
    shop.stored().await;
    (shop, pool)
}

#[tokio::test]
async fn the_record_answers_over_a_connection_of_a_pool_and_in_a_transaction() {
    let (shop, pool) = open().await;
    let mut connection = pool.get().await.unwrap();
    Shop::ask(&mut connection).await;
    Shop::ask(&mut *connection).await;
    connection
        .transaction(async |connection| {
            Shop::ask(connection).await;
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    shop.assert_no_message().await;
}

#[tokio::test]
async fn a_revert_is_part_of_the_transaction_that_it_is_made_in() {
    let (shop, pool) = open().await;
    let mut connection = pool.get().await.unwrap();
    let rolled_back = connection.transaction(async |connection| {
        Shop::undo(connection).await;
        Err::<(), _>(Error::RollbackTransaction)
    });
    assert_eq!(rolled_back.await, Err(Error::RollbackTransaction));
    let committed = connection.transaction(async |connection| {
        Shop::undo(connection).await;
        Ok::<_, Error>(())
    });
    committed.await.unwrap();
    shop.assert_undone().await;
}

#[tokio::test]
async fn without_a_transaction_nothing_is_reverted() {
    let (_shop, pool) = open().await;
    Shop::refuse_without_transaction(&mut pool.get().await.unwrap()).await;
}
