//! A change for people: what happened to which row, when and by whom, and field by field what became
//! of it.

use std::borrow::Cow;
use std::io::{self, Write};

use bemi_core::record::TableName;
use bemi_core::{Change, Operation};
use serde_json::{Value, json};

use super::field;
use super::screen::{Ink, Line, Screen};

/// Writes a change as a few lines: the heading, where to find it, its context, its fields.
pub(crate) fn write(out: &mut dyn Write, screen: Screen, change: &Change) -> io::Result<()> {
    heading(change).write(out, screen)?;
    place(change).write(out, screen)?;
    let context = context_pieces(&in_short(&change.context));
    if !context.is_empty() {
        let line = Line::new().with(Ink::Faint, "  context  ");
        line.with(Ink::Plain, &context.join(", ")).write(out, screen)?;
    }
    if change.operation == Operation::Update && !change.before_complete {
        let told = "  before   not recorded as a whole; ? may have been the same";
        Line::new().with(Ink::Faint, told).write(out, screen)?;
    }
    fields(change, screen).iter().try_for_each(|line| line.write(out, screen))
}

/// `2026-11-21T10:00:00.123456Z  UPDATE todo 26`
pub(super) fn heading(change: &Change) -> Line {
    let ink = match change.operation {
        Operation::Create => Ink::New,
        Operation::Delete | Operation::Truncate => Ink::Old,
        _ => Ink::Changed,
    };
    let line = Line::new()
        .with(Ink::Faint, &format!("{:.6}  ", change.committed_at))
        .with(ink, change.operation.as_str());
    let line = if change.table.is_empty() {
        line
    } else {
        let table = TableName::new(change.schema.as_str(), change.table.as_str());
        line.with(Ink::Strong, &format!(" {table}"))
    };
    match (&change.primary_key, &change.previous_key) {
        (Some(key), Some(previous)) => line
            .with(Ink::Strong, &format!(" {key}"))
            .with(Ink::Plain, &format!(", which was {previous}")),
        (Some(key), None) => line.with(Ink::Strong, &format!(" {key}")),
        (None, _) => line,
    }
}

/// By what other commands find it.
fn place(change: &Change) -> Line {
    let line = Line::new().with(Ink::Faint, &format!("  change   {}", change.id));
    // Rows of a baseline are of no transaction.
    if change.operation == Operation::Snapshot {
        return line;
    }
    line.with(Ink::Faint, &format!(", transaction {}", change.transaction_id))
}

/// The context, with how many changes a revert took back instead of which.
fn in_short(context: &Value) -> Cow<'_, Value> {
    let Some(count) = context.pointer("/revert_of/count").and_then(Value::as_u64) else {
        return Cow::Borrowed(context);
    };
    let mut short = context.clone();
    if let Some(revert_of) = short.get_mut("revert_of") {
        *revert_of = json!({"count": count});
    }
    Cow::Owned(short)
}

/// The keys of a context with their values, the statement last; nothing where nobody said.
pub(super) fn context_pieces(context: &Value) -> Vec<String> {
    let Value::Object(keys) = context else { return vec![context.to_string()] };
    let (statement, others): (Vec<_>, Vec<_>) =
        keys.iter().partition(|(key, _)| key.as_str() == "SQL");
    let pieces = others.into_iter().chain(statement);
    pieces.map(|(key, value)| format!("{key}: {value}")).collect()
}

/// A line for each column that came, went or changed; of a command, the command.
pub(super) fn fields(change: &Change, screen: Screen) -> Vec<Line> {
    match change.operation {
        Operation::Create | Operation::Snapshot => {
            change.after.columns().map(|(column, value)| field::came(column, value)).collect()
        }
        Operation::Delete => {
            change.before.columns().map(|(column, value)| field::went(column, value)).collect()
        }
        Operation::Update => change
            .fields()
            .iter()
            .map(|changed| field::changed(changed.column, changed.before, changed.after, screen))
            .collect(),
        _ => change
            .after
            .columns()
            .map(|(name, value)| Line::new().with(Ink::Plain, &format!("  {name}: {value}")))
            .collect(),
    }
}
