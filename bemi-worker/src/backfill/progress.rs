//! How far each table is stored, kept in the destination beside the rows; and the lock that lets one
//! backfill of a slot work at a time.

use std::time::{Duration, Instant};

use bemi_core::Lsn;
use tokio_postgres::{Client, Error};

use super::tables::TrackedTable;
use crate::config::Config;
use crate::error::WorkerError;

/// How long to wait for another backfill: one that was killed holds the lock until its server
/// process notices.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(10);
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// What is stored of a table. See the table `bemi.backfill`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) relation: u32,
    /// The key that the table is read by; empty where it is stored in one transaction.
    pub(super) key: Vec<String>,
    /// The last key that is stored.
    pub(super) reached: Option<Vec<Vec<u8>>>,
    /// The last key of the first snapshot. What comes behind it came later, and is in the stream: without
    /// an end, a table that grows faster than it is stored would have none.
    pub(super) last: Option<Vec<Vec<u8>>>,
    /// Where the snapshot of the last rows was taken; zero where nothing is stored.
    pub(super) position: Lsn,
    /// Where that of the first rows was taken, if it is known.
    pub(super) began_at: Option<Lsn>,
    pub(super) rows: u64,
    pub(super) is_finished: bool,
}

impl Progress {
    /// Nothing of a table.
    pub(super) fn none_of(table: &TrackedTable) -> Self {
        Self {
            relation: table.oid,
            key: Vec::new(),
            reached: None,
            last: None,
            position: Lsn::ZERO,
            began_at: None,
            rows: 0,
            is_finished: false,
        }
    }

    /// Reads what is stored of a table: nothing, where another table had its name.
    ///
    /// # Errors
    ///
    /// [`WorkerError::NotSetUp`] where setup has not made the table; [`WorkerError`] when the destination
    /// fails.
    pub(super) async fn read(
        client: &Client,
        config: &Config,
        table: &TrackedTable,
    ) -> Result<Self, WorkerError> {
        Self::query(client, config.slot.as_str(), table).await.map_err(|error| {
            if error.code().is_some_and(|code| matches!(code.code(), "42P01" | "42703")) {
                let what =
                    format!("{} has no table bemi.backfill of this version", config.destination);
                return WorkerError::NotSetUp { what };
            }
            WorkerError::database("read the progress in the destination")(error)
        })
    }

    async fn query(client: &Client, slot: &str, table: &TrackedTable) -> Result<Self, Error> {
        let row = client
            .query_opt(
                "SELECT relation, key_columns, key_reached, key_last, position, rows, \
                     finished_at IS NOT NULL, began_at_position \
                 FROM bemi.backfill WHERE slot = $1 AND schema = $2 AND \"table\" = $3",
                &[&slot, &table.schema, &table.name],
            )
            .await?;
        let Some(row) = row else { return Ok(Self::none_of(table)) };
        let progress = Self {
            relation: row.try_get(0)?,
            key: row.try_get(1)?,
            reached: row.try_get(2)?,
            last: row.try_get(3)?,
            position: Lsn::from_bigint(row.try_get(4)?),
            rows: u64::try_from(row.try_get::<_, i64>(5)?).unwrap_or(0),
            is_finished: row.try_get(6)?,
            began_at: row.try_get::<_, Option<i64>>(7)?.map(Lsn::from_bigint),
        };
        Ok(if progress.relation == table.oid { progress } else { Self::none_of(table) })
    }

    /// Writes it down, in the transaction that is open.
    ///
    /// # Errors
    ///
    /// [`WorkerError`] when the destination fails.
    pub(super) async fn write(
        &self,
        client: &Client,
        config: &Config,
        table: &TrackedTable,
    ) -> Result<(), WorkerError> {
        client
            .execute(
                "INSERT INTO bemi.backfill (slot, schema, \"table\", relation, key_columns, \
                     key_reached, key_last, position, rows, finished_at, began_at_position) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, CASE WHEN $10 THEN now() END, $12) \
                 ON CONFLICT (slot, schema, \"table\") DO UPDATE \
                 SET relation = excluded.relation, key_columns = excluded.key_columns, \
                     key_reached = excluded.key_reached, key_last = excluded.key_last, \
                     position = excluded.position, \
                     began_at_position = excluded.began_at_position, \
                     rows = excluded.rows, finished_at = excluded.finished_at, \
                     started_at = CASE WHEN $11 THEN now() ELSE backfill.started_at END, \
                     updated_at = now()",
                &[
                    &config.slot.as_str(),
                    &table.schema,
                    &table.name,
                    &self.relation,
                    &self.key,
                    &self.reached,
                    &self.last,
                    &self.position.to_bigint(),
                    &i64::try_from(self.rows).unwrap_or(i64::MAX),
                    &self.is_finished,
                    &(self.rows == 0),
                    &self.began_at.map(Lsn::to_bigint),
                ],
            )
            .await
            .map_err(WorkerError::database("store the progress in the destination"))?;
        Ok(())
    }
}

/// Takes the right to store tables of `slot`, for as long as the connection lasts.
///
/// # Errors
///
/// [`WorkerError::BackfillRunning`] when another backfill has it.
pub(super) async fn lock(client: &Client, slot: &str) -> Result<(), WorkerError> {
    let failed = || WorkerError::database("ask the destination for the lock of this backfill");
    let since = Instant::now();
    loop {
        let row = client
            .query_one(
                "SELECT pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended($1, 0))",
                &[&format!("bemi backfill {slot}")],
            )
            .await
            .map_err(failed())?;
        if row.try_get(0).map_err(failed())? {
            return Ok(());
        }
        if since.elapsed() > LOCK_WAIT_MAX {
            return Err(WorkerError::BackfillRunning { slot: slot.to_owned() });
        }
        tokio::time::sleep(LOCK_PAUSE).await;
    }
}
