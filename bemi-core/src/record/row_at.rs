//! What can be said about a row at a moment of the past.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Row;
use crate::Lsn;

/// A row as of a [point](super::Point).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RowAt<T = Row> {
    /// It was there, and was this.
    Present(T),
    /// There was no row of that key.
    Absent,
    /// The record does not tell.
    Unknown(Unknown),
}

/// Why the record does not tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Unknown {
    /// The point lies before the table was tracked, or the row was there before and has neither been
    /// stored by `backfill` nor changed since.
    BeforeRecord,
    /// Changes were lost between the point and what is known of the row.
    Gap {
        /// Where the loss begins.
        from: Lsn,
        /// Where it ends.
        to: Lsn,
    },
    /// Changes between the point and what is known of the row, or the point itself, are older than what
    /// retention keeps.
    Expired {
        /// The commit position of the last transaction that was dropped.
        up_to: Lsn,
        /// The commit time from which on nothing was dropped.
        kept_since: Timestamp,
    },
    /// The table had been dropped, or taken out of what is tracked.
    NotTracked,
    /// A change of this table does not say of which row it is, as where its key was being altered.
    KeyUntold {
        /// Where its transaction committed.
        commit_position: Lsn,
    },
    /// A change of this table could not be stored, and waits in `bemi.quarantine`.
    Quarantined {
        /// Where its transaction committed.
        commit_position: Lsn,
    },
    /// The row was there, but the table's replica identity does not tell the values of these columns.
    Incomplete {
        /// The columns; none where it is all of them but the key.
        columns: Vec<String>,
    },
    /// The table was rewritten between the row's last change and the point, and the server sends no
    /// row changes for that.
    Rewritten {
        /// Where the transaction that did it committed.
        commit_position: Lsn,
    },
}

impl<T> RowAt<T> {
    /// The row, if it was there for certain.
    pub fn present(self) -> Option<T> {
        match self {
            Self::Present(row) => Some(row),
            Self::Absent | Self::Unknown(_) => None,
        }
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BeforeRecord => f.write_str("this was before the record began"),
            Self::Gap { from, to } => write!(f, "changes between {from} and {to} were lost"),
            Self::Expired { up_to, kept_since } => {
                write!(f, "changes up to {up_to} have expired: they are kept since {kept_since}")
            }
            Self::NotTracked => f.write_str("the table was not tracked then"),
            Self::KeyUntold { commit_position } => {
                write!(
                    f,
                    "a change of the table at {commit_position} does not say of which row it is"
                )
            }
            Self::Quarantined { commit_position } => {
                write!(f, "a change of the table at {commit_position} is in bemi.quarantine")
            }
            Self::Incomplete { columns } if columns.is_empty() => {
                f.write_str("the table's replica identity does not tell the row")
            }
            Self::Incomplete { columns } => {
                write!(f, "the table's replica identity does not tell {}", columns.join(", "))
            }
            Self::Rewritten { commit_position } => {
                write!(f, "the table was rewritten at {commit_position}, after its last change")
            }
        }
    }
}
