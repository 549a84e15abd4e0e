//! `requests`: what was done, grouped by what it belongs to.

use std::io::{self, Write};
use std::process::ExitCode;

use bemi_core::record::{Grouping, TableName};

use super::asking::{self, WaitOption};
use super::filter_options::{FilterOptions, PageOptions, SpanOptions};
use super::output_options::{OutputOptions, standard_output};
use crate::WorkerError;
use crate::config::Given;
use crate::view::ActivityView;

const AFTER_HELP: &str = "\
Examples:
  bemi-worker requests --limit 20
  bemi-worker requests --where user_id=188 --since -1d
  bemi-worker requests --by transaction --table todo
  bemi-worker requests --by job_id --format json
  bemi-worker requests --trace 4bf92f3577b34da6a3ce929d0e0e4736

With --trace it is the transactions of one trace, whichever service they are of. `changes --trace`
has their changes. Rows of a baseline are nobody's doing, and are left out.";

/// Tell what was done, grouped by request, transaction or trace, the last first
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Grouped by: transaction, trace, or any key of the context
    /// [default: request_id; with --trace: transaction]
    #[arg(long, value_name = "BY")]
    by: Option<String>,

    /// Of this table alone; again: of any of these
    #[arg(long, value_name = "TABLE", help_heading = "Which changes")]
    table: Vec<TableName>,

    #[command(flatten)]
    filter: FilterOptions,

    #[command(flatten)]
    span: SpanOptions,

    #[command(flatten)]
    page: PageOptions,

    #[command(flatten)]
    wait: WaitOption,

    #[command(flatten)]
    output: OutputOptions,
}

impl Arguments {
    fn grouping(&self) -> Grouping {
        match self.by.as_deref() {
            Some("transaction") => Grouping::Transaction,
            Some("trace") => Grouping::Trace,
            Some(key) => Grouping::Context(key.to_owned()),
            None if self.filter.is_of_a_trace() => Grouping::Transaction,
            None => Grouping::default(),
        }
    }
}

pub(super) async fn run(arguments: &Arguments, given: &Given) -> Result<ExitCode, WorkerError> {
    let by = arguments.grouping();
    let own = arguments.table.iter().map(|table| ("table", table.quoted()));
    let changes = arguments.page.begin(arguments.filter.changes(own)?);
    let mut record = asking::caught_up(given, arguments.wait).await?;
    let mut changes = arguments.span.narrow(changes, &mut record).await?;
    let mut out = standard_output();
    let output = arguments.output;
    let mut view = ActivityView::new(output.format, output.screen(), &by);
    let mut shown = 0;
    let mut rest = None;
    while let Some(count) = arguments.page.next(shown) {
        let found = record.requests(&by, &changes.clone().limit(count)).await?;
        view.write(&mut out, &found.items)?;
        shown += u64::try_from(found.items.len()).unwrap_or(u64::MAX);
        out.flush()?;
        rest = found.next;
        let Some(place) = rest else { break };
        changes = changes.after(place);
    }
    if shown == 0 {
        writeln!(io::stderr(), "nothing was found")?;
    }
    if let Some(place) = rest {
        writeln!(io::stderr(), "there are more: --after {place}")?;
    }
    Ok(ExitCode::SUCCESS)
}
