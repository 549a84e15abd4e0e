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
    shop.stored(3).await;
    (shop, pool)
}

#[tokio::test]
async fn the_record_answers_over_a_connection_of_a_pool_and_in_a_transaction() {
    let (_shop, pool) = open().await;
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
}
