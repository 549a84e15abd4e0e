//! `changes`: the changes that fulfil a filter.

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
  bemi-worker changes --limit 20
  bemi-worker changes --where user_id=188 --since -2h
  bemi-worker changes --table todo --table sales.orders --operation delete --no-context
  bemi-worker changes --table todo --field status --after-contains '{\"status\": \"done\"}'
  bemi-worker changes --since 2026-11-21T10:00:00Z --order oldest --format csv > changes.csv

Without --limit it is all of them. They are read page by page, so nothing is waited for.";

/// Find changes: by table, key, operation, column, context, values, transaction and time
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Of this table: todo, sales.orders, '\"My Table\"'; again: of any of these
    #[arg(long, value_name = "TABLE", help_heading = "Which changes")]
    table: Vec<TableName>,

    /// Of the record with this key; of several columns, once for each, or the JSON array
    #[arg(
        long,
        value_name = "KEY",
        requires = "table",
        allow_hyphen_values = true,
        help_heading = "Which changes"
    )]
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
    let mut own: Vec<_> = arguments.table.iter().map(|table| ("table", table.quoted())).collect();
    if !arguments.key.is_empty() {
        own.push(("key", Key::of(arguments.key.iter().map(String::as_str)).to_string()));
    }
    let changes = arguments.order.put(arguments.filter.changes(own)?);
    let mut record = asking::caught_up(given, arguments.wait).await?;
    let changes = arguments.span.narrow(changes, &mut record).await?;
    listing::write(&mut record, changes, &arguments.page, arguments.output).await?;
    Ok(ExitCode::SUCCESS)
}
