//! Why a revert was not carried out.

use super::Conflict;
use crate::record::RecordError;

/// Why a plan was not carried out. Nothing of it is written then: `apply` has gone back to where it
/// began, and the caller's transaction is as it was before. `E` is the library's error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RevertError<E: std::error::Error + 'static> {
    /// The plan has conflicts that are not to be passed over.
    #[error(
        "{} in the way of the revert, the first: {}; look at all of them in the plan, and leave the rows out by `skip`, or write over them by `force`",
        counted(.conflicts.len()), first(.conflicts)
    )]
    Conflicts {
        /// Those that stand in the way.
        conflicts: Vec<Conflict>,
    },

    /// A statement did not hit exactly one row: the row is not what it was when the plan was made.
    #[error(
        "the row {row} is not any more what it was when the plan was made: nothing was written; make the plan again"
    )]
    Moved {
        /// Table and key.
        row: String,
    },

    /// The connection has no transaction open, so that nothing could be taken back.
    #[error("a revert is made and applied in a transaction, and none is open; begin one first")]
    NoTransaction,

    /// A constraint that says when it is checked was violated, or a trigger refused: the database
    /// refused a statement of the plan.
    #[error("the database refused to write the row {row}: {source}")]
    Refused {
        /// Table and key.
        row: String,
        /// What the library said.
        source: E,
    },

    /// Which columns are masked is not to be seen: what the record has may not be their values.
    #[error(
        "the role may not read bemi.column_rules, which says what of the record is masked; GRANT USAGE ON SCHEMA bemi and SELECT ON bemi.column_rules to it"
    )]
    RulesHidden,

    /// Policies hide rows of a table, so that nobody could say what is there.
    #[error(
        "row security hides rows of {table} from this role; revert as its owner, or as a role with BYPASSRLS"
    )]
    RowsHidden {
        /// The table.
        table: String,
    },

    /// The database could not be asked.
    #[error(transparent)]
    Record(#[from] RecordError<E>),
}

fn counted(conflicts: usize) -> String {
    if conflicts == 1 { "one conflict is".to_owned() } else { format!("{conflicts} conflicts are") }
}

fn first(conflicts: &[Conflict]) -> String {
    conflicts.first().map(ToString::to_string).unwrap_or_default()
}
