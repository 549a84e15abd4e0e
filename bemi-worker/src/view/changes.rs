//! Changes, one after the other, in the format that was asked for.
//!
//! For programs a change is a row of the table `changes`: the same names, the same order, positions as
//! numbers. That is a contract.

use std::io::{self, Write};

use bemi_core::{Change, changes_table};

use super::{AnswerFormat, Screen, change, csv, json};

/// Writes changes as they come.
#[derive(Debug)]
pub(crate) struct ChangesView {
    format: AnswerFormat,
    screen: Screen,
    is_first: bool,
}

impl ChangesView {
    /// Begins; CSV has its heading, whether or not anything follows.
    pub(crate) fn begin(
        out: &mut dyn Write,
        format: AnswerFormat,
        screen: Screen,
    ) -> io::Result<Self> {
        if format == AnswerFormat::Csv {
            csv::write(out, changes_table::COLUMNS.iter().map(|column| Some(column.name)))?;
        }
        Ok(Self { format, screen, is_first: true })
    }

    /// Writes one more.
    pub(crate) fn write(&mut self, out: &mut dyn Write, change: &Change) -> io::Result<()> {
        let is_first = std::mem::take(&mut self.is_first);
        match self.format {
            AnswerFormat::Table => {
                if !is_first {
                    writeln!(out)?;
                }
                change::write(out, self.screen, change)
            }
            AnswerFormat::Json => json::write(out, change),
            AnswerFormat::Csv => write_record(out, change),
        }
    }
}

/// In the order of the table's columns.
fn write_record(out: &mut dyn Write, change: &Change) -> io::Result<()> {
    let list = |names: &Option<Vec<String>>| {
        names.as_ref().map(serde_json::to_string).transpose().map_err(io::Error::from)
    };
    let values = [
        Some(change.id.to_string()),
        change.primary_key.clone(),
        Some(change.before.to_string()),
        Some(change.after.to_string()),
        Some(change.context.to_string()),
        Some(change.database.clone()),
        Some(change.schema.clone()),
        Some(change.table.clone()),
        change.previous_key.clone(),
        Some(change.operation.to_string()),
        Some(change.committed_at.to_string()),
        Some(change.queued_at.to_string()),
        Some(change.created_at.to_string()),
        Some(change.transaction_id.to_string()),
        Some(change.position.to_bigint().to_string()),
        Some(change.commit_position.0.to_bigint().to_string()),
        Some(change.sequence.0.to_string()),
        Some(change.before_complete.to_string()),
        list(&change.unavailable)?,
        list(&change.encoded)?,
    ];
    csv::write(out, values.iter().map(Option::as_deref))
}
