//! `teardown`: takes back what setup did.

use std::io::{self, Write};
use std::process::ExitCode;

use super::setup::{finish, show};
use crate::WorkerError;
use crate::config::Config;
use crate::setup::{TeardownOptions, preview_teardown, teardown_with};

const AFTER_HELP: &str = "\
Examples:
  bemi-worker teardown --dry-run
  bemi-worker teardown
  bemi-worker teardown --drop-changes

It removes what setup wrote down as made: slot, publications, triggers, functions and its own
records; and it puts replica identities back. Stop the worker first.";

/// Take back what setup did; the changes that were stored stay
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Drop the table changes and the worker's own tables too: everything that was stored
    #[arg(long)]
    drop_changes: bool,

    /// Tell what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(arguments: &Arguments, config: &Config) -> Result<ExitCode, WorkerError> {
    let options = TeardownOptions::new().drop_changes(arguments.drop_changes);
    if arguments.dry_run {
        return show(&preview_teardown(config, options).await?);
    }
    let tell = |step: &str| writeln!(io::stdout(), "{step}");
    finish(&teardown_with(config, options, tell).await?)
}
