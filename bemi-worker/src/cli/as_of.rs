//! `as-of`: a row or a table as it was.

use std::io::{self, Write};
use std::process::ExitCode;

use bemi_core::CommitPosition;
use bemi_core::record::{AsOf, Key, Point, RowAt, TableName};

use super::asking::{self, WaitOption};
use super::output_options::{OutputOptions, standard_output};
use crate::WorkerError;
use crate::config::{ConfigError, Given};
use crate::connect::Session;
use crate::view::AsOfView;

/// How many keys are asked for at once.
const PAGE_KEYS: u64 = 1_000;

/// What is not known ends with this.
const UNKNOWN: u8 = 4;

const AFTER_HELP: &str = "\
Examples:
  bemi-worker as-of -2h todo 26
  bemi-worker as-of 2026-11-21T10:00:00Z todo --format json > todo.then
  bemi-worker as-of @before:change:018bcfe5-6800-8a40-9b52-e72401e8144d todo 26
  bemi-worker as-of @tx:740 sales.stock 7 2026-05-05     # a key of two columns
  bemi-worker as-of -1d todo --live

POINT is an instant (RFC 3339), how long ago (-90s, -2h, -1d12h), now, or a place: @lsn:0/16B3748,
@tx:740, @change:ID; @before:tx:740 and so on for just before it. It always stands between two
transactions. A key is given as for `history`.

A row was there, was not there, or is unknown, and then the reason is told: nothing is guessed.
Exit code 4 if a row is unknown, or not all rows of the table are known; --live also asks the rows
that are there now, as to those that have not changed since. `coverage` tells how far back it goes.";

/// Show a row, or a whole table, as it was
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// When
    #[arg(value_name = "POINT", allow_hyphen_values = true)]
    point: Point,

    /// The table: todo, sales.orders, or '\"My Table\"'
    #[arg(value_name = "TABLE")]
    table: TableName,

    /// The row's key, an argument for each of its columns; all rows where it is missing
    #[arg(value_name = "KEY", allow_negative_numbers = true)]
    key: Vec<String>,

    /// Ask the source, too: the rows that are there now tell what they were, where nothing is missing
    /// in between
    #[arg(long)]
    live: bool,

    #[command(flatten)]
    wait: WaitOption,

    #[command(flatten)]
    output: OutputOptions,
}

pub(super) async fn run(arguments: &Arguments, given: &Given) -> Result<ExitCode, WorkerError> {
    let (mut record, [point]) =
        asking::with_points(given, arguments.wait, [arguments.point]).await?;
    let then = record.as_of(point);
    let is_known = if arguments.live {
        let mut source = asking::source(given).await?.ok_or(ConfigError::NoSource)?;
        show(arguments, then.with_live(&mut source)).await?
    } else {
        show(arguments, then).await?
    };
    Ok(if is_known { ExitCode::SUCCESS } else { ExitCode::from(UNKNOWN) })
}

/// Shows what was asked for; tells whether all of it is known.
async fn show(arguments: &Arguments, mut then: AsOf<'_, Session>) -> Result<bool, WorkerError> {
    let position = then.position().await?;
    if arguments.key.is_empty() {
        return show_table(arguments, then, position).await;
    }
    let key = Key::of(arguments.key.iter().map(String::as_str));
    let row = then.row(&arguments.table, &key).await?;
    let is_known = !matches!(row, RowAt::Unknown(_));
    let mut out = standard_output();
    view(arguments, &mut out, position)?.write_one(&mut out, Some(&key), &row)?;
    out.flush()?;
    Ok(is_known)
}

async fn show_table(
    arguments: &Arguments,
    mut then: AsOf<'_, Session>,
    position: CommitPosition,
) -> Result<bool, WorkerError> {
    let mut out = standard_output();
    let mut view = view(arguments, &mut out, position)?;
    let (mut after, mut rows, mut is_complete) = (None, 0, true);
    loop {
        let page = then.page(&arguments.table, after.as_ref(), PAGE_KEYS).await?;
        view.write(&mut out, &page.rows)?;
        out.flush()?;
        rows += page.rows.len();
        is_complete &= page.is_complete;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let told = match (is_complete, rows) {
        (true, 0) => "the table was empty\n",
        (true, _) => "",
        (false, _) => {
            "not all rows are known: some may have been there that the record does not have; \
             `bemi-worker coverage` tells more\n"
        }
    };
    io::stderr().write_all(told.as_bytes())?;
    Ok(is_complete)
}

fn view<'a>(
    arguments: &'a Arguments,
    out: &mut dyn Write,
    position: CommitPosition,
) -> io::Result<AsOfView<'a>> {
    let output = arguments.output;
    AsOfView::begin(out, output.format, output.screen(), &arguments.table, position)
}
