//! Which changes: a filter as a value, which becomes SQL in one place.
//!
//! Every condition narrows; tables and operations are lists of which any will do. Whatever comes from
//! outside is a parameter, never text of the statement.
//!
//! ```text
//! builder methods ─┐
//!                  ├─▶ Changes ─▶ Sql ─▶ Page<Change>
//! (name, value) ───┘
//! ```

mod condition;
mod pairs;
mod select;

use std::fmt::Display;

use jiff::Timestamp;
use serde_json::Value;

use self::condition::{Condition, Part};
use super::{Cursor, Key, TableName};
use crate::{CommitPosition, Operation, TransactionId};

pub(crate) use self::condition::trace_id;
pub use self::pairs::{InvalidFilter, InvalidValue};
pub(crate) use self::select::{beyond, by_id};

/// How many changes a page has if nothing else is said.
pub const LIMIT_DEFAULT: u32 = 50;

/// How many changes a page can have.
pub const LIMIT_MAX: u32 = 10_000;

/// Which changes, in which order, and how many at once.
///
/// Without conditions it is all of them. Conditions narrow: all of them hold. Only tables and
/// operations are lists, of which any will do. The newest come first: what people ask is mostly who
/// did that just now.
///
/// ```
/// use bemi_core::record::{Changes, Database, Record, RecordError};
/// use bemi_core::Operation;
///
/// async fn completed_by<D: Database>(
///     record: &mut Record<D>,
///     user_id: i64,
/// ) -> Result<(), RecordError<D::Error>> {
///     let changes = Changes::new()
///         .table("public.todo".parse().expect("the name of a table"))
///         .operation(Operation::Update)
///         .field_changed("completed")
///         .context("user_id", user_id)
///         .limit(20);
///     let mut page = record.changes(&changes).await?;
///     while let Some(next) = page.next {
///         for change in &page.items {
///             println!("{} {:?}", change.committed_at, change.primary_key);
///         }
///         page = record.changes(&changes.clone().after(next)).await?;
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Changes {
    tables: Vec<TableName>,
    record: Option<(TableName, Key)>,
    operations: Vec<Operation>,
    conditions: Vec<Condition>,
    order: Order,
    after: Option<Cursor>,
    limit: u32,
}

/// Which changes come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// The last one.
    #[default]
    NewestFirst,
    /// The first one: as they happened.
    OldestFirst,
}

impl Default for Changes {
    fn default() -> Self {
        Self {
            tables: Vec::new(),
            record: None,
            operations: Vec::new(),
            conditions: Vec::new(),
            order: Order::default(),
            after: None,
            limit: LIMIT_DEFAULT,
        }
    }
}

impl Changes {
    /// All of them.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Those of a table; said again, those of any of these tables. The name is the one that the table
    /// had then.
    #[must_use]
    pub fn table(mut self, table: TableName) -> Self {
        self.tables.push(table);
        self
    }

    /// The history of one record: the changes of the row with that key, also those by which it got
    /// the key or gave it up, and each TRUNCATE of its table, which takes any row away. Said again, it
    /// is that of the last one.
    ///
    /// ```
    /// use bemi_core::record::{Changes, TableName};
    ///
    /// let history = Changes::new().record(TableName::new("public", "todo"), 26);
    /// ```
    #[must_use]
    pub fn record(mut self, table: TableName, key: impl Into<Key>) -> Self {
        self.record = Some((table, key.into()));
        self
    }

    /// Those of an operation; said again, those of any of these operations.
    #[must_use]
    pub fn operation(mut self, operation: Operation) -> Self {
        self.operations.push(operation);
        self
    }

    /// Those of a source database, where several are stored in one place.
    #[must_use]
    pub fn database(self, name: impl Into<String>) -> Self {
        self.and(Condition::Database(name.into()))
    }

    /// UPDATEs that changed that column.
    ///
    /// Where the record does not tell what was there before, as under a replica identity other than
    /// FULL, an UPDATE may have changed it: such ones are there, too, so that none is missed;
    /// [`Change::fields`](crate::Change::fields) tells them apart. A column that PostgreSQL did not
    /// send, since it was untouched, did not change.
    #[must_use]
    pub fn field_changed(self, column: impl Into<String>) -> Self {
        self.and(Condition::FieldChanged(column.into()))
    }

    /// Those whose row before contains this, as the operator `@>` of `jsonb` has it.
    #[must_use]
    pub fn before_contains(self, part: &Value) -> Self {
        self.and(Condition::Contains(Part::Before, part.to_string()))
    }

    /// Those whose row after contains this, as the operator `@>` of `jsonb` has it.
    #[must_use]
    pub fn after_contains(self, part: &Value) -> Self {
        self.and(Condition::Contains(Part::After, part.to_string()))
    }

    /// Those whose context contains this, as the operator `@>` of `jsonb` has it.
    #[must_use]
    pub fn context_contains(self, part: &Value) -> Self {
        self.and(Condition::Contains(Part::Context, part.to_string()))
    }

    /// Those whose context has this text, number or truth value under that key.
    ///
    /// It is what an index on `((context ->> 'user_id'), commit_position, sequence)` finds. A key with
    /// dots in it is looked for as it is, and as a path: `user.id` is the key `user.id`, or `id` in
    /// the object under `user`.
    ///
    /// ```
    /// use bemi_core::record::Changes;
    ///
    /// let by = Changes::new().context("user_id", 188).context("tenant", "acme");
    /// ```
    #[must_use]
    pub fn context(self, key: impl Into<String>, value: impl Display) -> Self {
        self.and(Condition::Context { key: key.into(), value: value.to_string() })
    }

    /// Those that nobody answered for: the context is empty.
    #[must_use]
    pub fn without_context(self) -> Self {
        self.and(Condition::WithoutContext)
    }

    /// Without the rows of a baseline, which say what was there and not what happened.
    #[must_use]
    pub fn without_baseline(self) -> Self {
        self.and(Condition::WithoutBaseline)
    }

    /// Those of a trace, over all applications: the context has this id under `trace_id`, or, where
    /// that is missing, inside of the W3C header under `traceparent`.
    #[must_use]
    pub fn trace(self, id: impl Into<String>) -> Self {
        self.and(Condition::Trace(id.into()))
    }

    /// Those of the transactions that had this id. Ids come again, after four thousand million
    /// transactions: [`commit`](Self::commit) is exact.
    #[must_use]
    pub fn transaction(self, id: TransactionId) -> Self {
        self.and(Condition::Transaction(id))
    }

    /// Those of the transaction that committed there.
    #[must_use]
    pub fn commit(self, position: CommitPosition) -> Self {
        self.and(Condition::Commit(position))
    }

    /// Those that committed at that instant or later, by the source's clock.
    #[must_use]
    pub fn since(self, instant: Timestamp) -> Self {
        self.and(Condition::Since(instant))
    }

    /// Those that committed earlier than that instant, by the source's clock.
    #[must_use]
    pub fn until(self, instant: Timestamp) -> Self {
        self.and(Condition::Until(instant))
    }

    /// Those that committed behind that position, not at it: what an as-of view of it does not have.
    #[must_use]
    pub fn behind(self, position: CommitPosition) -> Self {
        self.and(Condition::Behind(position))
    }

    /// Those that committed up to that position or at it: what an as-of view of it has.
    #[must_use]
    pub fn up_to(self, position: CommitPosition) -> Self {
        self.and(Condition::UpTo(position))
    }

    /// In this order.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// The last change first. It is so if nothing else is said.
    #[must_use]
    pub fn newest_first(self) -> Self {
        self.order(Order::NewestFirst)
    }

    /// The first change first: as they happened.
    #[must_use]
    pub fn oldest_first(self) -> Self {
        self.order(Order::OldestFirst)
    }

    /// Those that come after this place in the order that is asked for, which
    /// [`Page::next`](super::Page::next) tells.
    #[must_use]
    pub fn after(mut self, place: Cursor) -> Self {
        self.after = Some(place);
        self
    }

    /// At most so many at once: 1 to [`LIMIT_MAX`], or the nearest of the two. [`LIMIT_DEFAULT`]
    /// otherwise.
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = limit.clamp(1, LIMIT_MAX);
        self
    }

    /// The place after which they are wanted.
    pub(crate) const fn place(&self) -> Option<Cursor> {
        self.after
    }

    /// How many are wanted.
    pub(crate) const fn page_limit(&self) -> u32 {
        self.limit
    }

    /// The one source database that it is about.
    pub(crate) fn database_name(&self) -> Option<&str> {
        self.conditions.iter().find_map(|condition| match condition {
            Condition::Database(name) => Some(name.as_str()),
            _ => None,
        })
    }

    fn and(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }
}
