//! What a test expects of a change, and what a change lacks of it.

use std::fmt;

use bemi_core::record::{Key, TableName};
use bemi_core::{Change, Operation};
use serde_json::Value;

use crate::value;

/// A change as a test expects it: its table and operation, and whatever else is said. What is not said may be
/// anything.
///
/// Values are compared as JSON, as the record has them: a `timestamptz` is a text, a `numeric` a number.
///
/// ```
/// use bemi_testing::updated;
///
/// let expected = updated("todo").key(26).field("task", "Sleep", "Eat").context("user_id", 42);
/// assert_eq!(
///     expected.to_string(),
///     "UPDATE todo 26\n  task: \"Sleep\" → \"Eat\"\n  context.user_id: 42"
/// );
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use = "it is compared when it is given to an assertion"]
pub struct Expected {
    operation: Operation,
    table: TableName,
    key: Option<Key>,
    clauses: Vec<Clause>,
}

/// One thing that is expected of a change.
#[derive(Clone, Debug, PartialEq)]
enum Clause {
    Before(String, Value),
    After(String, Value),
    Field(String, Value, Value),
    NothingElse,
    Context(String, Value),
    NoContext,
}

/// A row that was inserted into this table: `todo` in schema `public`, or `sales.orders`.
pub fn created(table: &str) -> Expected {
    Expected::new(Operation::Create, table)
}

/// A row of this table that was updated.
pub fn updated(table: &str) -> Expected {
    Expected::new(Operation::Update, table)
}

/// A row of this table that was deleted.
pub fn deleted(table: &str) -> Expected {
    Expected::new(Operation::Delete, table)
}

/// This table was truncated.
pub fn truncated(table: &str) -> Expected {
    Expected::new(Operation::Truncate, table)
}

impl Expected {
    fn new(operation: Operation, table: &str) -> Self {
        // What is no name as SQL has it is one as the catalog has it.
        let table = table.parse().unwrap_or_else(|_| TableName::new("public", table));
        Self { operation, table, key: None, clauses: Vec::new() }
    }

    /// The row has this key.
    pub fn key(mut self, key: impl Into<Key>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The column had this value before.
    pub fn before(self, column: &str, value: impl Into<Value>) -> Self {
        self.also(Clause::Before(column.to_owned(), value.into()))
    }

    /// The column has this value after.
    pub fn after(self, column: &str, value: impl Into<Value>) -> Self {
        self.also(Clause::After(column.to_owned(), value.into()))
    }

    /// The column was changed from one value to the other.
    pub fn field(self, column: &str, from: impl Into<Value>, to: impl Into<Value>) -> Self {
        self.also(Clause::Field(column.to_owned(), from.into(), to.into()))
    }

    /// No other column was changed than those that [`field`](Self::field) names.
    pub fn nothing_else(self) -> Self {
        self.also(Clause::NothingElse)
    }

    /// The context has this value under this key. Other keys may be there too, such as `SQL`.
    pub fn context(self, key: &str, value: impl Into<Value>) -> Self {
        self.also(Clause::Context(key.to_owned(), value.into()))
    }

    /// It was made without a context: outside any scope, or not through an adapter.
    pub fn no_context(self) -> Self {
        self.also(Clause::NoContext)
    }

    fn also(mut self, clause: Clause) -> Self {
        self.clauses.push(clause);
        self
    }

    /// What the change is not, a line each. None where it is what is expected.
    pub(crate) fn misfits(&self, change: &Change) -> Vec<String> {
        let mut misfits = Vec::new();
        if self.operation != change.operation {
            misfits.push(format!("it is no {}", self.operation));
        }
        if (self.table.schema(), self.table.table()) != (&change.schema, &change.table) {
            misfits.push(format!("the table is not {}", self.table));
        }
        if let Some(key) = &self.key
            && change.primary_key.as_deref() != Some(key.as_str())
        {
            misfits.push(format!("the key is not {key}"));
        }
        misfits.extend(self.clauses.iter().filter_map(|clause| self.misfit(clause, change)));
        misfits
    }

    fn misfit(&self, clause: &Clause, change: &Change) -> Option<String> {
        let (before, after) = (&change.before, &change.after);
        let was = |column: &str, value: &Value| column_is(before.get(column), value);
        let is = |column: &str, value: &Value| column_is(after.get(column), value);
        match clause {
            Clause::Before(column, value) => (!was(column, value)).then(|| {
                format!("{column}: expected {value} before, was {}", shown(before.get(column)))
            }),
            Clause::After(column, value) => (!is(column, value)).then(|| {
                format!("{column}: expected {value} after, is {}", shown(after.get(column)))
            }),
            Clause::Field(column, from, to) => (!was(column, from) || !is(column, to)).then(|| {
                let (from_found, to_found) = (shown(before.get(column)), shown(after.get(column)));
                format!("{column}: expected {from} → {to}, is {from_found} → {to_found}")
            }),
            Clause::NothingElse => {
                let named = |column: &str| {
                    self.clauses
                        .iter()
                        .any(|clause| matches!(clause, Clause::Field(name, ..) if name == column))
                };
                let fields = change.fields();
                let others =
                    fields.iter().map(|field| field.column).filter(|column| !named(column));
                let others = others.collect::<Vec<_>>().join(", ");
                (!others.is_empty()).then(|| format!("changed as well: {others}"))
            }
            Clause::Context(key, value) => {
                let found = change.context.get(key);
                (!found.is_some_and(|found| value::same(found, value))).then(|| match found {
                    Some(found) => format!("context.{key}: expected {value}, is {found}"),
                    None => format!("context.{key}: expected {value}, and it is not there"),
                })
            }
            Clause::NoContext => {
                let is_empty = change.context.as_object().is_some_and(serde_json::Map::is_empty);
                (!is_empty).then(|| "context: expected none".to_owned())
            }
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.operation, self.table)?;
        if let Some(key) = &self.key {
            write!(f, " {key}")?;
        }
        self.clauses.iter().try_for_each(|clause| write!(f, "\n  {clause}"))
    }
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Before(column, value) => write!(f, "{column}: {value} before"),
            Self::After(column, value) => write!(f, "{column}: {value} after"),
            Self::Field(column, from, to) => write!(f, "{column}: {from} → {to}"),
            Self::NothingElse => f.write_str("no other column changed"),
            Self::Context(key, value) => write!(f, "context.{key}: {value}"),
            Self::NoContext => f.write_str("no context"),
        }
    }
}

fn column_is(text: Option<&str>, expected: &Value) -> bool {
    text.is_some_and(|text| value::is(text, expected))
}

/// The text of a column's value, or that there is none.
fn shown(text: Option<&str>) -> &str {
    text.unwrap_or("not there")
}
