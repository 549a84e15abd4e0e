//! One change in full: all that the record has of it, and nothing cut.

use std::io::{self, Write};

use bemi_core::{Change, Operation};
use serde_json::Value;

use super::change;
use super::screen::{Ink, Line, Screen};

/// Writes all of a change: where it stands, its context, what became of each column.
pub(crate) fn write(out: &mut dyn Write, screen: Screen, change: &Change) -> io::Result<()> {
    let screen = Screen { width: None, ..screen };
    change::heading(change).write(out, screen)?;
    let mut fact = |name: &str, value: &str| {
        let line = Line::new().with(Ink::Faint, &format!("  {name:<12} "));
        line.with(Ink::Plain, value).write(out, screen)
    };
    fact("change", &change.id.to_string())?;
    if change.operation != Operation::Snapshot {
        let place = format!("{}, change {} of it", change.transaction_id, change.sequence.0);
        fact("transaction", &place)?;
    }
    fact("database", &change.database)?;
    let committed = format!("{:.6} at {}", change.committed_at, change.commit_position);
    fact("committed", &committed)?;
    fact("received", &format!("{:.6}", change.queued_at))?;
    fact("stored", &format!("{:.6}", change.created_at))?;
    fact("cursor", &change.cursor().to_string())?;
    fact("just before", &format!("@before:change:{}", change.id))?;
    if let Some(names) = change.unavailable.as_ref().filter(|names| !names.is_empty()) {
        fact("not sent", &format!("{}, which did not change", names.join(", ")))?;
    }
    if let Some(names) = change.encoded.as_ref().filter(|names| !names.is_empty()) {
        fact("as text", &names.join(", "))?;
    }
    if change.operation == Operation::Update && !change.before_complete {
        fact("before", "not recorded as a whole; ? may have been the same")?;
    }
    write_context(out, screen, &change.context)?;
    section(out, screen, "fields")?;
    change::fields(change, screen).iter().try_for_each(|line| line.write(out, screen))?;
    write_unchanged(out, screen, change)
}

/// A key a line, the statement last.
fn write_context(out: &mut dyn Write, screen: Screen, context: &Value) -> io::Result<()> {
    section(out, screen, "context")?;
    let told = change::context_pieces(context);
    if told.is_empty() {
        return Line::new().with(Ink::Faint, "  nobody said").write(out, screen);
    }
    told.iter().try_for_each(|piece| {
        Line::new().with(Ink::Plain, &format!("  {piece}")).write(out, screen)
    })
}

/// The rest of the row, where only some of it changed.
fn write_unchanged(out: &mut dyn Write, screen: Screen, change: &Change) -> io::Result<()> {
    if change.operation != Operation::Update {
        return Ok(());
    }
    let changed: Vec<_> = change.fields().iter().map(|field| field.column.to_owned()).collect();
    let mut rest = change
        .after
        .columns()
        .filter(|(column, _)| !changed.iter().any(|name| name == column))
        .peekable();
    if rest.peek().is_none() {
        return Ok(());
    }
    section(out, screen, "unchanged")?;
    rest.try_for_each(|(column, value)| {
        Line::new().with(Ink::Faint, &format!("  {column}: {value}")).write(out, screen)
    })
}

fn section(out: &mut dyn Write, screen: Screen, name: &str) -> io::Result<()> {
    Line::new().with(Ink::Strong, name).write(out, screen)
}
