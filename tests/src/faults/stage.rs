//! What a fault scenario plays on: servers of its own, the networks to them, the workload's tables and their truth.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking, as the type says"
)]

use std::fmt;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_postgres::Client;

use super::fault::Side;
use super::proxy::Proxy;
use super::truth::{Comparison, Truth};
use super::workload::{WORKLOAD_SCHEMA, WORKLOAD_SETUP, WORKLOAD_TABLES, Workload};
use crate::{Cluster, ClusterOptions, Output, STORED_WITHIN, TestDatabase, Wanted, WorkerCommand};

/// How long these servers wait for a sign of life before they give a worker up.
pub const WAL_SENDER_TIMEOUT: Duration = Duration::from_secs(2);

/// How often it looks how far the worker has come.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Where changes are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// In the database that they come from.
    OneDatabase,
    /// In another cluster.
    TwoClusters,
}

/// Servers that nobody else uses, so that they can be killed; the worker reaches them through [`Proxy`]s alone.
///
/// # Examples
/// ```no_run
/// # async fn example() {
/// use bemi_tests::StopMode;
/// use bemi_tests::faults::{Place, Stage};
///
/// let stage = Stage::new(Place::TwoClusters).await;
/// let worker = stage.run().await;
/// let workload = stage.workload(7, 3);
/// stage.destination().restart(StopMode::Kill).unwrap();
/// workload.finish().await;
/// stage.wait_until_stored().await;
/// assert!(stage.require_truth().await > 0);
/// # drop(worker);
/// # }
/// ```
///
/// # Panics
/// Every method does, where something fails: a test is over then.
#[derive(Debug)]
pub struct Stage {
    truth: Truth,
    // Dropped before the servers that they lead to.
    source_network: Proxy,
    destination_network: Proxy,
    tracked: TestDatabase,
    changes: Option<TestDatabase>,
    source: Cluster,
    destination: Option<Cluster>,
}

impl Stage {
    /// Servers with the tables of the [`Workload`], tracked.
    pub async fn new(place: Place) -> Self {
        let stage = Self::with(place, WORKLOAD_SCHEMA, &WORKLOAD_TABLES).await;
        stage
            .worker(&[&["setup"], WORKLOAD_SETUP.as_slice()].concat())
            .run_to_end()
            .await
            .assert_code(0);
        stage
    }

    /// Servers with other tables, whose truth is written; they are not set up.
    pub async fn with(place: Place, schema: &str, tables: &[&str]) -> Self {
        let timeout = format!("{}ms", WAL_SENDER_TIMEOUT.as_millis());
        let options = ClusterOptions::new()
            .wanted(wanted())
            .set("wal_sender_timeout", &timeout)
            .set("deadlock_timeout", "100ms")
            .set("track_commit_timestamp", "on")
            // A server that comes back has little to do again.
            .set("shared_buffers", "32MB")
            .set("max_connections", "60");
        let (source, destination) = match place {
            Place::OneDatabase => (Cluster::start(&options).unwrap(), None),
            Place::TwoClusters => std::thread::scope(|threads| {
                let destination = threads.spawn(|| Cluster::start(&options));
                let source = Cluster::start(&options).unwrap();
                (source, Some(destination.join().unwrap().unwrap()))
            }),
        };
        let tracked = TestDatabase::create(&source).await.unwrap();
        let client = tracked.connect().await.unwrap();
        client.batch_execute(schema).await.unwrap();
        let truth = Truth::install(&client, tables).await;
        let changes = match &destination {
            Some(cluster) => Some(TestDatabase::create(cluster).await.unwrap()),
            None => None,
        };
        let source_network = Proxy::to(&source);
        let destination_network = Proxy::to(destination.as_ref().unwrap_or(&source));
        Self { truth, source_network, destination_network, tracked, changes, source, destination }
    }

    /// The worker, told which databases and slot.
    #[must_use]
    pub fn worker(&self, arguments: &[&str]) -> WorkerCommand {
        WorkerCommand::under_test(arguments)
            .env("DATABASE_URL", self.source_network.url(&self.tracked.url()))
            .env("DESTINATION_DATABASE_URL", self.destination_network.url(&self.changes().url()))
            .env("BEMI_SLOT", self.tracked.slot_name())
    }

    /// A worker that runs until it is told to stop. It streams already.
    pub async fn run(&self) -> crate::RunningWorker {
        let mut worker = self.worker(&["run"]).spawn();
        worker.wait_for_log("streaming").await;
        worker
    }

    /// Stores everything that was committed, and ends.
    pub async fn store(&self) -> Output {
        self.worker(&["run", "--once"]).run_to_end().await.assert_code(0)
    }

    /// The tracked database.
    #[must_use]
    pub fn tracked(&self) -> &TestDatabase {
        &self.tracked
    }

    /// The database with `changes`.
    #[must_use]
    pub fn changes(&self) -> &TestDatabase {
        self.changes.as_ref().unwrap_or(&self.tracked)
    }

    /// The server of the tracked database.
    #[must_use]
    pub fn source(&self) -> &Cluster {
        &self.source
    }

    /// The server of `changes`.
    #[must_use]
    pub fn destination(&self) -> &Cluster {
        self.destination.as_ref().unwrap_or(&self.source)
    }

    /// The server on one side.
    #[must_use]
    pub fn server(&self, side: Side) -> &Cluster {
        match side {
            Side::Source => self.source(),
            Side::Destination => self.destination(),
        }
    }

    /// What lies between the worker and one side.
    #[must_use]
    pub fn network(&self, side: Side) -> &Proxy {
        match side {
            Side::Source => &self.source_network,
            Side::Destination => &self.destination_network,
        }
    }

    /// Clients at work.
    #[must_use]
    pub fn workload(&self, seed: u64, clients: u32) -> Workload {
        Workload::start(self.tracked.url(), seed, clients)
    }

    /// Waits until everything that is committed by now is stored. The network must be well.
    pub async fn wait_until_stored(&self) {
        assert!(self.is_stored_within(STORED_WITHIN).await, "not everything is stored");
    }

    /// The same, with another deadline, and told whether it was met.
    pub async fn is_stored_within(&self, deadline: Duration) -> bool {
        let source = self.tracked.connect().await.unwrap();
        let end = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint";
        let end: i64 = source.query_one(end, &[]).await.unwrap().get(0);
        let changes = self.changes().connect().await.unwrap();
        let slot = self.tracked.slot_name();
        let deadline = Instant::now() + deadline;
        while Instant::now() < deadline {
            // Said again and again: a worker that was not there has the next one.
            let heartbeat = "SELECT pg_logical_emit_message(false, '_bemi_heartbeat', '')";
            source.execute(heartbeat, &[]).await.unwrap();
            let position = "SELECT position FROM bemi.checkpoint WHERE slot = $1";
            let position: i64 = changes.query_one(position, &[&slot]).await.unwrap().get(0);
            if position >= end {
                return true;
            }
            sleep(LOOK_INTERVAL).await;
        }
        false
    }

    /// Compares `changes` with the truth.
    pub async fn compare(&self) -> Comparison {
        let (source, changes) = self.sessions().await;
        self.truth.compare(&source, &changes).await
    }

    /// Requires that `changes` is the truth, and that nothing else is wrong. Returns how many changes there are.
    ///
    /// # Panics
    /// When it is not; the message has the first differences.
    pub async fn require_truth(&self) -> usize {
        let comparison = self.compare().await;
        assert!(comparison.differences.is_empty(), "{comparison}");
        let ills = self.ills().await;
        assert!(ills.is_empty(), "{}", ills.join("\n"));
        comparison.changes
    }

    /// What the worker itself has written down as wrong, and counts that are not those of `changes`.
    pub async fn ills(&self) -> Vec<String> {
        let (_, changes) = self.sessions().await;
        let rows = changes
            .query(
                "SELECT 'a gap: ' || reason FROM bemi.gaps \
                 UNION ALL SELECT 'quarantined: ' || error FROM bemi.quarantine \
                 UNION ALL SELECT format('the checkpoint has counted %s changes of %s', changes_stored, stored) \
                     FROM bemi.checkpoint, (SELECT count(*) AS stored FROM changes) c \
                     WHERE changes_stored <> stored",
                &[],
            )
            .await
            .unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Sessions in the tracked database, and in that of `changes`.
    pub async fn sessions(&self) -> (Client, Client) {
        (self.tracked.connect().await.unwrap(), self.changes().connect().await.unwrap())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OneDatabase => "one database",
            Self::TwoClusters => "two clusters",
        })
    }
}

/// The version that the tests run on.
fn wanted() -> Wanted {
    let major = std::env::var("BEMI_TEST_MAJOR").ok();
    major.map_or_else(Wanted::default, |major| Wanted::Major(major.parse().unwrap()))
}
