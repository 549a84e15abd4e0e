//! A database that is tracked: made, set up, and read back.

use std::time::Duration;

use bemi_tests::{
    Cluster, Output, RunningWorker, TestDatabase, WorkerCommand, eventually, shared_cluster,
};
use serde_json::Value;
use tokio_postgres::Client;

/// How long to wait for a change to be stored, on a busy machine.
pub(crate) const STORED_WITHIN: Duration = Duration::from_secs(60);

/// A database of its own, with a worker's slot of its own.
pub(crate) struct Tracked {
    pub(crate) database: TestDatabase,
    pub(crate) client: Client,
}

/// A row of `changes`, as far as most tests look at it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stored {
    pub(crate) table: String,
    pub(crate) operation: String,
    pub(crate) primary_key: Option<String>,
    pub(crate) previous_key: Option<String>,
    pub(crate) before: Value,
    pub(crate) after: Value,
    pub(crate) context: Value,
    pub(crate) before_complete: bool,
    pub(crate) unavailable: Option<Vec<String>>,
    pub(crate) encoded: Option<Vec<String>>,
    pub(crate) commit_position: i64,
    pub(crate) sequence: i64,
}

impl Stored {
    /// Operation and key: enough to tell changes of a small test apart.
    pub(crate) fn what(&self) -> (&str, &str) {
        (&self.operation, self.primary_key.as_deref().unwrap_or("-"))
    }
}

impl Tracked {
    /// A database with `schema`, all of whose tables are tracked with whole old rows.
    pub(crate) async fn new(schema: &str) -> Self {
        Self::on(shared_cluster(), schema).await
    }

    /// The same on another cluster.
    pub(crate) async fn on(cluster: &Cluster, schema: &str) -> Self {
        let tracked = Self::untracked(cluster, schema).await;
        tracked.setup(&["--all-tables", "--replica-identity", "full"]).await;
        tracked
    }

    /// A database with `schema`, not set up.
    pub(crate) async fn untracked(cluster: &Cluster, schema: &str) -> Self {
        let database = TestDatabase::create(cluster).await.unwrap();
        let client = database.connect().await.unwrap();
        client.batch_execute(schema).await.unwrap();
        Self { database, client }
    }

    /// The worker, told which database and slot; no more.
    pub(crate) fn worker(&self, arguments: &[&str]) -> WorkerCommand {
        WorkerCommand::new(env!("CARGO_BIN_EXE_worker-under-test"), arguments)
            .env("DATABASE_URL", self.database.url())
            .env("BEMI_SLOT", self.database.slot_name())
    }

    pub(crate) async fn setup(&self, arguments: &[&str]) -> Output {
        let arguments = [&["setup"], arguments].concat();
        self.worker(&arguments).run_to_end().await.assert_code(0)
    }

    pub(crate) async fn sql(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap();
    }

    /// One value of one row.
    pub(crate) async fn value<T: for<'a> tokio_postgres::types::FromSql<'a>>(
        &self,
        sql: &str,
    ) -> T {
        self.client.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Stores everything that was committed, and ends.
    pub(crate) async fn store(&self) -> Output {
        self.worker(&["run", "--once"]).run_to_end().await.assert_code(0)
    }

    /// A worker that runs until it is told to stop. It streams already.
    pub(crate) async fn run(&self) -> RunningWorker {
        let mut worker = self.worker(&["run"]).spawn();
        worker.wait_for_log("streaming").await;
        worker
    }

    /// What is stored, in commit order.
    pub(crate) async fn changes(&self) -> Vec<Stored> {
        let rows = self
            .client
            .query(
                "SELECT \"table\", operation, primary_key, previous_key, before, after, context, \
                     before_complete, unavailable, encoded, commit_position, sequence \
                 FROM changes ORDER BY commit_position, sequence",
                &[],
            )
            .await
            .unwrap();
        rows.iter()
            .map(|row| Stored {
                table: row.get(0),
                operation: row.get(1),
                primary_key: row.get(2),
                previous_key: row.get(3),
                before: row.get(4),
                after: row.get(5),
                context: row.get(6),
                before_complete: row.get(7),
                unavailable: row.get(8),
                encoded: row.get(9),
                commit_position: row.get(10),
                sequence: row.get(11),
            })
            .collect()
    }

    pub(crate) async fn count(&self) -> i64 {
        self.value("SELECT count(*) FROM changes").await
    }

    /// Waits until that many changes are stored.
    pub(crate) async fn wait_for_count(&self, count: i64) {
        eventually(STORED_WITHIN, &format!("{count} changes"), async || {
            (self.count().await >= count).then_some(())
        })
        .await;
    }
}

/// Stops a worker as an operator does, and checks that it leaves well.
pub(crate) async fn stop(mut worker: RunningWorker) {
    worker.terminate();
    worker.wait(STORED_WITHIN).await.assert_code(0);
}
