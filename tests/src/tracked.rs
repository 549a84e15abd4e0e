//! A database that is tracked: made, set up, and read back.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking, as the type says"
)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::{
    Cluster, Output, RunningWorker, TestDatabase, WorkerCommand, eventually, shared_cluster,
};
use serde_json::Value;
use tokio_postgres::Client;

/// How long to wait for a change to be stored, on a busy machine.
pub const STORED_WITHIN: Duration = Duration::from_secs(60);

/// The role that the worker runs as, once setup has let it: it owns nothing, and may do what
/// `--grant-worker` lets it. All databases of a cluster have the same.
pub const WORKER_ROLE: &str = "bemi_tests_worker";

/// A database of its own, with a worker's slot of its own. Setup is done by a superuser; `run` runs as
/// [`WORKER_ROLE`], unless it is to set up, too.
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
    /// Whether the worker's role has been let.
    is_granted: AtomicBool,
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
        Self::of(database, client)
    }

    /// A database that is there, not set up, and a superuser's session in it.
    #[must_use]
    pub fn of(database: TestDatabase, client: Client) -> Self {
        Self { database, client, is_granted: AtomicBool::new(false) }
    }

    /// The worker, told which database and slot; no more.
    #[must_use]
    pub fn worker(&self, arguments: &[&str]) -> WorkerCommand {
        WorkerCommand::under_test(arguments)
            .env("DATABASE_URL", self.url_for(arguments))
            .env("BEMI_SLOT", self.database.slot_name())
    }

    /// Runs setup with these arguments, and lets [`WORKER_ROLE`] run the worker.
    pub async fn setup(&self, arguments: &[&str]) -> Output {
        self.make_worker_role().await;
        let arguments = [&["setup", "--grant-worker", WORKER_ROLE], arguments].concat();
        let output = self.worker(&arguments).run_to_end().await.assert_code(0);
        self.is_granted.store(true, Ordering::Relaxed);
        output
    }

    /// The database, for [`WORKER_ROLE`], whose password is the superuser's.
    #[must_use]
    pub fn worker_url(&self) -> String {
        self.database.url().replacen("postgres://postgres", &format!("postgres://{WORKER_ROLE}"), 1)
    }

    fn url_for(&self, arguments: &[&str]) -> String {
        let runs = arguments.first() == Some(&"run") && !arguments.contains(&"--setup");
        if runs && self.is_granted.load(Ordering::Relaxed) {
            self.worker_url()
        } else {
            self.database.url()
        }
    }

    /// The role belongs to the cluster: another test may be making it at this moment.
    async fn make_worker_role(&self) {
        let url = self.database.url();
        let login = url.trim_start_matches("postgres://").split('@').next().unwrap_or_default();
        let password = login.split_once(':').map(|(_, password)| format!("PASSWORD '{password}'"));
        self.sql(&format!(
            "DO $$ BEGIN CREATE ROLE {WORKER_ROLE} LOGIN REPLICATION {}; \
             EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$",
            password.unwrap_or_default()
        ))
        .await;
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
