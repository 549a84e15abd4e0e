//! Over sqlx: the pool, its connections and its transactions.

use bemi_sqlx::BemiPool;
use sqlx::PgPool;

use crate::shop::{Shop, settings};

async fn open() -> (Shop, BemiPool) {
    let shop = Shop::open().await;
    let pool = BemiPool::new(PgPool::connect(&shop.url()).await.unwrap()).with_settings(settings());
    Shop::trade(&mut &pool).await;
    shop.stored().await;
    (shop, pool)
}

#[tokio::test]
async fn the_record_answers_over_the_pool_a_connection_and_a_transaction() {
    let (shop, pool) = open().await;
    Shop::ask(&mut &pool).await;
    Shop::ask(&mut pool.acquire().await.unwrap()).await;
    Shop::ask(&mut *pool.acquire().await.unwrap()).await;
    let mut tx = pool.begin().await.unwrap();
    Shop::ask(&mut tx).await;
    Shop::ask(&mut *tx).await;
    tx.commit().await.unwrap();
    shop.assert_no_message().await;
}

#[tokio::test]
async fn a_revert_is_part_of_the_transaction_that_it_is_made_in() {
    let (shop, pool) = open().await;
    let mut tx = pool.begin().await.unwrap();
    Shop::undo(&mut *tx).await;
    tx.rollback().await.unwrap();
    let mut tx = pool.begin().await.unwrap();
    Shop::undo(&mut tx).await;
    tx.commit().await.unwrap();
    shop.assert_undone().await;
}

#[tokio::test]
async fn without_a_transaction_nothing_is_reverted() {
    let (_shop, pool) = open().await;
    Shop::refuse_without_transaction(&mut &pool).await;
    Shop::refuse_without_transaction(&mut pool.acquire().await.unwrap()).await;
}
