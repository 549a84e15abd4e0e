//! What the demo plays on: a PostgreSQL, the todo list and the worker, each started here and stopped
//! here.
//!
//! Invariant: what is started goes with the [`Stage`], or at the latest with this process.

use std::net::{Ipv4Addr, SocketAddr};

use bemi_examples::todo;
use bemi_tests::{Cluster, ClusterOptions};
use bemi_worker::WorkerError;
use bemi_worker::config::{Config, RunOptions};
use bemi_worker::pipeline::RunSummary;
use bemi_worker::setup::{IdentityPolicy, SetupOptions};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use crate::Result;

const DATABASE: &str = "demo";

/// Everything that runs.
pub(crate) struct Stage {
    stop: watch::Sender<bool>,
    list: JoinHandle<std::io::Result<()>>,
    worker: JoinHandle<std::result::Result<RunSummary, WorkerError>>,
    server: SocketAddr,
    database: Client,
    cluster: Cluster,
}

impl Stage {
    /// Starts it all.
    ///
    /// Cancelled, it leaves nothing that would outlive this process.
    pub(crate) async fn set_up() -> Result<Self> {
        eprintln!("starting a PostgreSQL that exists only for this demo …");
        let start = || Cluster::start(&ClusterOptions::new());
        let cluster = tokio::task::spawn_blocking(start).await??;
        let version = cluster.binaries().version();
        eprintln!("PostgreSQL {version} listens on 127.0.0.1:{}", cluster.port());
        let create = format!("CREATE DATABASE {DATABASE}");
        cluster.connect("postgres").await?.batch_execute(&create).await?;
        let url = cluster.url(DATABASE);
        let database = cluster.connect(DATABASE).await?;
        database.batch_execute(todo::SCHEMA).await?;

        let config = Config::new(url.parse()?);
        let options = SetupOptions::new().all_tables().replica_identity(IdentityPolicy::Full);
        bemi_worker::setup::run(&config, &options).await?;
        let (stop, stopped) = watch::channel(false);
        let worker = tokio::spawn(async move {
            bemi_worker::pipeline::run(&config, RunOptions::new(), stopped).await
        });

        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let server = listener.local_addr()?;
        let app = todo::after::app(PgPool::connect(&url).await?);
        let list = tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self { stop, list, worker, server, database, cluster })
    }

    /// Where the todo list listens.
    pub(crate) fn server(&self) -> SocketAddr {
        self.server
    }

    /// The URL of the database.
    pub(crate) fn url(&self) -> String {
        self.cluster.url(DATABASE)
    }

    /// A connection of its own to the database, as another program would have.
    pub(crate) fn database(&self) -> &Client {
        &self.database
    }

    /// Waits for what `condition` waits for, as long as there is a worker that could bring it about.
    pub(crate) async fn while_the_worker_runs(
        &mut self,
        condition: impl AsyncFnOnce(&Client) -> Result<()>,
    ) -> Result<()> {
        tokio::select! {
            met = condition(&self.database) => met,
            ended = &mut self.worker => {
                ended??;
                Err("the worker ended before it had stored all changes".into())
            }
        }
    }

    /// Stops it all, in order, and removes what there is on disk.
    ///
    /// Cancelled, it leaves nothing that would outlive this process.
    pub(crate) async fn take_down(self) -> Result<()> {
        self.list.abort();
        drop(self.database);
        // Nobody listens where the worker has ended by itself.
        let _ = self.stop.send(true);
        if !self.worker.is_finished() {
            self.worker.await??;
        }
        Ok(tokio::task::spawn_blocking(|| drop(self.cluster)).await?)
    }
}
