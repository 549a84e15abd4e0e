//! The throwaway server, and databases of it that are set up as the worker's users do it.

use bemi_tests::{Cluster, ClusterOptions, TestDatabase, WorkerCommand};
use tokio_postgres::Client;

use crate::Result;

/// What a server of this size would have. Statistics are taken by the benchmark, when there is something to take them of.
const SETTINGS: [(&str, &str); 7] = [
    ("fsync", "on"),
    ("shared_buffers", "512MB"),
    ("maintenance_work_mem", "512MB"),
    ("autovacuum", "off"),
    // Checkpoints are made between the measurements.
    ("checkpoint_timeout", "1h"),
    ("max_wal_size", "32GB"),
    ("jit", "off"),
];

/// The server.
pub(crate) struct Server(Cluster);

/// A database whose table `todo` is tracked, with whole old rows.
pub(crate) struct Tracked {
    pub(crate) database: TestDatabase,
    pub(crate) client: Client,
}

impl Server {
    /// Starts it.
    pub(crate) fn start() -> Result<Self> {
        let settings = SETTINGS
            .iter()
            .fold(ClusterOptions::new(), |options, (name, value)| options.set(name, value));
        Ok(Self(Cluster::start(&settings)?))
    }

    /// The cluster itself.
    pub(crate) fn cluster(&self) -> &Cluster {
        &self.0
    }

    /// Makes a database, and sets it up.
    pub(crate) async fn tracked(&self) -> Result<Tracked> {
        const SCHEMA: &str = "CREATE TABLE todo (id bigint PRIMARY KEY, task text NOT NULL, done boolean NOT NULL, \
             price numeric(10, 2) NOT NULL, updated_at timestamptz NOT NULL)";
        let database = TestDatabase::create(&self.0).await?;
        let client = database.connect().await?;
        client.batch_execute(SCHEMA).await?;
        let tracked = Tracked { database, client };
        tracked.worker(&["setup", "--tables", "todo", "--replica-identity", "full"]).await;
        // What setup has put into the stream.
        tracked.store().await;
        Ok(tracked)
    }
}

impl Tracked {
    async fn worker(&self, arguments: &[&str]) {
        WorkerCommand::under_test(arguments)
            .env("DATABASE_URL", self.database.url())
            .env("BEMI_SLOT", self.database.slot_name())
            .run_to_end()
            .await
            .assert_code(0);
    }

    /// Stores everything that was committed.
    pub(crate) async fn store(&self) {
        self.worker(&["run", "--once"]).await;
    }

    /// Writes out what is dirty, so that no measurement pays for what came before it.
    pub(crate) async fn settle(&self) -> Result<()> {
        Ok(self.client.batch_execute("CHECKPOINT").await?)
    }

    /// Removes the database.
    pub(crate) async fn close(self) -> Result<()> {
        drop(self.client);
        Ok(self.database.close().await?)
    }
}
