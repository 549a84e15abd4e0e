//! A stitched change as a row of `changes`.

use bemi_core::{Lsn, Operation, Origin};

use crate::decode::{OldTuple, Tuple};
use crate::stitch::Place;

use super::copy::{CopyRows, RowTooLarge};
use super::ignored::changes_only_ignored;
use super::row::{RowNotes, write_after, write_before, write_key};
use super::table::Table;

/// The columns that are copied, in the order in which they are written; `created_at` is left to its
/// default, the time of the destination's transaction.
pub(crate) const COPY_COLUMNS: [&str; 19] = [
    "id",
    "primary_key",
    "before",
    "after",
    "context",
    "database",
    "schema",
    "table",
    "previous_key",
    "operation",
    "committed_at",
    "queued_at",
    "transaction_id",
    "position",
    "commit_position",
    "sequence",
    "before_complete",
    "unavailable",
    "encoded",
];

/// What happened to a row, or to a table.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RowChange<'a> {
    Insert {
        new: Tuple<'a>,
    },
    Update {
        old: Option<OldTuple<'a>>,
        new: Tuple<'a>,
    },
    Delete {
        old: OldTuple<'a>,
    },
    Truncate,
    /// No change: a row that is there.
    Snapshot {
        new: Tuple<'a>,
    },
    /// A command that changed the shape of the table: a JSON object that says which.
    Ddl {
        command: &'a str,
    },
}

impl<'a> RowChange<'a> {
    /// Whether nobody wants to know of it, by the rules for the table's columns.
    pub(crate) fn is_ignored(self, table: &Table, position: Lsn) -> bool {
        match self {
            Self::Update { old, new } => changes_only_ignored(table, position, old, new),
            Self::Insert { .. }
            | Self::Delete { .. }
            | Self::Truncate
            | Self::Snapshot { .. }
            | Self::Ddl { .. } => false,
        }
    }

    /// Whether its rows have a value for each column of the table. Where they do not, nobody can say
    /// which value is whose.
    pub(crate) fn fits(self, table: &Table) -> bool {
        let rows = [self.old().map(OldTuple::tuple), self.new_row()];
        rows.into_iter().flatten().all(|row| row.len() == table.columns.len())
    }

    fn operation(self) -> Operation {
        match self {
            Self::Insert { .. } => Operation::Create,
            Self::Update { .. } => Operation::Update,
            Self::Delete { .. } => Operation::Delete,
            Self::Truncate => Operation::Truncate,
            Self::Ddl { .. } => Operation::Ddl,
            Self::Snapshot { .. } => Operation::Snapshot,
        }
    }

    fn old(self) -> Option<OldTuple<'a>> {
        match self {
            Self::Update { old, .. } => old,
            Self::Delete { old } => Some(old),
            Self::Insert { .. } | Self::Truncate | Self::Snapshot { .. } | Self::Ddl { .. } => None,
        }
    }

    fn new_row(self) -> Option<Tuple<'a>> {
        match self {
            Self::Insert { new } | Self::Update { new, .. } | Self::Snapshot { new } => Some(new),
            Self::Delete { .. } | Self::Truncate | Self::Ddl { .. } => None,
        }
    }
}

/// Writes changes as rows of `changes`.
#[derive(Debug)]
pub(crate) struct ChangeWriter {
    origin: Origin,
    database: String,
    notes: RowNotes,
    keys: [Vec<u8>; 2],
}

impl ChangeWriter {
    pub(crate) fn new(origin: Origin, database: String) -> Self {
        Self { origin, database, notes: RowNotes::default(), keys: [Vec::new(), Vec::new()] }
    }

    /// Writes one change.
    ///
    /// # Errors
    ///
    /// [`RowTooLarge`], with nothing written, when the row cannot be sent to the destination.
    pub(crate) fn write(
        &mut self,
        rows: &mut CopyRows,
        table: &Table,
        position: Lsn,
        change: RowChange<'_>,
        place: &Place<'_>,
    ) -> Result<(), RowTooLarge> {
        let Self { origin, database, notes, keys: [key, previous_key] } = self;
        let commit = place.transaction;
        let (old, new) = (change.old(), change.new_row());
        notes.clear();

        key.clear();
        previous_key.clear();
        let has_key = match (new, old) {
            (Some(new), old) => write_key(key, table, position, new, old),
            (None, Some(old)) => write_key(key, table, position, old.tuple(), None),
            (None, None) => false,
        };
        let key_changed = has_key
            && new.is_some()
            && old.is_some_and(|old| write_key(previous_key, table, position, old.tuple(), None))
            && key != previous_key;

        let columns = i16::try_from(COPY_COLUMNS.len()).unwrap_or(i16::MAX);
        rows.row(columns, |row| {
            let id = origin.change_id(commit.committed_at, commit.position, place.sequence);
            row.uuid(id.as_uuid());
            row.text_or_null(|out| {
                out.extend_from_slice(key);
                has_key
            })?;
            let before_complete = row.jsonb(|out| match change {
                RowChange::Update { old, new } => {
                    write_before(out, table, position, old, Some(new), notes)
                }
                RowChange::Delete { old } => {
                    write_before(out, table, position, Some(old), None, notes)
                }
                // There was no row, or none is told of: nothing is all of it.
                RowChange::Insert { .. } | RowChange::Snapshot { .. } => {
                    out.extend_from_slice(b"{}");
                    true
                }
                RowChange::Truncate | RowChange::Ddl { .. } => {
                    out.extend_from_slice(b"{}");
                    false
                }
            })?;
            row.jsonb(|out| match change {
                RowChange::Insert { new }
                | RowChange::Update { new, .. }
                | RowChange::Snapshot { new } => write_after(out, table, position, new, old, notes),
                RowChange::Delete { .. } | RowChange::Truncate => out.extend_from_slice(b"{}"),
                RowChange::Ddl { command } => out.extend_from_slice(command.as_bytes()),
            })?;
            row.jsonb(|out| out.extend_from_slice(place.context.as_bytes()))?;
            row.text(database)?;
            row.text(&table.schema)?;
            row.text(&table.name)?;
            row.text_or_null(|out| {
                out.extend_from_slice(previous_key);
                key_changed
            })?;
            row.text(change.operation().as_str())?;
            row.timestamptz(commit.committed_at);
            row.timestamptz(commit.queued_at);
            row.bigint(i64::from(commit.id.0));
            row.bigint(position.to_bigint());
            row.bigint(commit.position.0.to_bigint());
            row.bigint(place.sequence.0);
            row.boolean(before_complete);
            row.text_array(table.column_names(&notes.unavailable))?;
            row.text_array(table.column_names(&notes.encoded))
        })
    }
}
