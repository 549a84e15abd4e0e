//! What stands in the way of a revert.

use std::fmt;

use serde::Serialize;

use crate::ChangeId;
use crate::record::{Key, TableName};

/// Something that stands in the way, found before anything is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Conflict {
    /// What is wrong.
    pub kind: ConflictKind,
    /// The table of the row that cannot go back.
    pub table: TableName,
    /// The row's key; none where the table has none, or all of the table is meant.
    pub key: Option<Key>,
    /// The change that cannot be undone; none where it is not one alone.
    pub change: Option<ChangeId>,
    /// The columns that it is about.
    pub columns: Vec<String>,
    /// More about it, for people.
    pub detail: String,
    /// What the plan makes of it.
    pub handling: Handling,
}

/// What stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ConflictKind {
    /// A column is not what the change left there: something outside of the set changed it.
    RowChanged,
    /// The row that the change left is gone.
    RowMissing,
    /// Another row has the key that the row would have again, or a value that must be unique.
    KeyTaken,
    /// A row that is not in the plan refers to what would go.
    StillReferenced,
    /// The row would refer to one that is not there.
    ParentMissing,
    /// The record does not tell what was there: the row before is not whole, or values are masked, left
    /// out, or of a kind that cannot be read back.
    IncompleteRecord,
    /// The table or a column is gone, or cannot take the value any more.
    SchemaChanged,
    /// Rows depend on each other in a circle, and no constraint of it can be deferred.
    NotOrderable,
}

/// What a plan makes of a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Handling {
    /// The plan cannot be applied.
    Blocks,
    /// The row stays as it is.
    Skipped,
    /// The plan goes on in spite of it.
    Forced,
}

impl ConflictKind {
    /// As JSON has it: `row_changed`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RowChanged => "row_changed",
            Self::RowMissing => "row_missing",
            Self::KeyTaken => "key_taken",
            Self::StillReferenced => "still_referenced",
            Self::ParentMissing => "parent_missing",
            Self::IncompleteRecord => "incomplete_record",
            Self::SchemaChanged => "schema_changed",
            Self::NotOrderable => "not_orderable",
        }
    }
}

impl fmt::Display for ConflictKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::RowChanged => "row changed since",
            Self::RowMissing => "row missing",
            Self::KeyTaken => "key taken",
            Self::StillReferenced => "still referenced",
            Self::ParentMissing => "parent missing",
            Self::IncompleteRecord => "incomplete record",
            Self::SchemaChanged => "schema changed",
            Self::NotOrderable => "no order possible",
        })
    }
}

impl fmt::Display for Conflict {
    /// One line, without the values of the row.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.table)?;
        if let Some(key) = &self.key {
            write!(f, " {key}")?;
        }
        if !self.columns.is_empty() {
            write!(f, " ({})", self.columns.join(", "))?;
        }
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        Ok(())
    }
}
