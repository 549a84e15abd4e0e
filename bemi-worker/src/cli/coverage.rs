//! `coverage`: how far back the record goes.

use std::io::{self, Write};
use std::process::ExitCode;

use bemi_core::record::TableName;

use super::asking;
use super::output_options::{OutputOptions, standard_output};
use crate::WorkerError;
use crate::config::Given;
use crate::view::coverage;

const AFTER_HELP: &str = "\
Examples:
  bemi-worker coverage
  bemi-worker coverage todo sales.orders
  bemi-worker coverage --format json | jq 'select(.complete_since == null) | .table'

All changes of a table are recorded since the one moment, and all of its rows are known since the
other: before it, those that have not changed since are unknown. `backfill` stores the rows that are
there. A hole is a stretch in which changes were lost; what was known before it says nothing about
what is behind it.";

/// Tell how far back `as-of` can go, table by table, and where something is missing
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// The tables; all that the record knows where none is given
    #[arg(value_name = "TABLE")]
    table: Vec<TableName>,

    #[command(flatten)]
    output: OutputOptions,
}

pub(super) async fn run(arguments: &Arguments, given: &Given) -> Result<ExitCode, WorkerError> {
    let mut record = asking::whole_record(given).await?;
    let mut tables = Vec::new();
    for table in &arguments.table {
        tables.push(record.coverage_of(table).await?);
    }
    if arguments.table.is_empty() {
        tables = record.coverage().await?;
    }
    let mut out = standard_output();
    coverage::write(&mut out, arguments.output.format, arguments.output.screen(), &tables)?;
    out.flush()?;
    if tables.is_empty() {
        writeln!(io::stderr(), "no tables are recorded")?;
    }
    Ok(ExitCode::SUCCESS)
}
