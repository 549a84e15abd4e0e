//! A statement of a plan: what becomes of one row.

use std::fmt;

use serde::Serialize;
use serde_json::value::RawValue;

use super::text::Text;
use crate::record::{Key, Sql, TableName};

/// What a plan does with one row. It guards itself: it hits the row only if that is still what the
/// plan saw.
#[derive(Clone, Debug)]
pub struct Statement {
    pub(super) table: TableName,
    pub(super) key: Option<Key>,
    pub(super) action: Action,
    pub(super) columns: Vec<ColumnChange>,
    pub(super) text: Text,
}

/// What becomes of the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
#[non_exhaustive]
pub enum Action {
    /// It goes.
    Delete,
    /// Some of its columns get other values.
    Update,
    /// Another statement of the plan takes it along by `ON UPDATE CASCADE`; this one only looks
    /// whether it did.
    Follow,
    /// It comes back.
    Insert,
}

/// What becomes of a column.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ColumnChange {
    /// Its name.
    pub column: String,
    /// What the plan found, as JSON; none in a row that comes back.
    pub from: Option<Box<RawValue>>,
    /// What it will be, as JSON; none in a row that goes.
    pub to: Option<Box<RawValue>>,
}

impl Statement {
    /// The table.
    #[must_use]
    pub fn table(&self) -> &TableName {
        &self.table
    }

    /// The key by which the row is found, or that a row has which comes back; none where the table has
    /// none.
    #[must_use]
    pub fn key(&self) -> Option<&Key> {
        self.key.as_ref()
    }

    /// What becomes of the row.
    #[must_use]
    pub fn action(&self) -> Action {
        self.action
    }

    /// The columns, in the order of their names: those that an UPDATE sets, or all.
    #[must_use]
    pub fn columns(&self) -> &[ColumnChange] {
        &self.columns
    }

    /// The statement as it is carried out. It must hit exactly one row.
    #[must_use]
    pub fn sql(&self) -> Sql {
        self.text.sql()
    }

    /// The statement for a script: it fails unless it hits exactly one row.
    pub(super) fn wrapped(&self) -> String {
        let whole = self.text.whole();
        let returning = if self.action == Action::Follow { "" } else { " RETURNING 1" };
        format!("WITH hit AS ({whole}{returning}) SELECT 1 / (count(*) = 1)::int FROM hit")
    }

    /// Table and key, for people.
    pub(super) fn row(&self) -> String {
        match &self.key {
            Some(key) => format!("{} {key}", self.table),
            None => self.table.to_string(),
        }
    }
}

impl Action {
    /// As SQL begins: `INSERT`; and `FOLLOW`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "DELETE",
            Self::Update => "UPDATE",
            Self::Follow => "FOLLOW",
            Self::Insert => "INSERT",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
