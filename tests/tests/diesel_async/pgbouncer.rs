//! Behind PgBouncer in transaction mode, where a client has a server connection for one transaction at a time.
//!
//! diesel-async prepares every statement by name, also those that it sends when it connects. PgBouncer keeps track of such names
//! from version 1.21 on, where `max_prepared_statements` is not 0. An older one may have the statement run on another server than
//! the one that it was prepared on, so what goes through it must be in a transaction: a write in a scope is, with ours.

use bemi_diesel::{BemiAsyncPgConnection, BemiAsyncPool, Settings, with_context};
use bemi_tests::journal::user;
use bemi_tests::{PgBouncer, shared_cluster};
use diesel::connection::CacheSize;
use diesel::prelude::*;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, RecyclingMethod};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use futures_util::FutureExt;
use tokio_postgres::NoTls;

use crate::app::{App, insert, todo};

const CLIENTS: i32 = 20;
const SERVER_CONNECTIONS: u32 = 2;

/// A connection that never relies on a statement that was prepared in another transaction.
async fn connect(url: &str) -> ConnectionResult<BemiAsyncPgConnection> {
    let bad = |error: tokio_postgres::Error| ConnectionError::BadConnection(error.to_string());
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.map_err(bad)?;
    tokio::spawn(connection);
    client.batch_execute("BEGIN").await.map_err(bad)?;
    let mut raw = AsyncPgConnection::try_from(client).await?;
    raw.set_prepared_statement_cache_size(CacheSize::Disabled);
    raw.batch_execute("COMMIT").await.map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(BemiAsyncPgConnection::new(raw).with_settings(Settings::new().without_sql()))
}

fn pool(url: &str) -> BemiAsyncPool {
    let mut config = BemiAsyncPgConnection::manager_config(Settings::new());
    config.custom_setup = Box::new(|url| connect(url).boxed());
    config.recycling_method = RecyclingMethod::Fast;
    let manager = AsyncDieselConnectionManager::new_with_config(url, config);
    BemiAsyncPool::builder(manager).max_size(20).build().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn clients_that_share_server_connections_do_not_share_contexts() {
    if !PgBouncer::can_be_had() {
        return;
    }
    let app = App::new().await;
    let bouncer = PgBouncer::start(shared_cluster(), SERVER_CONNECTIONS).await.unwrap();
    let pool = pool(&bouncer.url(app.database.name()));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|id| {
            let pool = pool.clone();
            tokio::spawn(with_context(user(id), async move {
                let mut ours = pool.get().await.unwrap();
                insert(&mut ours, id).await.unwrap();
                ours.transaction(async |ours| {
                    for task in ["y", "z"] {
                        let update = diesel::update(todo::table.find(id)).set(todo::task.eq(task));
                        update.execute(ours).await?;
                    }
                    QueryResult::Ok(())
                })
                .await
                .unwrap();
            }))
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    // Outside any scope, on a server connection that all of them have used.
    pool.get().await.unwrap().batch_execute("DELETE FROM todo").await.unwrap();

    let changes: Vec<_> = app.changes().await.into_iter().flatten().collect();
    for (user, change) in &changes {
        let id = change.split("id:").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        let expected = if change.contains("DELETE") { None } else { Some(id) };
        assert_eq!(*user, expected, "{change}");
    }
    assert_eq!(changes.len(), usize::try_from(CLIENTS).unwrap() * 4);
}
