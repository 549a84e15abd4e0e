//! A database of its own for a measurement, set up by the worker as its users do it.

use std::time::{Duration, Instant};

use bemi_tests::{Cluster, Output, RunningWorker, TestDatabase, WorkerCommand};
use tokio_postgres::Client;

use crate::Result;

/// How long the worker may take, on a busy machine, for the largest case.
const STORED_WITHIN: Duration = Duration::from_secs(3 * 60 * 60);

/// A database in which everything is tracked, with whole old rows.
pub(crate) struct Tracked {
    pub(crate) database: TestDatabase,
    pub(crate) client: Client,
}

impl Tracked {
    /// Makes the database and runs the statements in it.
    pub(crate) async fn create(cluster: &Cluster, schema: &str) -> Result<Self> {
        let database = TestDatabase::create(cluster).await?;
        let client = database.connect().await?;
        client.batch_execute(schema).await?;
        Ok(Self { database, client })
    }

    /// Sets it up.
    pub(crate) async fn set_up(&self) -> Result<()> {
        let arguments = ["setup", "--all-tables", "--replica-identity", "full"];
        self.run_to_end(&arguments).await?.assert_code(0);
        Ok(())
    }

    /// The worker with these arguments, told which database and slot.
    pub(crate) fn worker(&self, arguments: &[&str]) -> WorkerCommand {
        WorkerCommand::under_test(arguments)
            .env("DATABASE_URL", self.database.url())
            .env("BEMI_SLOT", self.database.slot_name())
    }

    /// Runs a command of the worker, however long it takes.
    pub(crate) async fn run_to_end(&self, arguments: &[&str]) -> Result<Output> {
        Ok(self.worker(arguments).spawn().wait(STORED_WITHIN).await)
    }

    /// Starts the worker.
    pub(crate) async fn run(&self) -> RunningWorker {
        let mut worker = self.worker(&["run"]).spawn();
        worker.wait_for_log("streaming").await;
        worker
    }

    /// Waits until the worker has stored that many changes.
    pub(crate) async fn wait_for(&self, worker: &mut RunningWorker, changes: i64) -> Result<()> {
        let end = Instant::now() + STORED_WITHIN;
        loop {
            let stored: i64 = self
                .client
                .query_one("SELECT changes_stored FROM bemi.checkpoint", &[])
                .await?
                .get(0);
            if stored >= changes {
                break;
            }
            if !worker.is_running() || Instant::now() > end {
                return Err(format!("{stored} of {changes} changes: {}", worker.stderr()).into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let count: i64 = self.client.query_one("SELECT count(*) FROM changes", &[]).await?.get(0);
        if count != changes {
            return Err(format!("{count} changes instead of {changes}").into());
        }
        Ok(())
    }
}
