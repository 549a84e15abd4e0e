//! Tracks tables that were made since setup, where no event trigger does it as they are made.
//!
//! It is what setup does about tables, and no more: no rule, no slot and no publication is made, and
//! the tables of other owners are left alone.

use std::time::Duration;

use tokio_postgres::Client;

use super::apply::{LOCK_TIMEOUT, SETUP_LOCK, locking, transaction};
use super::inspect::Source;
use super::plan::{self, Action};
use super::rules::Rules;
use super::source_schema::QUIET;
use crate::WorkerError;
use crate::config::Config;
use crate::error::Problems;

/// How often a running worker looks. What is written to a table before it is found is not tracked.
pub(crate) const LOOK_INTERVAL: Duration = Duration::from_secs(15);

/// A session with the source that looks for new tables.
pub(crate) struct Follower {
    client: Client,
}

/// What came of a look.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Followed {
    /// There is an event trigger: nobody needs to look.
    ByEventTrigger,
    /// Each step that was taken, as a verb.
    Steps(Vec<String>),
}

impl Follower {
    pub(crate) async fn connect(config: &Config) -> Result<Self, WorkerError> {
        let client = config.source.connect().await?;
        client
            .batch_execute(&format!("SET lock_timeout = '{LOCK_TIMEOUT}'; SET {QUIET} = 'on'"))
            .await
            .map_err(WorkerError::database("prepare the session with the source"))?;
        Ok(Self { client })
    }

    /// Tracks the tables that are to be tracked, and are not. After an error the session is of no
    /// use: it may hold the lock.
    ///
    /// # Cancellation
    /// Each step is taken as a whole or not at all.
    pub(crate) async fn look(mut self, config: &Config) -> Result<(Self, Followed), WorkerError> {
        // Somebody sets up at this moment, and does the same.
        if !self.lock().await? {
            return Ok((self, Followed::Steps(Vec::new())));
        }
        let mut source = Source::inspect(&self.client, config)
            .await
            .map_err(WorkerError::database(format!("read the catalog of {}", config.source)))?;
        if source.has_event_triggers() {
            return Ok((self, Followed::ByEventTrigger));
        }
        source.tables.retain(|table| table.is_owned);
        let Some(installation) = &source.installation else {
            let mut problems = Problems::default();
            problems.not_allowed(format!(
                "role {} may not change what setup has made in schema bemi",
                source.role.name
            ));
            return Err(WorkerError::Unready(problems));
        };
        let rules = Rules::of(installation)?;
        let mut taken = Vec::new();
        for step in plan::plan_tables(config, &source, &rules).steps {
            match &step.action {
                Action::Sql(sql) => transaction(&mut self.client, sql, LOCK_TIMEOUT)
                    .await
                    .map_err(WorkerError::database(step.what.clone()))?,
                Action::Locking { table, sql } => {
                    locking(&mut self.client, &step, table, sql).await?;
                }
                // Not of tables.
                Action::IfAllowed { .. }
                | Action::CreateSlot { .. }
                | Action::CopySlot { .. }
                | Action::AlterSlot { .. }
                | Action::Partition { .. }
                | Action::StartCheckpoint(_) => {
                    continue;
                }
            }
            taken.push(step.what);
        }
        self.unlock().await?;
        Ok((self, Followed::Steps(taken)))
    }

    async fn lock(&self) -> Result<bool, WorkerError> {
        let doing = || WorkerError::database("see whether somebody sets up the source");
        let row = self
            .client
            .query_one("SELECT pg_catalog.pg_try_advisory_lock($1)", &[&SETUP_LOCK])
            .await
            .map_err(doing())?;
        row.try_get(0).map_err(doing())
    }

    async fn unlock(&self) -> Result<(), WorkerError> {
        self.client
            .execute("SELECT pg_catalog.pg_advisory_unlock($1)", &[&SETUP_LOCK])
            .await
            .map_err(WorkerError::database("let others set up the source"))?;
        Ok(())
    }
}
