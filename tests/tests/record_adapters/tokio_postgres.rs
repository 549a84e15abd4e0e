//! Over tokio-postgres: clients, also of a pool, and their transactions.

use bemi_tokio_postgres::{BemiManager, BemiPool};
use deadpool_postgres::Manager;
use tokio_postgres::NoTls;

use crate::shop::{Shop, settings};

async fn open() -> (Shop, BemiPool) {
    let shop = Shop::open().await;
    let manager = Manager::new(shop.url().parse().unwrap(), NoTls);
    let manager = BemiManager::new(manager).with_settings(settings());
    let pool = BemiPool::builder(manager).build().unwrap();
    Shop::trade(&mut *pool.get().await.unwrap()).await;
    shop.stored(3).await;
    (shop, pool)
}

#[tokio::test]
async fn the_record_answers_over_a_client_of_a_pool_and_a_transaction() {
    let (_shop, pool) = open().await;
    let mut client = pool.get().await.unwrap();
    Shop::ask(&mut &*client).await;
    Shop::ask(&mut *client).await;
    let mut tx = client.transaction().await.unwrap();
    Shop::ask(&mut &tx).await;
    Shop::ask(&mut tx).await;
}
