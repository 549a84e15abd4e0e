//! Writing rows of `changes`, in a transaction of the destination that stays open until it is told
//! to end.
//!
//! Invariant: a row that the destination refuses is in quarantine instead; all others are stored.

use std::ops::Range;

use bemi_core::changes_table::TABLE;
use bytes::Bytes;
use futures_util::SinkExt as _;
use postgres_protocol::escape::escape_identifier;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Statement};
use tracing::warn;

use super::{quarantine, table_events};
use crate::batch::{Batch, PlacedEvent, Quarantined, row_has_context};
use crate::chain::Chain;
use crate::config::Config;
use crate::connect::Fault;
use crate::error::WorkerError;
use crate::failpoint::Failpoint;
use crate::rate_limited::RateLimited;
use crate::render::{COPY_COLUMNS, COPY_HEADER, COPY_TRAILER};

/// How long to wait for a lock on our own tables. A source must not be kept waiting longer for its
/// acknowledgement: after this, the worker lets go of it and tries again.
pub(super) const LOCK_TIMEOUT: &str = "30s";

/// How much is given to the connection at once, in bytes: it makes a copy of what it has yet to send.
const COPY_CHUNK_BYTES: usize = 256 * 1024;

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
             SELECT set_config(name, '0', false) \
             FROM unnest(ARRAY['idle_session_timeout', 'transaction_timeout']) AS name \
             WHERE current_setting(name, true) IS NOT NULL; \
             SELECT set_config('synchronous_commit', 'on', false) \
             WHERE current_setting('synchronous_commit') = 'off'"
        ))
        .await
        .map_err(failed)
}

/// The destination, as far as rows of one slot are written to it.
pub(crate) struct RowSink {
    client: Client,
    copy: Statement,
    slot: String,
    /// Whether a transaction is open.
    open: bool,
    /// What is in it.
    written: Written,
    refusal_log: RateLimited,
    /// Covers what is stored, where tamper evidence is on.
    chain: Option<Chain>,
}

/// What a transaction of the destination has of rows, as far as only the sink knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// The size of the rows that the destination took.
    pub(crate) bytes: u64,
    /// Rows that it refused, with a context and without.
    pub(crate) refused_with_context: u64,
    pub(crate) refused_without_context: u64,
}

impl Written {
    /// How many rows were refused.
    fn refused(&self) -> u64 {
        self.refused_with_context + self.refused_without_context
    }
}

impl RowSink {
    /// Prepares to write the changes of the configuration's slot to its table `changes`, in a session that
    /// is [prepared](prepare_session).
    ///
    /// # Errors
    ///
    /// Those of the destination, that the table is missing among them; [`WorkerError::ChainKey`].
    pub(crate) async fn prepare(client: Client, config: &Config) -> Result<Self, WorkerError> {
        let (schema, slot) = (config.changes_schema.as_str(), config.slot.to_string());
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
        let (written, refusal_log) = (Written::default(), RateLimited::default());
        let chain = Chain::open(&client, config).await?;
        Ok(Self { client, copy, slot, open: false, written, refusal_log, chain })
    }

    /// Whether what is stored is covered by the chain.
    pub(super) fn is_covered(&self) -> bool {
        self.chain.is_some()
    }

    /// The connection, for what else belongs into the transaction.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Writes what is in a batch. The transaction that holds it, opened here if none is, stays open.
    ///
    /// # Errors
    ///
    /// Those of the destination; the transaction is to be given up then.
    ///
    /// # Cancellation safety
    ///
    /// Not cancellation safe: the sink must be dropped then, which rolls back.
    pub(crate) async fn write(&mut self, batch: Batch) -> Result<(), WorkerError> {
        self.mark().await?;
        let (bytes, ends) = batch.rows.into_parts();
        Failpoint::BeforeCopy.pass();
        let bytes = Bytes::from(bytes);
        let refused_before = self.written.refused();
        self.copy_rows(bytes.clone(), &ends).await?;
        Failpoint::AfterCopy.pass();
        if let Some(chain) = &mut self.chain {
            let refused = self.written.refused() - refused_before;
            let refused = usize::try_from(refused).unwrap_or(usize::MAX);
            chain.cover(&self.client, &bytes, &ends, refused).await?;
        }
        for quarantined in &batch.quarantined {
            self.put_into_quarantine(quarantined).await?;
        }
        for placed in &batch.table_events {
            Failpoint::BeforeTableEvent.pass();
            self.write_event(placed).await?;
            Failpoint::AfterTableEvent.pass();
        }
        Ok(())
    }

    async fn put_into_quarantine(&self, quarantined: &Quarantined) -> Result<(), WorkerError> {
        Failpoint::BeforeQuarantine.pass();
        quarantine::insert(&self.client, &self.slot, quarantined).await.map_err(failed)?;
        Failpoint::AfterQuarantine.pass();
        Ok(())
    }

    /// Writes what became of a table. It stops nothing: where it cannot be stored, the changes are.
    async fn write_event(&mut self, placed: &PlacedEvent) -> Result<(), WorkerError> {
        self.mark().await?;
        let error = match table_events::store(&self.client, &self.slot, placed).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let is_missing = error.code() == Some(&SqlState::UNDEFINED_TABLE);
        if !is_missing && !is_refusal(&error) {
            return Err(failed(error));
        }
        self.client.batch_execute("ROLLBACK TO SAVEPOINT bemi").await.map_err(failed)?;
        warn!(
            schema = placed.event.schema,
            table = placed.event.table,
            event = placed.event.kind.text(),
            error = refusal(&error),
            "cannot store what became of a table; run `bemi-worker setup`, then `bemi-worker doctor`"
        );
        Ok(())
    }

    /// What was written since the last [`Self::commit`].
    pub(crate) fn written(&self) -> Written {
        self.written
    }

    /// Makes everything that was written durable.
    ///
    /// # Errors
    ///
    /// Those of the destination. It may be durable all the same: the answer can get lost.
    pub(crate) async fn commit(&mut self) -> Result<(), WorkerError> {
        if let Some(chain) = &mut self.chain {
            chain.seal(&self.client).await?;
        }
        Failpoint::BeforeCommit.pass();
        self.client.batch_execute("COMMIT").await.map_err(failed)?;
        Failpoint::AfterCommit.pass();
        self.open = false;
        self.written = Written::default();
        Ok(())
    }

    /// Gives up what was written since the last [`Self::commit`].
    ///
    /// # Errors
    ///
    /// Those of the destination; nothing is stored then either.
    pub(crate) async fn roll_back(&mut self) -> Result<(), WorkerError> {
        if let Some(chain) = &mut self.chain {
            chain.forget();
        }
        if self.open {
            self.client.batch_execute("ROLLBACK").await.map_err(failed)?;
            self.open = false;
            self.written = Written::default();
        }
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
                    self.written.bytes += u64::try_from(rows.len()).unwrap_or(u64::MAX);
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
                if row_has_context(&rows) {
                    self.written.refused_with_context += 1;
                } else {
                    self.written.refused_without_context += 1;
                }
                if let Some(held_back) = self.refusal_log.say() {
                    warn!(
                        position = %refused.position,
                        commit_position = %refused.commit_position,
                        error = refused.error,
                        held_back,
                        "the destination refused a change; see bemi.quarantine"
                    );
                }
                self.put_into_quarantine(&refused).await?;
                self.mark().await?;
            }
        }
        Ok(())
    }

    async fn copy_slice(&self, mut rows: Bytes) -> Result<(), tokio_postgres::Error> {
        let sink = self.client.copy_in::<_, Bytes>(&self.copy).await?;
        let mut sink = std::pin::pin!(sink);
        sink.feed(Bytes::from_static(COPY_HEADER)).await?;
        while !rows.is_empty() {
            sink.feed(rows.split_to(COPY_CHUNK_BYTES.min(rows.len()))).await?;
        }
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
        || (code.starts_with("23") && code != "23505" && !Fault::of(error).is_transient())
        || code == "P0001"
}

/// What an error of the destination is while changes are stored.
pub(super) fn failed(error: tokio_postgres::Error) -> WorkerError {
    WorkerError::database("store changes in the destination")(error)
}

/// What the server said, without the row that it may quote.
fn refusal(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(error) => format!("{} (SQLSTATE {})", error.message(), error.code().code()),
        None => error.to_string(),
    }
}
