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
    shop.stored().await;
    (shop, pool)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_answers_over_a_connection_of_a_pool_and_in_a_transaction() {
    let (shop, pool) = open().await;
    let mut connection = pool.get().unwrap();
    block_on(Shop::ask(&mut *connection));
    connection
        .transaction(|connection| {
            block_on(Shop::ask(&mut **connection));
            Ok::<_, Error>(())
        })
        .unwrap();
    shop.assert_no_message().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_is_part_of_the_transaction_that_it_is_made_in() {
    let (shop, pool) = open().await;
    let mut connection = pool.get().unwrap();
    let connection = &mut *connection;
    let rolled_back = connection.transaction(|connection| {
        block_on(Shop::undo(connection));
        Err::<(), _>(Error::RollbackTransaction)
    });
    assert_eq!(rolled_back, Err(Error::RollbackTransaction));
    let committed = connection.transaction(|connection| {
        block_on(Shop::undo(connection));
        Ok::<_, Error>(())
    });
    committed.unwrap();
    shop.assert_undone().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_transaction_nothing_is_reverted() {
    let (_shop, pool) = open().await;
    block_on(Shop::refuse_without_transaction(&mut *pool.get().unwrap()));
}
