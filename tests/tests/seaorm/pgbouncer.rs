//! Behind PgBouncer in transaction mode, where a client has a server connection for one transaction at a time.
//!
//! sea-orm gives each statement with values a name, which a PgBouncer before 1.21 cannot follow to another server connection; so
//! the statements here are texts.

use bemi_seaorm::with_context;
use bemi_tests::journal::user;
use bemi_tests::{PgBouncer, shared_cluster};
use sea_orm::{ConnectionTrait, TransactionTrait};
use sqlx::postgres::PgPoolOptions;

use crate::app::{App, ours};

const CLIENTS: i32 = 20;
const SERVER_CONNECTIONS: u32 = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn clients_that_share_server_connections_do_not_share_contexts() {
    if !PgBouncer::can_be_had() {
        return;
    }
    let app = App::new().await;
    let bouncer = PgBouncer::start(shared_cluster(), SERVER_CONNECTIONS).await.unwrap();
    let url = bouncer.url(app.database.name());
    let db = ours(PgPoolOptions::new().max_connections(20).connect(&url).await.unwrap());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|id| {
            let db = db.clone();
            tokio::spawn(with_context(user(id), async move {
                let insert = format!("INSERT INTO todo VALUES ({id}, 'x')");
                db.execute_unprepared(&insert).await.unwrap();
                let tx = db.begin().await.unwrap();
                for task in ["y", "z"] {
                    let update = format!("UPDATE todo SET task = '{task}' WHERE id = {id}");
                    tx.execute_unprepared(&update).await.unwrap();
                }
                tx.commit().await.unwrap();
            }))
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    // Outside any scope, on a server connection that all of them have used.
    db.execute_unprepared("DELETE FROM todo").await.unwrap();

    let changes: Vec<_> = app.changes().await.into_iter().flatten().collect();
    for (user, change) in &changes {
        let id = change.split("id:").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        let expected = if change.contains("DELETE") { None } else { Some(id) };
        assert_eq!(*user, expected, "{change}");
    }
    assert_eq!(changes.len(), usize::try_from(CLIENTS).unwrap() * 4);
    db.close().await.unwrap();
}
