//! What the record covers, table by table, in the format that was asked for.

use std::io::{self, Write};

use bemi_core::record::{Coverage, Hole, Identity, Place};
use serde::Serialize;

use super::screen::{Ink, Line};
use super::{AnswerFormat, Grid, Screen, csv, json};

const HEADING: [&str; 4] = ["TABLE", "CHANGES SINCE", "ALL ROWS SINCE", "OLD ROWS"];

const HEADING_CSV: [&str; 8] = [
    "schema",
    "table",
    "since_position",
    "since",
    "complete_since_position",
    "complete_since",
    "identity",
    "holes",
];

#[derive(Serialize)]
struct Record<'a> {
    schema: &'a str,
    table: &'a str,
    since: Option<Place>,
    complete_since: Option<Place>,
    identity: Option<Identity>,
    holes: &'a [Hole],
}

/// Writes what is covered of each table.
pub(crate) fn write(
    out: &mut dyn Write,
    format: AnswerFormat,
    screen: Screen,
    tables: &[Coverage],
) -> io::Result<()> {
    match format {
        AnswerFormat::Table => write_grid(out, screen, tables),
        AnswerFormat::Json => tables.iter().try_for_each(|coverage| {
            let record = Record {
                schema: coverage.table.schema(),
                table: coverage.table.table(),
                since: coverage.since,
                complete_since: coverage.complete_since,
                identity: coverage.identity,
                holes: &coverage.holes,
            };
            json::write(out, &record)
        }),
        AnswerFormat::Csv => {
            csv::write(out, HEADING_CSV.map(Some))?;
            tables.iter().try_for_each(|coverage| write_record(out, coverage))
        }
    }
}

fn write_grid(out: &mut dyn Write, screen: Screen, tables: &[Coverage]) -> io::Result<()> {
    let rows: Vec<Vec<String>> = tables
        .iter()
        .map(|coverage| {
            vec![
                coverage.table.to_string(),
                coverage.since.map_or_else(|| "not recorded".to_owned(), told),
                coverage.complete_since.map_or_else(|| "not yet: see backfill".to_owned(), told),
                identity(coverage.identity).to_owned(),
            ]
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let grid = Grid::begin(out, screen, &HEADING, &rows)?;
    for (row, coverage) in rows.iter().zip(tables) {
        grid.row(out, row)?;
        for hole in &coverage.holes {
            let end = hole.to.map_or_else(|| "now".to_owned(), |to| to.to_string());
            let told = format!("  a hole from {} to {end}: {}", hole.from, hole.why);
            Line::new().with(Ink::Changed, &told).write(out, screen)?;
        }
    }
    Ok(())
}

fn told(place: Place) -> String {
    place.at.map_or_else(|| place.position.to_string(), |at| format!("{at:.6}"))
}

const fn identity(identity: Option<Identity>) -> &'static str {
    match identity {
        Some(Identity::Full) => "whole",
        Some(Identity::Key) => "keys",
        Some(_) => "not recorded",
        None => "",
    }
}

fn write_record(out: &mut dyn Write, coverage: &Coverage) -> io::Result<()> {
    let place = |place: Option<Place>| {
        [
            place.map(|place| place.position.0.to_bigint().to_string()),
            place.and_then(|place| place.at).map(|at| at.to_string()),
        ]
    };
    let identity = match coverage.identity {
        Some(Identity::Full) => Some("full"),
        Some(Identity::Key) => Some("key"),
        Some(_) => Some("none"),
        None => None,
    };
    let (since, complete) = (place(coverage.since), place(coverage.complete_since));
    let holes = serde_json::to_string(&coverage.holes)?;
    let names = [Some(coverage.table.schema()), Some(coverage.table.table())];
    let places = since.iter().chain(&complete).map(Option::as_deref);
    csv::write(out, names.into_iter().chain(places).chain([identity, Some(holes.as_str())]))
}
