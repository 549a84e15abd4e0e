//! A session that maintains `changes`, alone.

use std::time::Duration;

use tokio_postgres::{Client, Error, Transaction};

use super::LOCK_TIMEOUT;
use crate::config::{ChainKey, Config};
use crate::error::WorkerError;
use crate::setup::source_schema::QUIET;

/// Held by whoever maintains the partitions of a database: "bemp" in ASCII.
const MAINTENANCE_LOCK: i64 = 0x6265_6d70;

/// How often to look whether somebody else has ended.
const ATTEMPTS_MAX: u32 = 60;
const PAUSE: Duration = Duration::from_millis(500);

/// A session in which names are qualified, times are in UTC, and no lock is waited for long.
pub(crate) struct Maintenance {
    client: Client,
    chain_key: Option<ChainKey>,
}

impl Maintenance {
    /// Connects to the destination. `None` where somebody else maintains it now.
    ///
    /// # Errors
    ///
    /// [`WorkerError`] when it cannot be reached.
    pub(crate) async fn open(config: &Config) -> Result<Option<Self>, WorkerError> {
        let client = Self::read_only(config).await?;
        let failed = || WorkerError::database("prepare to maintain the partitions of changes");
        let row = client
            .query_one("SELECT pg_try_advisory_lock($1)", &[&MAINTENANCE_LOCK])
            .await
            .map_err(failed())?;
        let is_alone: bool = row.try_get(0).map_err(failed())?;
        Ok(is_alone.then(|| Self { client, chain_key: config.chain_key.clone() }))
    }

    /// The same, once nobody else does.
    ///
    /// # Errors
    ///
    /// [`WorkerError::TableInUse`] where somebody else goes on and on.
    pub(crate) async fn alone(config: &Config) -> Result<Self, WorkerError> {
        for _ in 0..ATTEMPTS_MAX {
            if let Some(session) = Self::open(config).await? {
                return Ok(session);
            }
            tokio::time::sleep(PAUSE).await;
        }
        let table = format!("{}.changes", config.changes_schema);
        Err(WorkerError::TableInUse { table, attempts: ATTEMPTS_MAX })
    }

    /// The same session, for who only looks.
    ///
    /// # Errors
    ///
    /// [`WorkerError`] when the destination cannot be reached.
    pub(crate) async fn read_only(config: &Config) -> Result<Client, WorkerError> {
        let client = config.destination.connect().await?;
        client
            .batch_execute(&format!(
                "SET lock_timeout = '{LOCK_TIMEOUT}'; SET statement_timeout = 0; \
                 SET idle_in_transaction_session_timeout = '1min'; \
                 SET search_path = pg_catalog; SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; \
                 SET {QUIET} = 'on'"
            ))
            .await
            .map_err(WorkerError::database("prepare to look at the partitions of changes"))?;
        Ok(client)
    }

    /// What links of the chain over what is stored are made with.
    pub(crate) fn chain_key(&self) -> Option<&ChainKey> {
        self.chain_key.as_ref()
    }

    /// The connection.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Begins a transaction.
    ///
    /// # Errors
    ///
    /// Those of the server.
    pub(crate) async fn begin(&mut self) -> Result<Transaction<'_>, Error> {
        self.client.transaction().await
    }

    /// Runs statements together, or none of them.
    ///
    /// # Errors
    ///
    /// Those of the statements.
    pub(crate) async fn together(
        &mut self,
        statements: &[String],
        lock_timeout: &str,
    ) -> Result<(), Error> {
        let transaction = self.client.transaction().await?;
        transaction.batch_execute(&format!("SET LOCAL lock_timeout = '{lock_timeout}'")).await?;
        for statement in statements {
            transaction.batch_execute(statement).await?;
        }
        transaction.commit().await
    }
}
