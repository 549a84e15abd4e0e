//! A plan of a revert: row by row what it would do, and all that stands in its way.

use std::io::{self, Write};

use bemi_core::record::{
    Action, ColumnChange, Conflict, ConflictKind, Handling, Key, Plan, Statement, Summary,
};
use serde::Serialize;
use serde_json::value::RawValue;

use super::screen::{Ink, Line};
use super::{Screen, field, json};

/// A line of JSON; `kind` says which.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Told<'a> {
    /// What becomes of a row.
    Statement {
        action: Action,
        schema: &'a str,
        table: &'a str,
        primary_key: Option<&'a str>,
        columns: &'a [ColumnChange],
    },
    /// What stands in the way.
    Conflict {
        conflict: ConflictKind,
        handling: Handling,
        schema: &'a str,
        table: &'a str,
        primary_key: Option<&'a str>,
        change: Option<String>,
        columns: &'a [String],
        detail: &'a str,
    },
    /// How much it is; the last line of a plan.
    Summary(&'a Summary),
    /// It was carried out, in this transaction.
    Applied { transaction_id: i64, rows: usize },
}

/// Writes a plan for people.
pub(crate) fn write(out: &mut dyn Write, screen: Screen, plan: &Plan) -> io::Result<()> {
    for statement in plan.statements() {
        write_statement(out, screen, statement)?;
    }
    for conflict in plan.conflicts() {
        let (ink, told) = match conflict.handling {
            Handling::Skipped => (Ink::Changed, "skipped"),
            Handling::Forced => (Ink::Changed, "forced"),
            _ => (Ink::Old, "conflict"),
        };
        let line = Line::new().with(ink, told).with(Ink::Plain, &format!("  {conflict}"));
        // What stands in the way is told in full.
        line.write(out, Screen { width: None, ..screen })?;
    }
    Ok(())
}

/// Writes a plan for programs: its statements, its conflicts, and how much it is.
pub(crate) fn write_json(out: &mut dyn Write, plan: &Plan) -> io::Result<()> {
    for statement in plan.statements() {
        let told = Told::Statement {
            action: statement.action(),
            schema: statement.table().schema(),
            table: statement.table().table(),
            primary_key: statement.key().map(Key::as_str),
            columns: statement.columns(),
        };
        json::write(out, &told)?;
    }
    for conflict in plan.conflicts() {
        json::write(out, &told(conflict))?;
    }
    json::write(out, &Told::Summary(&plan.summary()))
}

/// Writes for programs that a plan was carried out.
pub(crate) fn write_applied(
    out: &mut dyn Write,
    transaction_id: i64,
    rows: usize,
) -> io::Result<()> {
    json::write(out, &Told::Applied { transaction_id, rows })
}

fn told(conflict: &Conflict) -> Told<'_> {
    Told::Conflict {
        conflict: conflict.kind,
        handling: conflict.handling,
        schema: conflict.table.schema(),
        table: conflict.table.table(),
        primary_key: conflict.key.as_ref().map(Key::as_str),
        change: conflict.change.map(|id| id.to_string()),
        columns: &conflict.columns,
        detail: &conflict.detail,
    }
}

fn write_statement(out: &mut dyn Write, screen: Screen, statement: &Statement) -> io::Result<()> {
    let ink = match statement.action() {
        Action::Insert => Ink::New,
        Action::Delete => Ink::Old,
        _ => Ink::Changed,
    };
    let key = statement.key().map(|key| format!(" {key}")).unwrap_or_default();
    Line::new()
        .with(ink, statement.action().as_str())
        .with(Ink::Strong, &format!(" {}{key}", statement.table()))
        .write(out, screen)?;
    for column in statement.columns() {
        let text =
            |value: &Option<Box<RawValue>>| value.as_ref().map(|value| value.get().to_owned());
        let line = match (text(&column.from), text(&column.to)) {
            (None, Some(to)) => field::came(&column.column, &to),
            (Some(from), None) => field::went(&column.column, &from),
            (from, to) => field::changed(&column.column, from.as_deref(), to.as_deref(), screen),
        };
        line.write(out, screen)?;
    }
    Ok(())
}
