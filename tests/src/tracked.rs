//! A database that is tracked: made, set up, and read back.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking, as the type says"
)]

use std::time::Duration;

use crate::{
    Cluster, Output, RunningWorker, TestDatabase, WorkerCommand, eventually, shared_cluster,
};
use serde_json::Value;
use tokio_postgres::Client;

/// How long to wait for a change to be stored, on a busy machine.
pub const STORED_WITHIN: Duration = Duration::from_secs(60);

/// A database of its own, with a worker's slot of its own.
///
/// # Examples
/// ```no_run
/// # #[tokio::main]
/// # async fn main() {
/// use bemi_tests::Tracked;
///
/// let tracked = Tracked::new("CREATE TABLE todo (id int PRIMARY KEY)").await;
/// tracked.sql("INSERT INTO todo VALUES (1)").await;
/// tracked.store().await;
/// assert_eq!(tracked.changes().await[0].what(), ("CREATE", "1"));
/// # }
/// ```
///
/// # Panics
/// Every method does, where something fails: a test is over then.
pub struct Tracked {
    /// The database.
    pub database: TestDatabase,
    /// A session in it, of a superuser.
    pub client: Client,
}

/// A row of `changes`, as far as most tests look at it.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// Without its schema.
    pub table: String,
    /// CREATE, UPDATE, and so on.
    pub operation: String,
    /// The row's key.
    pub primary_key: Option<String>,
    /// The key before, where it changed.
    pub previous_key: Option<String>,
    /// The row before.
    pub before: Value,
    /// The row after.
    pub after: Value,
    /// Who, where and how.
    pub context: Value,
    /// Whether `before` is the whole row.
    pub before_complete: bool,
    /// Columns that `after` lacks.
    pub unavailable: Option<Vec<String>>,
    /// Columns that are text.
    pub encoded: Option<Vec<String>>,
    /// Where its transaction committed.
    pub commit_position: i64,
    /// Its order in the transaction.
    pub sequence: i64,
}

impl Stored {
    /// Operation and key: enough to tell changes of a small test apart.
    #[must_use]
    pub fn what(&self) -> (&str, &str) {
        (&self.operation, self.primary_key.as_deref().unwrap_or("-"))
    }
}

impl Tracked {
    /// A database with `schema`, all of whose tables are tracked with whole old rows.
    pub async fn new(schema: &str) -> Self {
        Self::on(shared_cluster(), schema).await
    }

    /// The same on another cluster.
    pub async fn on(cluster: &Cluster, schema: &str) -> Self {
        let tracked = Self::untracked(cluster, schema).await;
        tracked.setup(&["--all-tables", "--replica-identity", "full"]).await;
        tracked
    }

    /// A database with `schema`, not set up.
    pub async fn untracked(cluster: &Cluster, schema: &str) -> Self {
        let database = TestDatabase::create(cluster).await.unwrap();
        let client = database.connect().await.unwrap();
        client.batch_execute(schema).await.unwrap();
        Self { database, client }
    }

    /// The worker, told which database and slot; no more.
    #[must_use]
    pub fn worker(&self, arguments: &[&str]) -> WorkerCommand {
        WorkerCommand::under_test(arguments)
            .env("DATABASE_URL", self.database.url())
            .env("BEMI_SLOT", self.database.slot_name())
    }

    /// Runs setup with these arguments.
    pub async fn setup(&self, arguments: &[&str]) -> Output {
        let arguments = [&["setup"], arguments].concat();
        self.worker(&arguments).run_to_end().await.assert_code(0)
    }

    /// Runs statements.
    pub async fn sql(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap();
    }

    /// One value of one row.
    pub async fn value<T: for<'a> tokio_postgres::types::FromSql<'a>>(&self, sql: &str) -> T {
        self.client.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Stores everything that was committed, and ends. The slot is free then.
    pub async fn store(&self) -> Output {
        let output = self.worker(&["run", "--once"]).run_to_end().await.assert_code(0);
        self.database.wait_for_free_slot(&self.database.slot_name()).await;
        output
    }

    /// A worker that runs until it is told to stop. It streams already.
    pub async fn run(&self) -> RunningWorker {
        let mut worker = self.worker(&["run"]).spawn();
        worker.wait_for_log("streaming").await;
        worker
    }

    /// What is stored, in commit order.
    pub async fn changes(&self) -> Vec<Stored> {
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

    /// How many changes are stored.
    pub async fn count(&self) -> i64 {
        self.value("SELECT count(*) FROM changes").await
    }

    /// Waits until that many changes are stored.
    pub async fn wait_for_count(&self, count: i64) {
        eventually(STORED_WITHIN, &format!("{count} changes"), async || {
            (self.count().await >= count).then_some(())
        })
        .await;
    }
}
