//! Over SeaORM: the connection, which is a pool, and transactions.

use bemi_seaorm::BemiDatabaseConnection;
use sea_orm::{Database, TransactionTrait};

use crate::shop::{Shop, settings};

async fn open() -> (Shop, BemiDatabaseConnection) {
    let shop = Shop::open().await;
    let db = Database::connect(shop.url()).await.unwrap();
    let mut db = BemiDatabaseConnection::new(db).unwrap().with_settings(settings());
    Shop::trade(&mut db).await;
    shop.stored().await;
    (shop, db)
}

#[tokio::test]
async fn the_record_answers_over_the_connection_and_a_transaction() {
    let (shop, mut db) = open().await;
    Shop::ask(&mut &db).await;
    Shop::ask(&mut db).await;
    let mut tx = db.begin().await.unwrap();
    Shop::ask(&mut &tx).await;
    Shop::ask(&mut tx).await;
    tx.commit().await.unwrap();
    shop.assert_no_message().await;
}

#[tokio::test]
async fn a_revert_is_part_of_the_transaction_that_it_is_made_in() {
    let (shop, db) = open().await;
    let mut tx = db.begin().await.unwrap();
    Shop::undo(&mut tx).await;
    tx.rollback().await.unwrap();
    let tx = db.begin().await.unwrap();
    Shop::undo(&mut &tx).await;
    tx.commit().await.unwrap();
    shop.assert_undone().await;
}

#[tokio::test]
async fn without_a_transaction_nothing_is_reverted() {
    let (_shop, mut db) = open().await;
    Shop::refuse_without_transaction(&mut db).await;
}
