//! Writing batches.

use std::ops::Range;

use bemi_core::changes_table::TABLE;
use bytes::Bytes;
use futures_util::SinkExt as _;
use postgres_protocol::escape::escape_identifier;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Statement};
use tracing::warn;

use super::checkpoint::Epoch;
use super::quarantine;
use crate::batch::{Batch, Boundary, Quarantined};
use crate::connect::Fault;
use crate::error::WorkerError;
use crate::render::{COPY_COLUMNS, COPY_HEADER, COPY_TRAILER};

/// How long to wait for a lock on our own tables. A source must not be kept waiting longer for its
/// acknowledgement: after this, the worker lets go of it and tries again.
const LOCK_TIMEOUT: &str = "30s";

/// The destination, with the right to write to it.
pub(crate) struct Sink {
    client: Client,
    copy: Statement,
    move_checkpoint: Statement,
    slot: String,
    epoch: Epoch,
    /// Whether a transaction is open that the next batch continues.
    open: bool,
}

/// Sets what a session that stores must have, whatever database and role say.
///
/// # Errors
///
/// Those of the destination.
pub(crate) async fn prepare_session(client: &Client) -> Result<(), WorkerError> {
    // What is acknowledged must survive a crash of the destination.
    client
        .batch_execute(&format!(
            "SET lock_timeout = '{LOCK_TIMEOUT}'; \
             SET idle_in_transaction_session_timeout = 0; \
             SET statement_timeout = 0; \
             SELECT set_config('synchronous_commit', 'on', false) \
             WHERE current_setting('synchronous_commit') = 'off'"
        ))
        .await
        .map_err(failed)
}

impl Sink {
    /// Prepares to write to the table `changes` in `schema`, in a session that is
    /// [prepared](prepare_session).
    ///
    /// # Errors
    ///
    /// Those of the destination, that the table is missing among them.
    pub(crate) async fn prepare(
        client: Client,
        schema: &str,
        slot: String,
        epoch: Epoch,
    ) -> Result<Self, WorkerError> {
        let columns: Vec<_> = COPY_COLUMNS.iter().map(|name| escape_identifier(name)).collect();
        let copy = format!(
            "COPY {}.{} ({}) FROM STDIN (FORMAT binary)",
            escape_identifier(schema),
            escape_identifier(TABLE),
            columns.join(", ")
        );
        let copy = match client.prepare(&copy).await {
            Ok(copy) => copy,
            Err(error) if error.code().is_some_and(|code| code.code() == "42P01") => {
                return Err(WorkerError::NotSetUp {
                    what: format!("the destination has no table changes in schema {schema}"),
                });
            }
            Err(error) => return Err(failed(error)),
        };
        let move_checkpoint = client
            .prepare(
                "UPDATE bemi.checkpoint SET position = $3, \
                     commit_position = coalesce($4, commit_position), \
                     committed_at = coalesce($5, committed_at), \
                     transactions_stored = transactions_stored + $6, \
                     changes_stored = changes_stored + $7, \
                     updated_at = now() \
                 WHERE slot = $1 AND epoch = $2",
            )
            .await
            .map_err(failed)?;
        Ok(Self { client, copy, move_checkpoint, slot, epoch, open: false })
    }

    /// Stores a batch. Returns up to where everything is durable now; `None` where the batch left its
    /// transaction open.
    ///
    /// # Errors
    ///
    /// [`WorkerError`]: then nothing of the transaction is stored, unless its COMMIT got lost on the way;
    /// the checkpoint tells.
    ///
    /// # Cancellation safety
    ///
    /// Not cancellation safe: the sink must be dropped then, which rolls back.
    pub(crate) async fn store(&mut self, batch: Batch) -> Result<Option<Boundary>, WorkerError> {
        self.mark().await?;
        let (bytes, ends) = batch.rows.into_parts();
        self.copy_rows(Bytes::from(bytes), &ends).await?;
        for quarantined in &batch.quarantined {
            quarantine::insert(&self.client, &self.slot, quarantined).await.map_err(failed)?;
        }
        let Some(boundary) = batch.boundary else { return Ok(None) };
        self.commit(&boundary).await?;
        Ok(Some(boundary))
    }

    async fn commit(&mut self, boundary: &Boundary) -> Result<(), WorkerError> {
        let (position, at) = boundary.last_commit.unzip();
        let moved = self
            .client
            .execute(
                &self.move_checkpoint,
                &[
                    &self.slot,
                    &self.epoch.0,
                    &boundary.position.to_bigint(),
                    &position.map(|position| position.0.to_bigint()),
                    &at,
                    &boundary.transactions,
                    &boundary.changes,
                ],
            )
            .await
            .map_err(failed)?;
        if moved != 1 {
            self.client.batch_execute("ROLLBACK").await.map_err(failed)?;
            return Err(WorkerError::Replaced { slot: self.slot.clone() });
        }
        self.client.batch_execute("COMMIT").await.map_err(failed)?;
        self.open = false;
        Ok(())
    }

    /// Opens the transaction, if it is not open, and a savepoint that everything up to here is safe
    /// behind.
    async fn mark(&mut self) -> Result<(), WorkerError> {
        let sql = if self.open {
            "RELEASE SAVEPOINT bemi; SAVEPOINT bemi"
        } else {
            "BEGIN; SAVEPOINT bemi"
        };
        self.open = true;
        self.client.batch_execute(sql).await.map_err(failed)
    }

    /// Copies rows. Where the destination refuses one, halves are tried until it is found; it goes to
    /// quarantine, and all others are stored.
    async fn copy_rows(&mut self, bytes: Bytes, ends: &[usize]) -> Result<(), WorkerError> {
        let mut pending: Vec<Range<usize>> = std::iter::once(0..ends.len()).collect();
        while let Some(range) = pending.pop() {
            if range.is_empty() {
                continue;
            }
            let end_of = |row: usize| ends.get(row).copied().unwrap_or(bytes.len());
            let start = range.start.checked_sub(1).map_or(0, end_of);
            let rows = bytes.slice(start..end_of(range.end - 1));

            let error = match self.copy_slice(rows.clone()).await {
                Ok(()) => {
                    if !pending.is_empty() {
                        self.mark().await?;
                    }
                    continue;
                }
                Err(error) if is_refusal(&error) => error,
                Err(error) => return Err(failed(error)),
            };
            self.client.batch_execute("ROLLBACK TO SAVEPOINT bemi").await.map_err(failed)?;
            if range.len() > 1 {
                let middle = range.start + range.len() / 2;
                pending.push(middle..range.end);
                pending.push(range.start..middle);
            } else {
                let refused = Quarantined::refused(&rows, refusal(&error));
                warn!(
                    position = %refused.position,
                    commit_position = %refused.commit_position,
                    error = refused.error,
                    "the destination refused a change; see bemi.quarantine"
                );
                quarantine::insert(&self.client, &self.slot, &refused).await.map_err(failed)?;
                self.mark().await?;
            }
        }
        Ok(())
    }

    async fn copy_slice(&self, rows: Bytes) -> Result<(), tokio_postgres::Error> {
        let sink = self.client.copy_in::<_, Bytes>(&self.copy).await?;
        let mut sink = std::pin::pin!(sink);
        sink.feed(Bytes::from_static(COPY_HEADER)).await?;
        sink.feed(rows).await?;
        sink.feed(Bytes::from_static(COPY_TRAILER)).await?;
        sink.as_mut().finish().await?;
        Ok(())
    }
}

/// Whether the destination takes everything but a certain row: its data, or what a constraint or
/// trigger that somebody added to `changes` makes of it. A change that is there already is something
/// else: then the checkpoint is not that of this table.
fn is_refusal(error: &tokio_postgres::Error) -> bool {
    let code = error.code().map_or("", SqlState::code);
    Fault::of(error) == Fault::Data
        || (code.starts_with("23") && code != "23505")
        || code == "P0001"
}

fn failed(error: tokio_postgres::Error) -> WorkerError {
    WorkerError::database("store changes in the destination")(error)
}

/// What the server said, without the row that it may quote.
fn refusal(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(error) => format!("{} (SQLSTATE {})", error.message(), error.code().code()),
        None => error.to_string(),
    }
}
