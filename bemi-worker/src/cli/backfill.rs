//! `backfill`: stores the rows that were there before.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use tokio::sync::watch;

use super::progress::Progress;
use super::table;
use crate::WorkerError;
use crate::backfill::{self, BackfillOptions, BackfillPreview, BackfillReport};
use crate::config::{Config, ConfigError};

const AFTER_HELP: &str = "\
Examples:
  bemi-worker backfill todo 'sales.*' --dry-run
  bemi-worker backfill --all-tables
  bemi-worker backfill --all-tables --max-rows-per-second 2000 --chunk-rows 1000

Rows become changes of the operation SNAPSHOT, as they are at one moment between two transactions.
Tables must be tracked, by `bemi-worker setup`; the worker may run meanwhile.
SIGTERM and SIGINT store the chunk in flight and end with 130. Run again, without --again, it goes
on where it was, also after it was killed. Role and destination are those of `run`; the role must be
allowed to read the tables, too.";

/// Store the rows of tracked tables as they are now, so that history begins with them
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// The tables: [schema.]table, separated by commas or spaces; * stands for any characters
    #[arg(value_name = "TABLES", required_unless_present = "all_tables")]
    tables: Vec<String>,

    /// All tables that are tracked
    #[arg(long, conflicts_with = "tables")]
    all_tables: bool,

    /// How many rows are stored in one transaction, at most; fewer where they are wide
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    chunk_rows: u32,

    /// How many rows are stored in a second, at most; 0 for as many as can be
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    max_rows_per_second: u32,

    /// For how long one snapshot is held, at most: meanwhile the source cannot vacuum what was
    /// deleted; 0 for one snapshot from beginning to end
    #[arg(long, value_name = "N", default_value_t = 10)]
    snapshot_minutes: u32,

    /// Store tables again that are finished, as they are now
    #[arg(long)]
    again: bool,

    /// Tell what would be stored, and store nothing
    #[arg(long)]
    dry_run: bool,
}

impl Arguments {
    fn options(&self) -> Result<BackfillOptions, ConfigError> {
        let snapshot_max = match self.snapshot_minutes {
            0 => Duration::MAX,
            minutes => Duration::from_secs(60 * u64::from(minutes)),
        };
        let mut options = BackfillOptions::new()
            .chunk_rows(self.chunk_rows)
            .rows_per_second_max(self.max_rows_per_second)
            .snapshot_max(snapshot_max)
            .again(self.again);
        for patterns in &self.tables {
            options = options.tables(patterns)?;
        }
        Ok(options)
    }
}

pub(super) async fn run(
    arguments: &Arguments,
    config: &Config,
    shutdown: watch::Receiver<bool>,
) -> Result<ExitCode, WorkerError> {
    let options = arguments.options()?;
    if arguments.dry_run {
        let preview = backfill::preview(config, &options);
        let preview = super::shutdown::unless_told(shutdown, preview).await?;
        write_preview(&mut io::stdout(), &preview)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut progress = Progress::start();
    let ended = backfill::run(config, &options, shutdown, |event| progress.show(&event)).await;
    progress.end();
    let report = ended?;
    write_report(&mut io::stdout(), &report)?;
    if report.is_interrupted {
        writeln!(
            io::stderr(),
            "stopped before the end; the same without --again goes on from here"
        )?;
        return Ok(ExitCode::from(WorkerError::Interrupted.exit_code()));
    }
    Ok(ExitCode::SUCCESS)
}

fn write_preview(out: &mut impl Write, preview: &BackfillPreview) -> io::Result<()> {
    let heading = ["TABLE", "ROWS, ABOUT", "KEY", ""].map(str::to_owned);
    let rows = preview.tables.iter().map(|table| {
        let key = if table.key.is_empty() {
            "none: in one transaction".to_owned()
        } else {
            table.key.join(", ")
        };
        let state = match (table.is_finished, table.rows) {
            (true, _) => "is stored already, --again stores it once more".to_owned(),
            (false, 0) => "would be stored".to_owned(),
            (false, rows) => format!("would be gone on with, behind {rows} rows"),
        };
        [table.name.clone(), table.estimated_rows.to_string(), key, state]
    });
    table::write(out, std::iter::once(heading).chain(rows))
}

fn write_report(out: &mut impl Write, report: &BackfillReport) -> io::Result<()> {
    let heading = ["TABLE", "ROWS", "COMMIT POSITION", ""].map(str::to_owned);
    let rows = report.tables.iter().map(|table| {
        let position = table.position.map_or_else(|| "-".to_owned(), |at| at.to_string());
        let state = if table.is_finished { "stored" } else { "not finished" };
        [table.name.clone(), table.rows.to_string(), position, state.to_owned()]
    });
    table::write(out, std::iter::once(heading).chain(rows))?;
    if report.rows == 0 && !report.is_interrupted {
        writeln!(out, "nothing was left to store; --again stores tables once more")?;
    }
    Ok(())
}
