//! Over SeaORM: the connection, which is a pool, and transactions.

use bemi_seaorm::BemiDatabaseConnection;
use sea_orm::{Database, TransactionTrait};

use crate::shop::{Shop, settings};

async fn open() -> (Shop, BemiDatabaseConnection) {
    let shop = Shop::open().await;
    let db = Database::connect(shop.url()).await.unwrap();
    let mut db = BemiDatabaseConnection::new(db).unwrap().with_settings(settings());
    Shop::trade(&mut db).await;
    shop.stored(3).await;
    (shop, db)
}

#[tokio::test]
async fn the_record_answers_over_the_connection_and_a_transaction() {
    let (_shop, mut db) = open().await;
    Shop::ask(&mut &db).await;
    Shop::ask(&mut db).await;
    let mut tx = db.begin().await.unwrap();
    Shop::ask(&mut &tx).await;
    Shop::ask(&mut tx).await;
}
