//! What the pipeline hands to the sink: rendered changes, and up to where they reach.
//!
//! ```text
//! stream event ─▶ decode ─▶ stitch ─▶ render ─┐
//!                                             ▼
//!                                       BatchBuilder ─▶ Batch ─▶ sink
//! ```
//!
//! Invariant: a batch either ends at the end of a source transaction, and says so by its
//! [`Boundary`], or the next batch continues the same transaction. So no reader of `changes` ever sees
//! half of one.

mod builder;
mod leaves;
mod truncates;

use bemi_core::{CommitPosition, Lsn, Sequence, TransactionId};
use jiff::Timestamp;
use tracing::warn;

pub(crate) use self::builder::{BatchBuilder, Next, StreamError};
pub(crate) use self::truncates::truncates_apart;
use crate::rate_limited::RateLimited;
use crate::render::{COPY_COLUMNS, CopyRows, POSTGRES_EPOCH_MICROSECONDS, Table, read_row};
use crate::stitch::{EventPlace, Place, TableEvent, is_empty_object};

/// A batch closes when it has that many bytes: large enough for the destination's best speed, small
/// enough that a few of them are no memory to speak of.
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A batch closes when it has that many rows, those in quarantine and events of tables included.
const BATCH_ROWS_MAX: usize = 16_384;

/// How much of a change is kept in quarantine, in bytes.
const QUARANTINE_RAW_MAX_BYTES: usize = 64 * 1024 * 1024;

/// Changes to be stored.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) rows: CopyRows,
    pub(crate) quarantined: Vec<Quarantined>,
    /// The size of what was received of them.
    quarantined_bytes: usize,
    /// What became of tables, among the changes.
    pub(crate) table_events: Vec<PlacedEvent>,
    /// The size of what was received of them.
    events_bytes: usize,
    /// Where this batch ends a transaction; `None` where the next one continues it.
    pub(crate) boundary: Option<Boundary>,
}

impl Batch {
    /// Sets aside a change that cannot be rendered.
    pub(crate) fn quarantine(
        &mut self,
        log: &RateLimited,
        position: Lsn,
        place: &Place<'_>,
        table: Option<&Table>,
        error: String,
        data: &[u8],
    ) {
        if let Some(held_back) = log.say() {
            warn!(
                %position,
                commit_position = %place.transaction.position,
                error,
                held_back,
                "quarantined a change; see bemi.quarantine"
            );
        }
        // What must not be stored must not be stored here either, and may be anywhere in it.
        let masks = table.is_some_and(Table::masks_columns);
        let raw = if masks { Vec::new() } else { capped(data) };
        self.quarantined_bytes += raw.len();
        self.quarantined.push(Quarantined {
            id: place.transaction.id,
            commit_position: place.transaction.position,
            committed_at: place.transaction.committed_at,
            sequence: place.sequence,
            position,
            schema: table.map(|table| table.schema.clone()),
            table: table.map(|table| table.name.clone()),
            error,
            raw,
        });
    }

    /// Adds what became of a table.
    fn table_event(&mut self, event: TableEvent, place: EventPlace) {
        self.events_bytes += event.len_bytes();
        self.table_events.push(PlacedEvent { event, place });
    }

    /// How much it holds by now.
    fn mark(&self) -> Mark {
        Mark {
            rows: self.rows.len(),
            quarantined: self.quarantined.len(),
            table_events: self.table_events.len(),
        }
    }

    /// Moves what is behind `mark` to the end of `other`.
    fn move_behind(&mut self, mark: Mark, other: &mut Self) {
        self.rows.move_behind(mark.rows, &mut other.rows);
        let moved = self.quarantined.split_off(mark.quarantined.min(self.quarantined.len()));
        let bytes: usize = moved.iter().map(|change| change.raw.len()).sum();
        self.quarantined_bytes = self.quarantined_bytes.saturating_sub(bytes);
        other.quarantined_bytes += bytes;
        other.quarantined.extend(moved);
        let moved = self.table_events.split_off(mark.table_events.min(self.table_events.len()));
        let bytes: usize = moved.iter().map(|placed| placed.event.len_bytes()).sum();
        self.events_bytes = self.events_bytes.saturating_sub(bytes);
        other.events_bytes += bytes;
        other.table_events.extend(moved);
    }

    /// How many changes and events of tables it holds.
    pub(crate) fn len(&self) -> usize {
        self.rows.len() + self.quarantined.len() + self.table_events.len()
    }

    /// Whether it should be stored before it grows.
    pub(crate) fn is_full(&self) -> bool {
        self.len_bytes() >= BATCH_BYTES_MAX || self.len() >= BATCH_ROWS_MAX
    }

    /// What it holds, in bytes.
    pub(crate) fn len_bytes(&self) -> usize {
        self.rows.len_bytes() + self.quarantined_bytes + self.events_bytes
    }
}

/// A place in a batch: how much lies before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Mark {
    rows: usize,
    quarantined: usize,
    table_events: usize,
}

impl Mark {
    fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// What became of a table, and where.
#[derive(Clone, Debug)]
pub(crate) struct PlacedEvent {
    pub(crate) event: TableEvent,
    pub(crate) place: EventPlace,
}

/// A place in the stream at which everything before it is whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Boundary {
    /// Where replication would go on: the end of a transaction, or of idle WAL.
    pub(crate) position: Lsn,
    /// The last transaction with changes since the boundary before.
    pub(crate) last_commit: Option<(CommitPosition, Timestamp)>,
    /// How many transactions with changes ended since the boundary before.
    pub(crate) transactions: i64,
    /// How many changes they had.
    pub(crate) changes: i64,
    /// What else is counted, in these and other transactions.
    pub(crate) counts: Counts,
    /// When each of them was committed.
    pub(crate) commits: Vec<Timestamp>,
}

/// What is counted of transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Changes that are ignored. They are not among those that are stored.
    pub(crate) ignored: i64,
    /// Changes that were rendered and have a context.
    pub(crate) with_context: i64,
    /// Changes that could not be rendered.
    pub(crate) quarantined: i64,
    /// Context messages that are not stored as they are.
    pub(crate) unreadable_contexts: i64,
    /// Context messages outside of any transaction.
    pub(crate) contexts_without_transaction: i64,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.ignored += other.ignored;
        self.with_context += other.with_context;
        self.quarantined += other.quarantined;
        self.unreadable_contexts += other.unreadable_contexts;
        self.contexts_without_transaction += other.contexts_without_transaction;
    }
}

/// Whether a row, as COPY is given it, has a context other than `{}`.
pub(crate) fn row_has_context(row: &[u8]) -> bool {
    let column = COPY_COLUMNS.iter().position(|name| *name == "context");
    let value = column.and_then(|index| read_row(row).nth(index)).flatten();
    // Before the text of a jsonb stands the version of its format.
    let text = value.and_then(|value| std::str::from_utf8(value.get(1..)?).ok());
    text.is_some_and(|text| !is_empty_object(text))
}

/// A change that cannot be a row of `changes`.
#[derive(Clone, Debug)]
pub(crate) struct Quarantined {
    pub(crate) id: TransactionId,
    pub(crate) commit_position: CommitPosition,
    pub(crate) committed_at: Timestamp,
    pub(crate) sequence: Sequence,
    pub(crate) position: Lsn,
    pub(crate) schema: Option<String>,
    pub(crate) table: Option<String>,
    pub(crate) error: String,
    /// The message of pgoutput, empty where the table has masked columns; for a row that the
    /// destination refused, the bytes for COPY.
    pub(crate) raw: Vec<u8>,
}

impl Quarantined {
    /// A row that the destination refused, from the bytes that COPY was given: they say all that the
    /// row of `changes` would have had.
    pub(crate) fn refused(row: &[u8], error: String) -> Self {
        let values: Vec<_> = read_row(row).collect();
        let value = |column: &str| {
            let index = COPY_COLUMNS.iter().position(|name| *name == column)?;
            values.get(index).copied().flatten()
        };
        let bigint = |column| {
            let bytes = value(column).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default();
            i64::from_be_bytes(bytes)
        };
        let text = |column| value(column).map(|text| String::from_utf8_lossy(text).into_owned());
        let committed_at = postgres_timestamp(bigint("committed_at")).unwrap_or_default();
        Self {
            id: TransactionId(u32::try_from(bigint("transaction_id")).unwrap_or_default()),
            commit_position: CommitPosition(Lsn::from_bigint(bigint("commit_position"))),
            committed_at,
            sequence: Sequence(bigint("sequence")),
            position: Lsn::from_bigint(bigint("position")),
            schema: text("schema"),
            table: text("table"),
            error,
            raw: capped(row),
        }
    }
}

/// A moment from PostgreSQL's count of microseconds since 2000; `None` out of range.
fn postgres_timestamp(microseconds: i64) -> Option<Timestamp> {
    let since_1970 = microseconds.checked_add(POSTGRES_EPOCH_MICROSECONDS)?;
    Timestamp::from_microsecond(since_1970).ok()
}

fn capped(data: &[u8]) -> Vec<u8> {
    data.get(..QUARANTINE_RAW_MAX_BYTES).unwrap_or(data).to_vec()
}
