//! Behind PgBouncer in transaction mode, where a client has a server connection for one transaction at a time.

use bemi_tests::journal::user;
use bemi_tests::{PgBouncer, shared_cluster};
use bemi_tokio_postgres::{BemiClient, Settings, with_context};
use tokio_postgres::NoTls;
use tokio_postgres::types::Type;

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
    let connect = async || {
        let url = bouncer.url(app.database.name());
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(connection);
        BemiClient::new(client).with_settings(Settings::new().without_sql())
    };
    let mut clients = Vec::new();
    for id in 0..CLIENTS {
        let mut client = connect().await;
        clients.push(tokio::spawn(with_context(user(id), async move {
            // The server may be another one for each transaction: as without us, a statement with a name would be there or not.
            let id = (&id as &(dyn tokio_postgres::types::ToSql + Sync), Type::INT4);
            let insert = "INSERT INTO todo VALUES ($1, 'x')";
            client.execute_typed(insert, std::slice::from_ref(&id)).await.unwrap();
            let tx = client.transaction().await.unwrap();
            for task in ["y", "z"] {
                let update = "UPDATE todo SET task = $2 WHERE id = $1";
                tx.execute_typed(update, &[id.clone(), (&task, Type::TEXT)]).await.unwrap();
            }
            tx.commit().await.unwrap();
        })));
    }
    for client in clients {
        client.await.unwrap();
    }
    // Outside any scope, on a server connection that all of them have used.
    connect().await.batch_execute("DELETE FROM todo").await.unwrap();

    let changes: Vec<_> = app.changes().await.into_iter().flatten().collect();
    for (user, change) in &changes {
        let id = change.split("id:").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        let expected = if change.contains("DELETE") { None } else { Some(id) };
        assert_eq!(*user, expected, "{change}");
    }
    assert_eq!(changes.len(), usize::try_from(CLIENTS).unwrap() * 4);
}
