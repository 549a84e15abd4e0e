//! Rows that are not the same at two points, in the format that was asked for.

use std::io::{self, Write};

use bemi_core::record::{Key, RowAt, RowDiff};
use serde::Serialize;

use super::row_at::Told;
use super::screen::{Ink, Line};
use super::{AnswerFormat, Screen, csv, field, json};

const HEADING_CSV: [&str; 9] = [
    "schema",
    "table",
    "primary_key",
    "before_state",
    "before_row",
    "before_unknown",
    "after_state",
    "after_row",
    "after_unknown",
];

/// Writes rows that differ as they come.
#[derive(Debug)]
pub(crate) struct DifferenceView {
    format: AnswerFormat,
    screen: Screen,
}

#[derive(Serialize)]
struct Record<'a> {
    schema: &'a str,
    table: &'a str,
    primary_key: Option<&'a str>,
    before: Told<'a>,
    after: Told<'a>,
}

impl DifferenceView {
    /// Begins; CSV has its heading, whether or not anything follows.
    pub(crate) fn begin(
        out: &mut dyn Write,
        format: AnswerFormat,
        screen: Screen,
    ) -> io::Result<Self> {
        if format == AnswerFormat::Csv {
            csv::write(out, HEADING_CSV.map(Some))?;
        }
        Ok(Self { format, screen })
    }

    /// Writes one more.
    pub(crate) fn write(&self, out: &mut dyn Write, row: &RowDiff) -> io::Result<()> {
        let record = Record {
            schema: row.table.schema(),
            table: row.table.table(),
            primary_key: row.key.as_ref().map(Key::as_str),
            before: Told::of(&row.before),
            after: Told::of(&row.after),
        };
        match self.format {
            AnswerFormat::Table => self.write_lines(out, row),
            AnswerFormat::Json => json::write(out, &record),
            AnswerFormat::Csv => {
                let told = [record.before.record(), record.after.record()];
                let place = [Some(record.schema), Some(record.table), record.primary_key];
                csv::write(
                    out,
                    place.into_iter().chain(told.iter().flatten().map(Option::as_deref)),
                )
            }
        }
    }

    fn write_lines(&self, out: &mut dyn Write, row: &RowDiff) -> io::Result<()> {
        let name = match &row.key {
            Some(key) => format!(" {} {key}", row.table),
            None => format!(" {}", row.table),
        };
        let mut heading = |ink, sign: &str, told: &str| {
            let line = Line::new().with(ink, sign).with(Ink::Strong, &name);
            line.with(ink, told).write(out, self.screen)
        };
        match (&row.before, &row.after) {
            (RowAt::Present(before), RowAt::Present(after)) => {
                heading(Ink::Changed, "~", "")?;
                let mut columns: Vec<&str> =
                    before.columns().chain(after.columns()).map(|(column, _)| column).collect();
                columns.sort_unstable();
                columns.dedup();
                for column in columns {
                    let (was, is) = (before.get(column), after.get(column));
                    let line = match (was, is) {
                        _ if was == is => continue,
                        (Some(was), None) => field::went(column, was),
                        (None, Some(is)) => field::came(column, is),
                        _ => field::changed(column, was, is, self.screen),
                    };
                    line.write(out, self.screen)?;
                }
                Ok(())
            }
            (RowAt::Absent, RowAt::Present(after)) => {
                heading(Ink::New, "+", "")?;
                let mut lines = after.columns().map(|(column, value)| field::came(column, value));
                lines.try_for_each(|line| line.write(out, self.screen))
            }
            (RowAt::Present(before), RowAt::Absent) => {
                heading(Ink::Old, "-", "")?;
                let mut lines = before.columns().map(|(column, value)| field::went(column, value));
                lines.try_for_each(|line| line.write(out, self.screen))
            }
            (RowAt::Unknown(why), RowAt::Unknown(other)) if why == other => {
                heading(Ink::Changed, "?", &format!("  is unknown: {why}"))
            }
            (RowAt::Unknown(why), RowAt::Unknown(other)) => {
                heading(Ink::Changed, "?", &format!("  was unknown: {why}; is unknown: {other}"))
            }
            (RowAt::Unknown(why), _) => {
                heading(Ink::Changed, "?", &format!("  was unknown: {why}"))
            }
            (_, RowAt::Unknown(why)) => heading(Ink::Changed, "?", &format!("  is unknown: {why}")),
            _ => Ok(()),
        }
    }
}
