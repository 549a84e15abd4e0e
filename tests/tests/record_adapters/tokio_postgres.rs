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
    shop.stored().await;
    (shop, pool)
}

#[tokio::test]
async fn the_record_answers_over_a_client_of_a_pool_and_a_transaction() {
    let (shop, pool) = open().await;
    let mut client = pool.get().await.unwrap();
    Shop::ask(&mut &*client).await;
    Shop::ask(&mut *client).await;
    let mut tx = client.transaction().await.unwrap();
    Shop::ask(&mut &tx).await;
    Shop::ask(&mut tx).await;
    tx.commit().await.unwrap();
    shop.assert_no_message().await;
}

#[tokio::test]
async fn a_revert_is_part_of_the_transaction_that_it_is_made_in() {
    let (shop, pool) = open().await;
    let mut client = pool.get().await.unwrap();
    let mut tx = client.transaction().await.unwrap();
    Shop::undo(&mut tx).await;
    tx.rollback().await.unwrap();
    let tx = client.transaction().await.unwrap();
    Shop::undo(&mut &tx).await;
    tx.commit().await.unwrap();
    shop.assert_undone().await;
}

#[tokio::test]
async fn without_a_transaction_nothing_is_reverted() {
    let (_shop, pool) = open().await;
    Shop::refuse_without_transaction(&mut *pool.get().await.unwrap()).await;
}
