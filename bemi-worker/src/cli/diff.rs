//! `diff`: what differs between two points.

use std::io::{self, Write};
use std::process::ExitCode;

use bemi_core::record::{Point, RowAt, TableName};

use super::asking::{self, WaitOption};
use super::output_options::{OutputOptions, standard_output};
use crate::WorkerError;
use crate::config::Given;
use crate::view::{DifferenceView, printable};

/// How many keys are looked at at once.
const PAGE_KEYS: u64 = 1_000;

/// What is not known ends with this.
const UNKNOWN: u8 = 4;

const AFTER_HELP: &str = "\
Examples:
  bemi-worker diff -2h now
  bemi-worker diff @before:tx:740 @tx:740 todo
  bemi-worker diff -1d now sales.orders --format json | jq .after.row

It is the net of all changes in between: a row that was changed and changed back is not there.
Points are written as for `as-of`. Exit code 4 if a row, or whether there are more, is unknown.";

/// Show what differs between two points, row by row
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// The one
    #[arg(value_name = "POINT", allow_hyphen_values = true)]
    from: Point,

    /// The other
    #[arg(value_name = "POINT", allow_hyphen_values = true)]
    to: Point,

    /// Of this table alone
    #[arg(value_name = "TABLE")]
    table: Option<TableName>,

    #[command(flatten)]
    wait: WaitOption,

    #[command(flatten)]
    output: OutputOptions,
}

pub(super) async fn run(arguments: &Arguments, given: &Given) -> Result<ExitCode, WorkerError> {
    let points = [arguments.from, arguments.to];
    let (mut record, [from, to]) = asking::with_points(given, arguments.wait, points).await?;
    let mut diff = record.diff(from, to, arguments.table.as_ref()).await?;
    let mut out = standard_output();
    let view = DifferenceView::begin(&mut out, arguments.output.format, arguments.output.screen())?;
    let (mut is_known, mut is_same) = (true, true);
    while let Some(rows) = diff.next_page(PAGE_KEYS).await? {
        for row in &rows {
            is_known &=
                ![&row.before, &row.after].iter().any(|row| matches!(row, RowAt::Unknown(_)));
            is_same = false;
            view.write(&mut out, row)?;
        }
        out.flush()?;
    }
    if is_same {
        writeln!(io::stderr(), "no rows differ")?;
    }
    for table in diff.incomplete() {
        writeln!(
            io::stderr(),
            "not all rows of {} are known; `bemi-worker coverage` tells more",
            printable(&table.to_string())
        )?;
    }
    is_known &= diff.incomplete().is_empty();
    Ok(if is_known { ExitCode::SUCCESS } else { ExitCode::from(UNKNOWN) })
}
