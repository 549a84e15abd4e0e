//! Over diesel's own connection, of a pool, without a runtime: each future is ready when it is first polled.

use bemi_core::record::block_on;
use bemi_diesel::BemiPgConnection;
use diesel::Connection;
use diesel::r2d2::{ConnectionManager, Pool};
use diesel::result::Error;

use crate::shop::{Shop, settings};

type BemiPool = Pool<ConnectionManager<BemiPgConnection>>;

async fn open() -> (Shop, BemiPool) {
    let shop = Shop::open().await;
    let pool = Pool::builder()
        .max_size(2)
        .connection_customizer(Box::new(settings()))
        .build(ConnectionManager::new(shop.url()))
        .unwrap();
    block_on(Shop::trade(&mut *pool.get().unwrap()));
    shop.stored(3).await;
    (shop, pool)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_answers_over_a_connection_of_a_pool_and_in_a_transaction() {
    let (_shop, pool) = open().await;
    let mut connection = pool.get().unwrap();
    block_on(Shop::ask(&mut *connection));
    connection
        .transaction(|connection| {
            block_on(Shop::ask(&mut **connection));
            Ok::<_, Error>(())
        })
        .unwrap();
}
