//! A database with the real worker at work on it, which all cases of a driver share.

use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use bemi_tests::{Cluster, RunningWorker, TestDatabase, WorkerCommand, eventually};
use tokio::sync::Mutex;
use tokio_postgres::Client;

/// How long to wait for a change to be stored, on a busy machine.
const STORED_WITHIN: Duration = Duration::from_secs(60);

/// A database with a worker that stores what is written in it.
pub(crate) struct Tracked {
    // Stopped before its database goes.
    worker: Mutex<RunningWorker>,
    pub(crate) database: TestDatabase,
    last_marker: AtomicI32,
}

impl Tracked {
    /// Makes it. Every table in it is tracked with whole old rows, also those that come later.
    pub(crate) async fn new(cluster: &Cluster) -> Self {
        let database = TestDatabase::create(cluster).await.unwrap();
        let client = database.connect().await.unwrap();
        client
            .batch_execute(
                "CREATE SCHEMA contract; CREATE TABLE contract.marker (id int PRIMARY KEY)",
            )
            .await
            .unwrap();
        let worker = |arguments: &[&str]| {
            WorkerCommand::under_test(arguments)
                .env("DATABASE_URL", database.url())
                .env("BEMI_SLOT", database.slot_name())
        };
        let setup = worker(&["setup", "--all-tables", "--replica-identity", "full"]);
        setup.run_to_end().await.assert_code(0);
        let mut worker = worker(&["run"]).spawn();
        worker.wait_for_log("streaming").await;
        Self { worker: Mutex::new(worker), database, last_marker: AtomicI32::new(0) }
    }

    /// Writes a row, and waits for it: transactions are stored in the order in which they committed.
    pub(crate) async fn wait_until_stored(&self, client: &Client) {
        let marker = self.last_marker.fetch_add(1, Ordering::Relaxed) + 1;
        client.execute("INSERT INTO contract.marker VALUES ($1)", &[&marker]).await.unwrap();
        let is_stored = format!(
            "SELECT FROM public.changes WHERE schema = 'contract' AND \"table\" = 'marker' \
             AND primary_key = '{marker}'"
        );
        eventually(STORED_WITHIN, "all that was committed to be stored", async || {
            let mut worker = self.worker.lock().await;
            assert!(worker.is_running(), "the worker has ended:\n{}", worker.stderr());
            drop(worker);
            let rows = client.query(&is_stored, &[]).await.unwrap();
            (!rows.is_empty()).then_some(())
        })
        .await;
    }
}
