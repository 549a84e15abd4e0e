//! Over sqlx: the pool, its connections and its transactions.

use bemi_sqlx::BemiPool;
use sqlx::PgPool;

use crate::shop::{Shop, settings};

async fn open() -> (Shop, BemiPool) {
    let shop = Shop::open().await;
    let pool = BemiPool::new(PgPool::connect(&shop.url()).await.unwrap()).with_settings(settings());
    Shop::trade(&mut &pool).await;
    shop.stored(3).await;
    (shop, pool)
}

#[tokio::test]
async fn the_record_answers_over_the_pool_a_connection_and_a_transaction() {
    let (_shop, pool) = open().await;
    Shop::ask(&mut &pool).await;
    Shop::ask(&mut pool.acquire().await.unwrap()).await;
    Shop::ask(&mut *pool.acquire().await.unwrap()).await;
    Shop::ask(&mut pool.begin().await.unwrap()).await;
    Shop::ask(&mut *pool.begin().await.unwrap()).await;
}
