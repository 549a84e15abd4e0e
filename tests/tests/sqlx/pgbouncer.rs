//! Behind PgBouncer in transaction mode, where a client has a server connection for one transaction at
//! a time.

use bemi_sqlx::{BemiPool, with_context};
use bemi_tests::journal::user;
use bemi_tests::{PgBouncer, shared_cluster};
use sqlx::postgres::PgPoolOptions;

use crate::app::App;

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
    let pool = PgPoolOptions::new().max_connections(20).connect(&url).await.unwrap();
    let pool = BemiPool::new(pool);

    let clients: Vec<_> = (0..CLIENTS)
        .map(|id| {
            let pool = pool.clone();
            tokio::spawn(with_context(user(id), async move {
                // The server may be another one for each transaction: as with plain sqlx, a statement with
                // a name would be there or not.
                let insert = sqlx::query("INSERT INTO todo VALUES ($1, 'x')").persistent(false);
                insert.bind(id).execute(&pool).await.unwrap();
                let mut tx = pool.begin().await.unwrap();
                for task in ["y", "z"] {
                    let update = sqlx::query("UPDATE todo SET task = $1 WHERE id = $2");
                    update.persistent(false).bind(task).bind(id).execute(&mut *tx).await.unwrap();
                }
                tx.commit().await.unwrap();
            }))
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    // Outside any scope, on a server connection that all of them have used.
    sqlx::raw_sql("DELETE FROM todo").execute(&pool).await.unwrap();

    let changes: Vec<_> = app.changes().await.into_iter().flatten().collect();
    for (user, change) in &changes {
        let id = change.split("id:").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        let expected = if change.contains("DELETE") { None } else { Some(id) };
        assert_eq!(*user, expected, "{change}");
    }
    assert_eq!(changes.len(), usize::try_from(CLIENTS).unwrap() * 4);
    pool.close().await;
}
