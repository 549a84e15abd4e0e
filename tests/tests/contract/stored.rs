//! Rows of `changes`, as a case expects and finds them.

use std::fmt;

use serde_json::{Value, json};

/// A row of `changes`: of the table `todo` and without context, unless said otherwise.
#[derive(Clone, PartialEq)]
pub(crate) struct Stored {
    pub(crate) table: String,
    pub(crate) operation: String,
    pub(crate) before: Value,
    pub(crate) after: Value,
    pub(crate) context: Value,
}

pub(crate) fn created(after: Value) -> Stored {
    stored("CREATE", json!({}), after)
}

pub(crate) fn updated(before: Value, after: Value) -> Stored {
    stored("UPDATE", before, after)
}

pub(crate) fn deleted(before: Value) -> Stored {
    stored("DELETE", before, json!({}))
}

pub(crate) fn truncated() -> Stored {
    stored("TRUNCATE", json!({}), json!({}))
}

/// A row of the table `todo`.
pub(crate) fn todo(id: i32, task: &str) -> Value {
    json!({"id": id, "task": task})
}

impl Stored {
    pub(crate) fn of(self, table: &str) -> Self {
        Self { table: table.to_owned(), ..self }
    }

    /// Under the context of `user(id)`, by a statement of this text.
    pub(crate) fn by(self, id: i32, sql: &str) -> Self {
        self.under(json!({"user_id": id, "SQL": sql}))
    }

    pub(crate) fn under(self, context: Value) -> Self {
        Self { context, ..self }
    }
}

/// A line of its own, since rows are compared many at a time.
impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, operation, before, after, context } = self;
        write!(f, "\n    {operation} {table}: {before} to {after} under {context}")
    }
}

fn stored(operation: &str, before: Value, after: Value) -> Stored {
    let (table, operation) = ("todo".to_owned(), operation.to_owned());
    Stored { table, operation, before, after, context: json!({}) }
}
