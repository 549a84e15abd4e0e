//! A database for one test, with names that nobody else in the cluster uses.
//!
//! Invariant: when it is closed or dropped, its sessions, its replication slots and the database itself are gone from the cluster,
//! as far as the server is there to ask.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::postgres::{Cluster, Endpoint};
use crate::{HarnessError, eventually};

/// How long removing may take, sessions and slots included.
const REMOVE_DEADLINE: Duration = Duration::from_secs(15);

/// How often a database that is still in use is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// An empty database of its own for a test.
///
/// # Examples
/// ```no_run
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bemi_tests::{TestDatabase, shared_cluster};
///
/// let database = TestDatabase::create(shared_cluster()).await?;
/// let client = database.connect().await?;
/// client.batch_execute("CREATE TABLE todo (id bigint PRIMARY KEY, task text)").await?;
/// database.close().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    endpoint: Endpoint,
    is_open: bool,
}

impl TestDatabase {
    /// Makes an empty database.
    ///
    /// # Errors
    /// [`HarnessError::Database`] when the server refuses or is stopped.
    pub async fn create(cluster: &Cluster) -> Result<Self, HarnessError> {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let name = format!("test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let endpoint = cluster.endpoint().clone();
        let client = endpoint.connect("postgres").await?;
        client
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .await
            .map_err(HarnessError::database("create", &name))?;
        Ok(Self { name, endpoint, is_open: true })
    }

    /// The database's name: letters, digits and underscores.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its URL, as the superuser.
    #[must_use]
    pub fn url(&self) -> String {
        self.endpoint.url(&self.name)
    }

    /// A name for a replication slot. Slots belong to the cluster, so tests that run side by side must not share one.
    #[must_use]
    pub fn slot_name(&self) -> String {
        self.unique_name("slot")
    }

    /// A name for anything else that the whole cluster shares, such as a role.
    #[must_use]
    pub fn unique_name(&self, what: &str) -> String {
        format!("{}_{what}", self.name)
    }

    /// Connects as the superuser. A task of the running tokio runtime drives the connection until the client is dropped.
    ///
    /// # Errors
    /// [`HarnessError::Database`] when the server refuses or is stopped.
    pub async fn connect(&self) -> Result<Client, HarnessError> {
        self.endpoint.connect(&self.name).await
    }

    /// Waits until nobody streams from a replication slot: a server process outlives its client by a moment. A slot that is not there
    /// is free.
    ///
    /// # Panics
    /// When the server refuses, or somebody streams from it for a minute.
    #[allow(clippy::expect_used, reason = "a test fails by panicking")]
    pub async fn wait_for_free_slot(&self, slot: &str) {
        let client = self.connect().await.expect("a session of its own");
        let active = "SELECT FROM pg_replication_slots WHERE slot_name = $1 AND active";
        eventually(Duration::from_secs(60), &format!("slot {slot} to be free"), async || {
            let rows = client.query(active, &[&slot]).await.expect("the server tells of its slots");
            rows.is_empty().then_some(())
        })
        .await;
    }

    /// Drops a replication slot, once it is [free](Self::wait_for_free_slot).
    ///
    /// # Panics
    /// When the server refuses, or somebody streams from it for a minute.
    #[allow(clippy::expect_used, reason = "a test fails by panicking")]
    pub async fn drop_slot(&self, slot: &str) {
        self.wait_for_free_slot(slot).await;
        let client = self.connect().await.expect("a session of its own");
        let drop = "SELECT pg_drop_replication_slot($1)";
        client.execute(drop, &[&slot]).await.expect("the slot can be dropped");
    }

    /// Ends its sessions and removes its slots and the database. Dropping does the same, but cannot say that it failed.
    ///
    /// # Errors
    /// [`HarnessError::Database`] when the server refuses, is stopped, or something holds the database for 15 seconds.
    pub async fn close(mut self) -> Result<(), HarnessError> {
        // Tried once: dropping this must not try again.
        self.is_open = false;
        remove(&self.endpoint, &self.name).await
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if !self.is_open {
            return;
        }
        let (endpoint, name) = (self.endpoint.clone(), self.name.clone());
        // A thread with a runtime of its own, since the one of the test may be waiting for us right here. Best effort: the
        // cluster may be stopped by now, and is going to be deleted anyway.
        let remover = thread::spawn(move || {
            if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build()
            {
                let _ = runtime
                    .block_on(async { timeout(REMOVE_DEADLINE, remove(&endpoint, &name)).await });
            }
        });
        let _ = remover.join();
    }
}

async fn remove(endpoint: &Endpoint, name: &str) -> Result<(), HarnessError> {
    let client = endpoint.connect("postgres").await?;
    let failed = || HarnessError::database("remove", name);
    // A worker that is cut off must not come back while we are at it.
    client
        .batch_execute(&format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false"))
        .await
        .map_err(failed())?;
    let started = tokio::time::Instant::now();
    loop {
        client
            .execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1",
                &[&name],
            )
            .await
            .map_err(failed())?;
        // Takes the database's slots along, unless a session that is about to end still holds one.
        match client.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await {
            Err(error)
                if error.code() == Some(&SqlState::OBJECT_IN_USE)
                    && started.elapsed() < REMOVE_DEADLINE =>
            {
                sleep(RETRY_INTERVAL).await;
            }
            dropped => return dropped.map_err(failed()),
        }
    }
}
