//! A change, as a row of the table `changes` holds it.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::record::Row;
use crate::{ChangeId, CommitPosition, Lsn, Sequence, TransactionId};

/// One row change, or one table's TRUNCATE, as stored. The fields are the columns of the
/// [table](crate::changes_table).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Change {
    /// The identity: the same again when a stretch of WAL is replayed.
    pub id: ChangeId,
    /// The row's primary key as the server's text; several columns as a compact JSON array of
    /// texts in index order; `None` where the table has no key.
    pub primary_key: Option<String>,
    /// The key before, where an UPDATE changed it.
    pub previous_key: Option<String>,
    /// The row before, as `to_jsonb(row)` gives it; `{}` where there was none.
    pub before: Row,
    /// The row after, as `to_jsonb(row)` gives it; `{}` where there is none.
    pub after: Row,
    /// Who, where and how; `{}` where nobody said.
    pub context: Value,
    /// The source database.
    pub database: String,
    /// The schema of the table.
    pub schema: String,
    /// The table; a partition's changes are under its root.
    pub table: String,
    /// What happened.
    pub operation: Operation,
    /// When the source transaction committed, to the microsecond.
    pub committed_at: Timestamp,
    /// When the worker received the change.
    pub queued_at: Timestamp,
    /// When it was stored.
    pub created_at: Timestamp,
    /// The source transaction, for display and grouping.
    pub transaction_id: TransactionId,
    /// The LSN of the change's own record: neither unique nor in commit order.
    pub position: Lsn,
    /// Where the transaction committed.
    pub commit_position: CommitPosition,
    /// The order inside the transaction.
    pub sequence: Sequence,
    /// Whether `before` is the whole row.
    pub before_complete: bool,
    /// Columns of `after` whose value PostgreSQL did not send; `None` when it sent all.
    pub unavailable: Option<Vec<String>>,
    /// Columns that are there as a string of the server's text, because jsonb cannot hold the
    /// value or its type is not known.
    pub encoded: Option<Vec<String>>,
}

/// What happened to a row, or to a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[non_exhaustive]
pub enum Operation {
    /// A row was inserted.
    Create,
    /// A row was updated.
    Update,
    /// A row was deleted.
    Delete,
    /// A table was emptied.
    Truncate,
    /// A row that was there before tracking began.
    Snapshot,
    /// The shape of a table changed.
    Ddl,
}

impl Operation {
    /// As the column `operation` has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Truncate => "TRUNCATE",
            Self::Snapshot => "SNAPSHOT",
            Self::Ddl => "DDL",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The text is not an [`Operation`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an operation; known are CREATE, UPDATE, DELETE, TRUNCATE, SNAPSHOT and DDL")]
pub struct UnknownOperation(String);

impl FromStr for Operation {
    type Err = UnknownOperation;

    fn from_str(text: &str) -> Result<Self, UnknownOperation> {
        [Self::Create, Self::Update, Self::Delete, Self::Truncate, Self::Snapshot, Self::Ddl]
            .into_iter()
            .find(|operation| operation.as_str() == text)
            .ok_or_else(|| UnknownOperation(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_written_as_it_is_read() {
        for text in ["CREATE", "UPDATE", "DELETE", "TRUNCATE", "SNAPSHOT", "DDL"] {
            let operation: Operation = text.parse().unwrap();
            assert_eq!(operation.to_string(), text);
            assert_eq!(serde_json::to_value(operation).unwrap(), text);
        }
        assert!("create".parse::<Operation>().is_err());
    }
}
