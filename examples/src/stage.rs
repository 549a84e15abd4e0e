//! What an example plays on: a PostgreSQL and the worker, each started here and stopped here; or a database of the reader's own.
//!
//! Invariant: what is started goes with the [`Stage`], or at the latest with this process.

use std::time::Duration;

use bemi_tests::{Cluster, ClusterOptions};
use bemi_worker::WorkerError;
use bemi_worker::config::{Config, RunOptions};
use bemi_worker::pipeline::RunSummary;
use bemi_worker::setup::{IdentityPolicy, SetupOptions};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};

use crate::{Result, table};

const DATABASE: &str = "demo";

/// How long the worker may take to store changes; it takes some milliseconds.
const STORED_DEADLINE: Duration = Duration::from_secs(30);

/// How often to look whether it has.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// A database whose changes are tracked.
pub struct Stage {
    url: String,
    database: Client,
    /// Changes that are committed behind this position are those of the example.
    begins_at: i64,
    /// None where somebody else runs server and worker.
    own: Option<Own>,
}

struct Own {
    stop: watch::Sender<bool>,
    worker: JoinHandle<std::result::Result<RunSummary, WorkerError>>,
    cluster: Cluster,
}

impl Stage {
    /// With the tables of `schema`: in the database at `DATABASE_URL`, whose worker runs already; else as
    /// [`throwaway`](Self::throwaway).
    ///
    /// # Errors
    ///
    /// When the database does not answer or refuses the tables, or nothing can be started.
    pub async fn set_up(schema: &str) -> Result<Self> {
        let Ok(url) = std::env::var("DATABASE_URL") else { return Self::throwaway(schema).await };
        let (database, connection) = tokio_postgres::connect(&url, NoTls).await?;
        tokio::spawn(connection);
        database.batch_execute(schema).await?;
        Self::begin(url, database, None).await
    }

    /// With the tables of `schema`, on a PostgreSQL that exists only for it.
    ///
    /// Cancelled, it leaves nothing that would outlive this process.
    ///
    /// # Errors
    ///
    /// When no PostgreSQL is found, or server or worker do not start.
    pub async fn throwaway(schema: &str) -> Result<Self> {
        eprintln!("starting a PostgreSQL that exists only for this demo …");
        let start = || Cluster::start(&ClusterOptions::new());
        let cluster = tokio::task::spawn_blocking(start).await??;
        let version = cluster.binaries().version();
        eprintln!("PostgreSQL {version} listens on 127.0.0.1:{}", cluster.port());
        let create = format!("CREATE DATABASE {DATABASE}");
        cluster.connect("postgres").await?.batch_execute(&create).await?;
        let url = cluster.url(DATABASE);
        let database = cluster.connect(DATABASE).await?;
        database.batch_execute(schema).await?;

        let config = Config::new(url.parse()?);
        let options = SetupOptions::new().all_tables().replica_identity(IdentityPolicy::Full);
        bemi_worker::setup::run(&config, &options).await?;
        let (stop, stopped) = watch::channel(false);
        let worker = tokio::spawn(async move {
            bemi_worker::pipeline::run(&config, RunOptions::new(), stopped).await
        });
        Self::begin(url, database, Some(Own { stop, worker, cluster })).await
    }

    async fn begin(url: String, database: Client, own: Option<Own>) -> Result<Self> {
        let position = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint";
        let begins_at = database.query_one(position, &[]).await?.try_get(0)?;
        Ok(Self { url, database, begins_at, own })
    }

    /// The URL of the database.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A connection of its own to the database, as another program would have.
    #[must_use]
    pub fn database(&self) -> &Client {
        &self.database
    }

    /// Waits until the worker has stored `count` changes of `tables` since the stage was set up, and gives them as a table, with
    /// the context broken into lines.
    ///
    /// # Errors
    ///
    /// When the worker does not store them in half a minute, or ends.
    pub async fn changes(&mut self, tables: &[&str], count: usize) -> Result<String> {
        const NAMES: [&str; 4] = ["table", "operation", "primary_key", "context"];
        let sql = "SELECT \"table\", operation, primary_key, context::text FROM changes \
             WHERE commit_position > $1 AND \"table\" = ANY($2) ORDER BY commit_position, sequence";
        let begins_at = self.begins_at;
        let look = async |database: &Client| loop {
            let rows = database.query(sql, &[&begins_at, &tables]).await?;
            if rows.len() >= count {
                return Ok(rows);
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        };
        let late = |_| {
            format!(
                "the worker has not stored {count} changes after {STORED_DEADLINE:?}; does `bemi-worker run` run on this \
                 database?"
            )
        };
        let in_time = async |database: &Client| -> Result<_> {
            tokio::time::timeout(STORED_DEADLINE, look(database)).await.map_err(late)?
        };
        let mut cells = Vec::new();
        for row in self.while_the_worker_runs(in_time).await? {
            let cell = |column| -> Result<String> {
                let text: Option<&str> = row.try_get(column)?;
                Ok(table::break_object(text.unwrap_or_default()))
            };
            cells.push((0..NAMES.len()).map(cell).collect::<Result<Vec<_>>>()?);
        }
        Ok(table::render(&NAMES, &cells))
    }

    /// Waits for what `condition` waits for, as long as there is a worker that could bring it about.
    ///
    /// # Errors
    ///
    /// Those of `condition` and of the worker.
    pub async fn while_the_worker_runs<T>(
        &mut self,
        condition: impl AsyncFnOnce(&Client) -> Result<T>,
    ) -> Result<T> {
        let Some(own) = &mut self.own else { return condition(&self.database).await };
        tokio::select! {
            met = condition(&self.database) => met,
            ended = &mut own.worker => {
                ended??;
                Err("the worker ended before it had stored all changes".into())
            }
        }
    }

    /// Stops what was started, in order, and removes what there is on disk.
    ///
    /// Cancelled, it leaves nothing that would outlive this process.
    ///
    /// # Errors
    ///
    /// Those of the worker.
    pub async fn take_down(self) -> Result<()> {
        drop(self.database);
        let Some(own) = self.own else { return Ok(()) };
        // Nobody listens where the worker has ended by itself.
        let _ = own.stop.send(true);
        if !own.worker.is_finished() {
            own.worker.await??;
        }
        Ok(tokio::task::spawn_blocking(|| drop(own.cluster)).await?)
    }
}
