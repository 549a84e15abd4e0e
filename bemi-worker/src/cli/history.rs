//! `history`: what became of a table, or of one record.

use std::process::ExitCode;

use bemi_core::record::{Key, TableName};

use super::asking::{self, WaitOption};
use super::filter_options::{FilterOptions, OrderOption, PageOptions, SpanOptions};
use super::listing;
use super::output_options::OutputOptions;
use crate::WorkerError;
use crate::config::Given;

const AFTER_HELP: &str = "\
Examples:
  bemi-worker history todo 26
  bemi-worker history todo 26 --order oldest --format json | jq .after.status
  bemi-worker history sales.stock 7 2026-05-05       # a key of two columns
  bemi-worker history '\"Order Items\"' --field price --since -2h

A key is given as the column primary_key of changes has it. Of several columns, give one argument
each, in the order of the index, or the JSON array: '[\"7\",\"2026-05-05\"]'. A row that has had
other keys is found under each of them, and each TRUNCATE of its table is part of its history.";

/// Tell what became of a record, or of all of a table: who changed what, and when
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// The table: todo, sales.orders, or '\"My Table\"'
    #[arg(value_name = "TABLE")]
    table: TableName,

    /// The record's key, an argument for each of its columns; all records where it is missing
    #[arg(value_name = "KEY", allow_negative_numbers = true)]
    key: Vec<String>,

    #[command(flatten)]
    filter: FilterOptions,

    #[command(flatten)]
    span: SpanOptions,

    #[command(flatten)]
    order: OrderOption,

    #[command(flatten)]
    page: PageOptions,

    #[command(flatten)]
    wait: WaitOption,

    #[command(flatten)]
    output: OutputOptions,
}

pub(super) async fn run(arguments: &Arguments, given: &Given) -> Result<ExitCode, WorkerError> {
    let mut own = vec![("table", arguments.table.quoted())];
    if !arguments.key.is_empty() {
        own.push(("key", Key::of(arguments.key.iter().map(String::as_str)).to_string()));
    }
    let changes = arguments.order.put(arguments.filter.changes(own)?);
    let mut record = asking::caught_up(given, arguments.wait).await?;
    let changes = arguments.span.narrow(changes, &mut record).await?;
    listing::write(&mut record, changes, &arguments.page, arguments.output).await?;
    Ok(ExitCode::SUCCESS)
}
