//! A source and a destination, each a server of its own that can be stopped.

use bemi_tests::{
    Cluster, ClusterOptions, RunningWorker, STORED_WITHIN, TestDatabase, Tracked, Wanted,
    WorkerCommand, eventually,
};
use tokio_postgres::Client;

/// The options of a server of the version under test.
pub(crate) fn options() -> ClusterOptions {
    match std::env::var("BEMI_TEST_MAJOR") {
        Ok(major) => ClusterOptions::new().wanted(Wanted::Major(major.parse().unwrap())),
        Err(_) => ClusterOptions::new(),
    }
}

/// A tracked database, and another server that holds its changes.
pub(crate) struct Pair {
    pub(crate) tracked: Tracked,
    pub(crate) changes: TestDatabase,
    // Last: databases are removed from servers that run.
    pub(crate) source: Cluster,
    pub(crate) destination: Cluster,
}

pub(crate) const SCHEMA: &str = "CREATE TABLE t (id bigint PRIMARY KEY, a text)";

impl Pair {
    pub(crate) async fn new(source: &ClusterOptions, destination: &ClusterOptions) -> Self {
        let source = Cluster::start(source).unwrap();
        let destination = Cluster::start(destination).unwrap();
        let tracked = Tracked::untracked(&source, SCHEMA).await;
        let changes = TestDatabase::create(&destination).await.unwrap();
        let pair = Self { tracked, changes, source, destination };
        pair.setup(&["--all-tables", "--replica-identity", "full"]).await;
        pair
    }

    pub(crate) fn worker(&self, arguments: &[&str]) -> WorkerCommand {
        self.tracked.worker(arguments).env("DESTINATION_DATABASE_URL", self.changes.url())
    }

    pub(crate) async fn setup(&self, arguments: &[&str]) {
        let arguments = [&["setup"], arguments].concat();
        self.worker(&arguments).run_to_end().await.assert_code(0);
    }

    /// A worker that streams.
    pub(crate) async fn run(&self, arguments: &[&str]) -> RunningWorker {
        let mut worker = self.worker(&[&["run"], arguments].concat()).spawn();
        worker.wait_for_log("streaming").await;
        worker
    }

    /// Stores what is there, and ends.
    pub(crate) async fn store(&self, arguments: &[&str]) {
        let arguments = [&["run", "--once"], arguments].concat();
        self.worker(&arguments).run_to_end().await.assert_code(0);
        self.tracked.database.wait_for_free_slot(&self.tracked.database.slot_name()).await;
    }

    /// Has the source write some 12 MB of WAL that are ours to store.
    pub(crate) async fn write_much(&self, from: i64) {
        let sql = format!(
            "INSERT INTO t SELECT g, repeat(md5(g::text), 60) \
             FROM generate_series({from}, {from} + 5999) g"
        );
        self.tracked.sql(&sql).await;
    }

    /// Keys of the table that are stored, in order.
    pub(crate) async fn keys(&self) -> Vec<String> {
        let client = self.changes.connect().await.unwrap();
        keys(&client).await
    }

    pub(crate) async fn wait_for_key(&self, key: &str) {
        let client = self.changes.connect().await.unwrap();
        let sql = "SELECT FROM changes WHERE primary_key = $1";
        eventually(STORED_WITHIN, &format!("key {key} to be stored"), async || {
            (!client.query(sql, &[&key]).await.unwrap().is_empty()).then_some(())
        })
        .await;
    }

    /// How many keys are stored, and how many changes: the same, where none is there twice.
    pub(crate) async fn counts(&self) -> (i64, i64) {
        let client = self.changes.connect().await.unwrap();
        let sql = "SELECT count(DISTINCT primary_key), count(*) FROM changes";
        let row = client.query_one(sql, &[]).await.unwrap();
        (row.get(0), row.get(1))
    }

    pub(crate) async fn gaps(&self) -> Vec<Gap> {
        gaps(&self.changes.connect().await.unwrap()).await
    }

    pub(crate) async fn has_slot(&self) -> bool {
        self.tracked
            .value(&format!(
                "SELECT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = '{}')",
                self.tracked.database.slot_name()
            ))
            .await
    }
}

/// A row of `bemi.gaps`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) reason: String,
}

pub(crate) async fn gaps(client: &Client) -> Vec<Gap> {
    let sql = "SELECT from_position, to_position, reason FROM bemi.gaps ORDER BY id";
    let rows = client.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| Gap { from: row.get(0), to: row.get(1), reason: row.get(2) }).collect()
}

pub(crate) async fn keys(client: &Client) -> Vec<String> {
    let sql = "SELECT primary_key FROM changes ORDER BY commit_position, sequence";
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}
