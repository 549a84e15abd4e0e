//! Behind PgBouncer in transaction mode, where a client has a server connection for one transaction at
//! a time.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use bemi_sqlx::{BemiPool, with_context};
use bemi_tests::{RunningWorker, WorkerCommand, eventually, free_port, shared_cluster};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use super::app::{App, user};

const CLIENTS: i32 = 20;
const SERVER_CONNECTIONS: usize = 2;

/// Where Debian has it, which is not on everybody's PATH.
const PROGRAM: &str = "/usr/sbin/pgbouncer";

/// PgBouncer before the cluster, on `port`, with `folder` for its configuration.
fn start(port: u16, folder: &Path) -> RunningWorker {
    let config = folder.join("pgbouncer.ini");
    let server = shared_cluster().port();
    let settings = format!(
        "[databases]\n* = host=127.0.0.1 port={server} user=postgres\n\
         [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
         auth_type = any\npool_mode = transaction\ndefault_pool_size = {SERVER_CONNECTIONS}\n\
         ignore_startup_parameters = extra_float_digits\n"
    );
    fs::write(&config, settings).unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    let config = config.display().to_string();
    let is_root = nix::unistd::Uid::effective().is_root();
    let arguments = if is_root { vec!["-u", "nobody", &config] } else { vec![config.as_str()] };
    WorkerCommand::new(PROGRAM, arguments).spawn()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn clients_that_share_server_connections_do_not_share_contexts() {
    if !Path::new(PROGRAM).exists() {
        assert!(std::env::var_os("CI").is_none(), "continuous integration installs PgBouncer");
        eprintln!("left out: there is no {PROGRAM}");
        return;
    }
    let app = App::new().await;
    let folder = tempfile::tempdir().unwrap();
    let port = free_port().unwrap();
    let bouncer = start(port, folder.path());
    let options = PgConnectOptions::new()
        .host("127.0.0.1")
        .port(port)
        .username("postgres")
        .database(app.database.name());
    let connect = || PgPoolOptions::new().max_connections(20).connect_with(options.clone());
    let pool =
        eventually(Duration::from_secs(20), "PgBouncer to listen", async || connect().await.ok())
            .await;
    let pool = BemiPool::new(pool);

    let clients: Vec<_> = (0..CLIENTS)
        .map(|id| {
            let pool = pool.clone();
            tokio::spawn(with_context(user(i64::from(id)), async move {
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
    drop(bouncer);
}
