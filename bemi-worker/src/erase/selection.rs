//! Whose data is to go, and which of it.

use bemi_core::record::{Key, TableName};

/// An erasure, as it is asked for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Erasure {
    /// Which changes.
    pub target: Target,
    /// Which columns of the rows go.
    pub columns: Columns,
    /// Which keys of the context go.
    pub context: ContextKeys,
    /// Whether the bytes of quarantined changes of the table go, whosever they are.
    pub quarantine: bool,
    /// Why, for the record. It must not hold the data.
    pub reason: Option<String>,
    /// Who erases, for the record.
    pub by: Option<String>,
}

/// Which changes have the data.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// Those of a record, under every key that it had.
    Record {
        /// The table.
        table: TableName,
        /// One of the keys.
        key: Key,
    },
    /// Those of the rows of a table that have this value in this column.
    Rows {
        /// The table.
        table: TableName,
        /// The column.
        column: String,
        /// Its value, as text.
        value: String,
    },
    /// Those that a person made: the context says so.
    Subject(Subject),
}

/// A person, as the contexts of what they did name them: `user_id=42`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The key of the context; a dot leads into an object.
    pub key: String,
    /// Its value, as text.
    pub value: String,
}

/// Which columns go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Columns {
    /// None.
    #[default]
    None,
    /// Every one that is not of the key.
    AllButKey,
    /// These.
    These(Vec<String>),
}

/// Which keys of the context go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ContextKeys {
    /// None.
    #[default]
    None,
    /// Every one.
    All,
    /// These.
    These(Vec<String>),
}

impl Target {
    /// The table, where it is about one.
    pub(super) fn table(&self) -> Option<&TableName> {
        match self {
            Self::Record { table, .. } | Self::Rows { table, .. } => Some(table),
            Self::Subject(_) => None,
        }
    }
}

impl Erasure {
    /// Of a subject, all of the context; of rows, all columns but those of the key.
    #[must_use]
    pub fn new(target: Target) -> Self {
        let is_subject = matches!(target, Target::Subject(_));
        Self {
            columns: if is_subject { Columns::None } else { Columns::AllButKey },
            context: if is_subject { ContextKeys::All } else { ContextKeys::None },
            target,
            quarantine: false,
            reason: None,
            by: None,
        }
    }
}
