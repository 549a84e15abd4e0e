//! A chunk: rows that are read in one statement and stored in one transaction, with the progress
//! that covers them.
//!
//! The table is locked (ACCESS SHARE, as by any SELECT) while a chunk is read, and free in between:
//! an `ALTER TABLE` of the application waits for one chunk, and not for the snapshot. The price is
//! that the table may be rewritten or truncated in between, which snapshots do not protect from. So
//! its shape is compared, while the lock is held, with the one that it had when the snapshot was
//! taken; where that differs, the chunk is given up, and a new snapshot taken.
//!
//! Bounds: rows go to the destination in batches, whatever the chunk's size; a chunk that would have more
//! than [`CHUNK_BYTES_MAX`] has fewer rows, by the size of those before.

use std::pin::pin;

use bemi_core::Lsn;
use futures_util::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio_postgres::{CopyOutStream, Error};
use tracing::warn;

use super::copy_text;
use super::cut::Cut;
use super::key::{KeyColumn, Selection};
use super::pace::Pace;
use super::progress::Progress;
use super::tables::{Shape, TrackedTable};
use crate::batch::Batch;
use crate::config::Config;
use crate::decode::Message;
use crate::error::WorkerError;
use crate::failpoint::Failpoint;
use crate::render::{RowChange, Table};
use crate::sink::RowSink;
use crate::source::Catalog;

/// How much a chunk has, about, in bytes of text.
const CHUNK_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// The rows of a table's first chunk: nobody knows yet how wide they are.
const ROWS_AT_FIRST: u64 = 500;

/// By how much a chunk may have more rows than the one before.
const GROWTH_MAX: u64 = 8;

/// A table on its way.
pub(super) struct Reading {
    pub(super) table: TrackedTable,
    pub(super) progress: Progress,
    /// How many rows the next chunk may have.
    rows_next: u64,
}

/// How a chunk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChunkEnd {
    /// That many rows are stored.
    Stored(u64),
    /// Nothing is stored: the table is not what it was when the snapshot was taken.
    Changed,
    /// Nothing is stored: told to stop.
    Stopped,
}

/// What a chunk is read from and written to.
pub(super) struct Ends<'a> {
    pub(super) config: &'a Config,
    pub(super) catalog: &'a mut Catalog,
    pub(super) cut: &'a mut Cut,
    pub(super) sink: &'a mut RowSink,
    pub(super) pace: &'a mut Pace,
    pub(super) shutdown: &'a mut watch::Receiver<bool>,
}

impl Reading {
    pub(super) fn new(table: TrackedTable, progress: Progress) -> Self {
        Self { table, progress, rows_next: ROWS_AT_FIRST }
    }

    /// Stores the next chunk. `shape` is the table's in the snapshot.
    ///
    /// # Errors
    ///
    /// [`WorkerError`]: then the connections are to be dropped, and nothing is stored, unless the COMMIT
    /// got lost on the way; the progress in the destination tells.
    ///
    /// # Cancellation safety
    ///
    /// Not cancellation safe: the connections must be dropped then.
    pub(super) async fn store_chunk(
        &mut self,
        shape: &Shape,
        rows_max: u64,
        ends: &mut Ends<'_>,
    ) -> Result<ChunkEnd, WorkerError> {
        self.on_reader("SAVEPOINT bemi", ends).await?;
        let end = match self.try_chunk(shape, rows_max, ends).await {
            Ok(ChunkEnd::Stopped) => return Ok(ChunkEnd::Stopped),
            Ok(end) => end,
            Err(Failure::Changed) => {
                ends.sink.roll_back().await?;
                ChunkEnd::Changed
            }
            Err(Failure::Error(error)) => return Err(error),
        };
        // The table is free again.
        self.on_reader("ROLLBACK TO SAVEPOINT bemi; RELEASE SAVEPOINT bemi", ends).await?;
        Ok(end)
    }

    async fn on_reader(&self, statement: &str, ends: &Ends<'_>) -> Result<(), WorkerError> {
        ends.cut.reader.batch_execute(statement).await.map_err(|error| self.not_read(error))
    }

    async fn try_chunk(
        &mut self,
        shape: &Shape,
        rows_max: u64,
        ends: &mut Ends<'_>,
    ) -> Result<ChunkEnd, Failure> {
        let relation = shape.relation(self.table.oid);
        let mut described = ends.catalog.table(relation.clone()).await?.at_present();
        // They may have changed, and what must not be stored must not be stored from now on.
        ends.catalog.read_rules(std::iter::once(&mut described)).await?;
        // A key that must not be stored must not be in the progress either.
        let key = if described.masks_key() { &[] } else { shape.key.as_slice() };
        self.begin_with(key);
        let columns = shape.column_names();
        let column_count = u16::try_from(columns.len()).unwrap_or(u16::MAX);
        let selection = shape.selection(&columns);
        let rows_wanted = self.rows_next.min(rows_max);
        let (statement, limit) = if key.is_empty() {
            (selection.copy_all(), None)
        } else {
            if self.progress.reached.is_none() {
                self.progress.last = self.read_last_key(&selection, key, ends).await?;
            }
            let Progress { reached, last, .. } = &self.progress;
            let (reached, last) = (reached.as_deref(), last.as_deref());
            (selection.copy_chunk(key, reached, last, rows_wanted), Some(rows_wanted))
        };

        let copied = self.copy(&statement, limit, column_count, &described, ends).await?;
        let Some(copied) = copied else { return Ok(ChunkEnd::Stopped) };
        let now = Shape::read(ends.catalog.client(), self.table.oid, ends.config).await?;
        // Types are altered without a lock on the tables that have them.
        if now.as_ref() != Some(shape)
            || !ends.catalog.table(relation).await?.renders_as(&described)
        {
            return Err(Failure::Changed);
        }
        self.commit(&copied, limit, column_count, ends).await?;
        Ok(ChunkEnd::Stored(copied.rows))
    }

    /// Begins anew, where the table was read by another key before.
    fn begin_with(&mut self, key: &[KeyColumn]) {
        let names: Vec<String> = key.iter().map(|column| column.name.clone()).collect();
        if self.progress.key == names {
            return;
        }
        if self.progress.rows > 0 {
            warn!(
                table = self.table.name(),
                rows = self.progress.rows,
                "the key of the table is another one now; its rows are stored from the beginning"
            );
        }
        self.progress = Progress { key: names, ..Progress::none_of(&self.table) };
    }

    async fn open(&self, statement: &str, ends: &Ends<'_>) -> Result<CopyOutStream, Failure> {
        ends.cut.reader.copy_out(statement).await.map_err(|error| {
            if is_gone(&error) { Failure::Changed } else { self.not_read(error).into() }
        })
    }

    fn not_read(&self, error: Error) -> WorkerError {
        WorkerError::database(format!("read the rows of {}", self.table.name()))(error)
    }

    /// The last key of the table, if it has rows.
    async fn read_last_key(
        &self,
        selection: &Selection<'_>,
        key: &[KeyColumn],
        ends: &Ends<'_>,
    ) -> Result<Option<Vec<Vec<u8>>>, Failure> {
        let lines = self.open(&selection.copy_last_key(key), ends).await?;
        let lines: Vec<_> = lines.try_collect().await.map_err(|error| self.not_read(error))?;
        Ok(lines.first().map(|line| copy_text::values_behind(0, line)))
    }

    /// Reads rows and writes them to the destination, where the transaction is left open. `None` when
    /// told to stop meanwhile.
    async fn copy(
        &self,
        statement: &str,
        limit: Option<u64>,
        columns: u16,
        described: &Table,
        ends: &mut Ends<'_>,
    ) -> Result<Option<Rows>, Failure> {
        let mut lines = pin!(self.open(statement, ends).await?);
        let queued_at = Timestamp::now();
        let mut rows = Rows::default();
        let mut batch = Batch::default();
        let mut message = Vec::new();
        while let Some(line) = lines.next().await {
            let line = line.map_err(|error| self.not_read(error))?;
            copy_text::write_insert(&mut message, self.table.oid, columns, &line);
            render(&message, described, &mut batch, ends.cut, queued_at);
            rows.rows += 1;
            rows.bytes += u64::try_from(line.len()).unwrap_or(u64::MAX);
            rows.last = Some(line);
            if batch.is_full() {
                let written = u64::try_from(batch.len()).unwrap_or(u64::MAX);
                ends.sink.write(std::mem::take(&mut batch)).await?;
                // A table without a key is one chunk, however long that takes.
                if limit.is_none() && ends.pause(written).await {
                    return Ok(None);
                }
            }
        }
        ends.sink.write(batch).await?;
        Ok(Some(rows))
    }

    async fn commit(
        &mut self,
        copied: &Rows,
        limit: Option<u64>,
        columns: u16,
        ends: &mut Ends<'_>,
    ) -> Result<(), WorkerError> {
        let is_finished = limit.is_none_or(|limit| copied.rows < limit);
        let progress = &mut self.progress;
        progress.rows += copied.rows;
        let position = ends.cut.commit_position().0;
        if progress.position == Lsn::ZERO {
            progress.began_at = Some(position);
        }
        progress.position = position;
        progress.is_finished = is_finished;
        progress.reached = match &copied.last {
            Some(line) if !is_finished => Some(copy_text::values_behind(columns, line)),
            // Nobody needs to know it any more.
            _ => None,
        };
        if is_finished {
            progress.last = None;
        }
        Failpoint::BeforeBackfillProgress.pass();
        progress.write(ends.sink.client(), ends.config, &self.table).await?;
        Failpoint::AfterBackfillProgress.pass();
        ends.sink.commit().await?;

        let bytes_of_row = (copied.bytes / copied.rows.max(1)).max(1);
        let grown = copied.rows.saturating_mul(GROWTH_MAX);
        self.rows_next = (CHUNK_BYTES_MAX / bytes_of_row).min(grown).max(1);
        Ok(())
    }
}

impl Ends<'_> {
    /// Waits until more rows may be stored. Returns whether it was told to stop.
    pub(super) async fn pause(&mut self, rows: u64) -> bool {
        let due = self.pace.note(rows);
        tokio::select! {
            biased;
            _ = self.shutdown.wait_for(|told| *told) => true,
            () = tokio::time::sleep_until(due) => false,
        }
    }
}

/// Why nothing of a chunk is stored.
enum Failure {
    /// The table, or a column of it, is not what it was when the snapshot was taken.
    Changed,
    Error(WorkerError),
}

impl From<WorkerError> for Failure {
    fn from(error: WorkerError) -> Self {
        Self::Error(error)
    }
}

/// What was read.
#[derive(Default)]
struct Rows {
    rows: u64,
    bytes: u64,
    last: Option<bytes::Bytes>,
}

/// Renders a row into the batch; what cannot be goes to quarantine.
fn render(
    message: &[u8],
    described: &Table,
    batch: &mut Batch,
    cut: &mut Cut,
    queued_at: Timestamp,
) {
    let place = cut.next_place(queued_at);
    let position = place.transaction.position.0;
    let error = match Message::decode(message) {
        Ok(Message::Insert { new, .. }) => {
            let change = RowChange::Snapshot { new };
            match cut.writer.write(&mut batch.rows, described, position, change, &place) {
                Ok(()) => return,
                Err(error) => error.to_string(),
            }
        }
        Ok(_) => "the row is not a row".to_owned(),
        Err(error) => error.to_string(),
    };
    batch.quarantine(&cut.quarantine_log, position, &place, Some(described), error, message);
}

/// Whether the server says that something is not there.
fn is_gone(error: &Error) -> bool {
    error.code().is_some_and(|code| matches!(code.code(), "42P01" | "42703" | "3F000"))
}
