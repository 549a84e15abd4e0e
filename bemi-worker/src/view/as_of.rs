//! Rows of the past, in the format that was asked for.

use std::collections::BTreeSet;
use std::io::{self, Write};

use bemi_core::CommitPosition;
use bemi_core::record::{Key, Row, RowAt, RowOf, TableName};
use serde::Serialize;

use super::row_at::Told;
use super::screen::{Ink, Line};
use super::{AnswerFormat, Grid, Screen, csv, json};

const HEADING_CSV: [&str; 7] =
    ["commit_position", "schema", "table", "primary_key", "state", "row", "unknown"];

/// Writes rows of one table as of one point.
#[derive(Debug)]
pub(crate) struct AsOfView<'a> {
    format: AnswerFormat,
    screen: Screen,
    table: &'a TableName,
    position: CommitPosition,
    /// The columns for people, and how wide they are; from the first page that has rows.
    grid: Option<(Vec<String>, Grid)>,
}

#[derive(Serialize)]
struct Record<'a> {
    commit_position: CommitPosition,
    schema: &'a str,
    table: &'a str,
    primary_key: Option<&'a str>,
    #[serde(flatten)]
    told: Told<'a>,
}

impl<'a> AsOfView<'a> {
    /// Begins; CSV has its heading, whether or not anything follows.
    pub(crate) fn begin(
        out: &mut dyn Write,
        format: AnswerFormat,
        screen: Screen,
        table: &'a TableName,
        position: CommitPosition,
    ) -> io::Result<Self> {
        if format == AnswerFormat::Csv {
            csv::write(out, HEADING_CSV.map(Some))?;
        }
        Ok(Self { format, screen, table, position, grid: None })
    }

    /// Writes one row by itself: for people, a column a line.
    pub(crate) fn write_one(
        &self,
        out: &mut dyn Write,
        key: Option<&Key>,
        row: &RowAt,
    ) -> io::Result<()> {
        if self.format != AnswerFormat::Table {
            return self.write_record(out, key, row);
        }
        let screen = self.screen;
        let name =
            key.map_or_else(|| self.table.to_string(), |key| format!("{} {key}", self.table));
        let line = Line::new().with(Ink::Strong, &name);
        match row {
            RowAt::Present(values) => {
                let at = format!("  as of {}", self.position);
                line.with(Ink::Faint, &at).write(out, screen)?;
                values.columns().try_for_each(|(column, value)| {
                    Line::new().with(Ink::Plain, &format!("  {column}: {value}")).write(out, screen)
                })
            }
            RowAt::Unknown(why) => {
                line.with(Ink::Changed, &format!("  is unknown: {why}")).write(out, screen)
            }
            _ => line.with(Ink::Old, "  was not there").write(out, screen),
        }
    }

    /// Writes a page of rows; for people as columns, and beneath them what is unknown.
    pub(crate) fn write(&mut self, out: &mut dyn Write, page: &[RowOf]) -> io::Result<()> {
        if self.format != AnswerFormat::Table {
            let mut rows = page.iter();
            return rows.try_for_each(|row| self.write_record(out, row.key.as_ref(), &row.row));
        }
        let rows: Vec<&Row> = page
            .iter()
            .filter_map(|row| match &row.row {
                RowAt::Present(row) => Some(row),
                _ => None,
            })
            .collect();
        if !rows.is_empty() {
            self.write_grid(out, &rows)?;
        }
        let mut unknown = page.iter().filter(|row| matches!(row.row, RowAt::Unknown(_)));
        unknown.try_for_each(|row| self.write_one(out, row.key.as_ref(), &row.row))
    }

    fn write_grid(&mut self, out: &mut dyn Write, rows: &[&Row]) -> io::Result<()> {
        let (columns, grid) = match self.grid.take() {
            Some(grid) => grid,
            None => {
                let columns: BTreeSet<&str> =
                    rows.iter().flat_map(|row| row.columns()).map(|(column, _)| column).collect();
                let heading: Vec<&str> = columns.iter().copied().collect();
                let columns: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
                let cells: Vec<_> = rows.iter().map(|row| cells(&columns, row)).collect();
                let grid = Grid::begin(out, self.screen, &heading, &cells)?;
                (columns, grid)
            }
        };
        for row in rows {
            grid.row(out, &cells(&columns, row))?;
        }
        self.grid = Some((columns, grid));
        Ok(())
    }

    fn write_record(&self, out: &mut dyn Write, key: Option<&Key>, row: &RowAt) -> io::Result<()> {
        let record = Record {
            commit_position: self.position,
            schema: self.table.schema(),
            table: self.table.table(),
            primary_key: key.map(Key::as_str),
            told: Told::of(row),
        };
        if self.format == AnswerFormat::Json {
            return json::write(out, &record);
        }
        let position = self.position.0.to_bigint().to_string();
        let place = [Some(position.as_str()), Some(record.schema), Some(record.table)];
        let told = record.told.record();
        let told = told.iter().map(Option::as_deref);
        csv::write(out, place.into_iter().chain([record.primary_key]).chain(told))
    }
}

/// The values of a row under these columns; texts without their quotes, and nothing for null.
fn cells(columns: &[String], row: &Row) -> Vec<String> {
    columns
        .iter()
        .map(|column| match row.get(column) {
            None | Some("null") => String::new(),
            Some(value) => serde_json::from_str(value).unwrap_or_else(|_| value.to_owned()),
        })
        .collect()
}
