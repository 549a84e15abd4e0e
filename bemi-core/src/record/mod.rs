//! What the record is for: asking it, going back in it, undoing by it.
//!
//! A [`Record`] is the table `changes` with what the worker knows about it, behind a connection of
//! any library: whatever implements [`Database`]. All that it asks is SQL that this module writes,
//! with texts as parameters and one text per row as the answer, so that the Rust API, the command
//! line, the worker's endpoints and the SQL functions cannot differ in what they mean.
//!
//! ```text
//! Changes (filter) ─▶ Sql ─▶ Page<Change>
//! Point ─▶ commit position ─▶ AsOf ─▶ RowAt: Present | Absent | Unknown
//! Selection ─▶ changes ─▶ Plan: statements | conflicts ─▶ applied in one transaction
//! ```

mod as_of;
mod ask;
mod block_on;
mod catch_up;
mod changes;
mod coverage;
mod cursor;
mod database;
mod diff;
mod error;
mod fields;
mod follow;
mod key;
mod page;
mod place;
mod point;
mod read;
mod requests;
mod resolve;
mod revert;
mod row;
mod row_at;
mod slot;
mod sql;
pub mod sql_text;
mod table_name;

use std::time::Duration;

use jiff::Timestamp;

pub use as_of::{AsOf, RowOf, TableAsOf};
pub use block_on::block_on;
pub use changes::{Changes, InvalidFilter, InvalidValue, LIMIT_DEFAULT, LIMIT_MAX, Order};
pub use coverage::{Coverage, Hole, Identity, Place};
pub use cursor::{Cursor, InvalidCursor};
pub use database::Database;
pub use diff::{Diff, RowDiff};
pub use error::RecordError;
pub use fields::FieldChange;
pub use follow::Followed;
pub use key::Key;
pub use page::Page;
pub use point::{InvalidPoint, Point};
pub use requests::{Activity, Grouping, Touched};
pub use revert::{
    Action, Applied, ColumnChange, Conflict, ConflictKind, Handling, OnConflict, Plan,
    REVERT_CHANGES_MAX, ReversibleSet, RevertError, RevertOptions, Selection, Statement, Summary,
    TableSummary, UnknownOnConflict,
};
pub use row::Row;
pub use row_at::{RowAt, Unknown};
pub use sql::Sql;
pub use table_name::{InvalidTableName, TableName};

/// How long a question waits until the worker has stored what it is about, if nothing else is said.
pub const WAIT_DEFAULT: Duration = Duration::from_secs(10);

/// The record: the table `changes`, and what the worker keeps beside it in schema `bemi`.
///
/// Nothing here writes to either. `D` is a connection to the destination database, or a reference to
/// one.
#[derive(Debug)]
pub struct Record<D> {
    database: D,
    schema: String,
    slot: Option<String>,
    wait: Duration,
    /// Everything that had committed then, by the source's clock, is stored.
    caught_up_at: Option<Timestamp>,
}

impl<D: Database> Record<D> {
    /// The record behind this connection, in schema `public`.
    pub fn new(database: D) -> Self {
        Self {
            database,
            schema: "public".to_owned(),
            slot: None,
            wait: WAIT_DEFAULT,
            caught_up_at: None,
        }
    }

    /// The same, where `changes` is in another schema, as `setup --changes-schema` makes it.
    #[must_use]
    pub fn in_schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// The same, where several workers store into one destination: of what the one with this slot
    /// stores. Otherwise it is the only one, or the one that reads the database in which the record is.
    #[must_use]
    pub fn for_slot(mut self, slot: impl Into<String>) -> Self {
        self.slot = Some(slot.into());
        self
    }

    /// The same, where a question waits for as long, at most, until the worker has stored what it is
    /// about. [`WAIT_DEFAULT`] otherwise; zero does not wait.
    #[must_use]
    pub fn waiting(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// The table, as SQL names it.
    fn changes_table(&self) -> String {
        format!("{}.\"changes\"", sql::identifier(&self.schema))
    }
}
