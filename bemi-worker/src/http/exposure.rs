//! What outsiders see of a change.
//!
//! Invariant: what is shown is made of what the configuration names, column by column and key by key,
//! and never of what is left of the rest. The keys of rows are shown as columns or not at all.

use std::collections::BTreeSet;

use bemi_core::record::{Cursor, Row, TableName};
use bemi_core::{Change, Operation};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::config::Exposed;

/// The tables whose records are shown.
#[derive(Debug)]
pub(super) struct Exposure(Vec<Exposed>);

/// A change, as outsiders see it.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    cursor: Cursor,
    operation: Operation,
    committed_at: Timestamp,
    /// Of an UPDATE, the columns that it changed; `None` where the record does not tell.
    changed: Option<Vec<String>>,
    before: Row,
    before_complete: bool,
    after: Row,
    context: Map<String, Value>,
}

impl Exposure {
    pub(super) fn new(exposed: Vec<Exposed>) -> Self {
        Self(exposed)
    }

    /// What is shown of a table; `None` where nothing is.
    pub(super) fn of(&self, table: &TableName) -> Option<&Exposed> {
        self.0.iter().find(|exposed| exposed.table == *table)
    }
}

impl Exposed {
    /// What is seen of a change of this table. `None` where that is nothing: an UPDATE of other columns
    /// alone, or a command, whose text is in the place of a row.
    pub(super) fn show(&self, change: &Change) -> Option<Shown> {
        let changed = match change.operation {
            Operation::Create | Operation::Delete | Operation::Truncate | Operation::Snapshot => {
                None
            }
            Operation::Update => {
                let fields = change.fields();
                let columns: Vec<String> = fields
                    .iter()
                    .filter(|field| self.columns.contains(field.column))
                    .map(|field| field.column.to_owned())
                    .collect();
                if columns.is_empty() {
                    return None;
                }
                change.before_complete.then_some(columns)
            }
            _ => return None,
        };
        Some(Shown {
            cursor: change.cursor(),
            operation: change.operation,
            committed_at: change.committed_at,
            changed,
            before: only(&change.before, &self.columns),
            before_complete: change.before_complete,
            after: only(&change.after, &self.columns),
            context: self.shown_context(&change.context),
        })
    }

    fn shown_context(&self, context: &Value) -> Map<String, Value> {
        let value = |key: &String| Some((key.clone(), context.get(key)?.clone()));
        self.context.iter().filter_map(value).collect()
    }
}

/// These columns of a row.
fn only(row: &Row, columns: &BTreeSet<String>) -> Row {
    let mut shown = Row::default();
    for (column, json) in row.columns().filter(|(column, _)| columns.contains(*column)) {
        // What is in a row is JSON: nothing is lost here.
        if let Ok(value) = RawValue::from_string(json.to_owned()) {
            shown.insert(column, value);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "hunter2";

    fn exposed() -> Exposed {
        Exposed {
            table: TableName::new("public", "todo"),
            columns: ["task", "done", "sql"].map(str::to_owned).into(),
            context: ["user_id", "none"].map(str::to_owned).into(),
        }
    }

    fn change(operation: &str, before: &str, after: &str, before_complete: bool) -> Change {
        let json = format!(
            r#"{{"id": "018bcfe5-6800-8a40-9b52-e72401e8144d", "primary_key": "{SECRET}",
                "previous_key": "{SECRET}", "before": {before}, "after": {after},
                "context": {{"user_id": 188, "token": "{SECRET}", "{SECRET}": 1}},
                "database": "{SECRET}", "schema": "public", "table": "todo", "operation": "{operation}",
                "committed_at": "2026-11-21T10:00:00Z", "queued_at": "2026-11-21T10:00:00Z",
                "created_at": "2026-11-21T10:00:00Z", "transaction_id": 1, "position": 1,
                "commit_position": 7, "sequence": 1, "before_complete": {before_complete},
                "unavailable": ["{SECRET}"], "encoded": ["{SECRET}"]}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    fn shown(change: &Change) -> Option<Value> {
        let text = serde_json::to_string(&exposed().show(change)?).unwrap();
        assert!(!text.contains(SECRET), "{text}");
        serde_json::from_str(&text).ok()
    }

    #[test]
    fn what_is_not_named_is_nowhere() {
        let (before, after) = (
            format!(r#"{{"id": "{SECRET}", "task": "Sleep", "hunter2": 1, "price": 1.10}}"#),
            format!(r#"{{"id": "{SECRET}", "task": "Eat", "hunter2": 2, "price": 1.20}}"#),
        );
        for operation in ["CREATE", "UPDATE", "DELETE", "TRUNCATE", "SNAPSHOT"] {
            for complete in [true, false] {
                let shown = shown(&change(operation, &before, &after, complete)).unwrap();
                assert_eq!(shown["context"], serde_json::json!({"user_id": 188}));
                assert_eq!(shown["after"], serde_json::json!({"task": "Eat"}));
                assert_eq!(shown["cursor"], "7.1");
            }
        }
    }

    #[test]
    fn an_update_tells_which_of_the_named_columns_changed() {
        let of = |before, after, complete| shown(&change("UPDATE", before, after, complete));
        let both = (
            r#"{"task": "Sleep", "done": false, "x": 1}"#,
            r#"{"task": "Eat", "done": false, "x": 2}"#,
        );
        assert_eq!(of(both.0, both.1, true).unwrap()["changed"], serde_json::json!(["task"]));
        // The old row is not there: any of them may have changed.
        assert_eq!(of(r#"{"id": 1}"#, both.1, false).unwrap()["changed"], Value::Null);
    }

    #[test]
    fn an_update_of_other_columns_alone_is_not_there() {
        let (before, after) = (r#"{"task": "Eat", "x": 1}"#, r#"{"task": "Eat", "x": 2}"#);
        assert!(shown(&change("UPDATE", before, after, true)).is_none());
        // Its value was not sent, since it is as it was.
        assert!(shown(&change("UPDATE", r#"{"id": 1}"#, r#"{"id": 1, "x": 2}"#, false)).is_none());
    }

    #[test]
    fn a_command_is_no_row_even_where_columns_are_called_like_its_parts() {
        let sql = format!(r#"{{"sql": "ALTER TABLE {SECRET}"}}"#);
        assert!(shown(&change("DDL", "{}", &sql, false)).is_none());
    }
}
