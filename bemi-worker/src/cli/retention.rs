//! `retention`: makes partitions ahead and drops what is too old, once.

use std::io::{self, Write as _};
use std::process::ExitCode;

use super::retention_options::RetentionOptions;
use crate::WorkerError;
use crate::config::{Config, Retention};
use crate::partitions::Maintenance;
use crate::retention;

const AFTER_HELP: &str = "\
Examples:
  bemi-worker retention --retention 90d --dry-run
  bemi-worker retention --retention 90d
  17 3 * * *  bemi-worker --config /etc/bemi.toml retention

`run --retention` does the same by itself, where its role owns the table. What was dropped is in
bemi.retention, and questions about that time are answered with unknown.";

/// Make partitions of `changes` ahead and drop what is older than the retention, once
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) retention: RetentionOptions,

    /// Show what would be dropped, and drop nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(
    arguments: Arguments,
    config: &Config,
    retention: Option<Retention>,
) -> Result<ExitCode, WorkerError> {
    let (report, would) = if arguments.dry_run {
        (retention::preview(config, retention).await?, "would ")
    } else {
        let session = Maintenance::alone(config).await?;
        (retention::maintain(session, config, retention).await?, "")
    };
    let mut out = io::stdout();
    for step in &report.steps {
        writeln!(out, "{would}{step}")?;
    }
    if report.steps.is_empty() {
        writeln!(out, "nothing to do")?;
    }
    for why in &report.postponed {
        writeln!(out, "note: left for later: {why}")?;
    }
    Ok(ExitCode::SUCCESS)
}
