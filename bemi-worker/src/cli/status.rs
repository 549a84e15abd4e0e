//! `status`: how the worker does.

use std::io::{self, Write};
use std::process::ExitCode;

use super::{Format, table};
use crate::WorkerError;
use crate::backfill::BaselineStatus;
use crate::config::Config;
use crate::status::{self, Status};

const AFTER_HELP: &str = "\
Examples:
  bemi-worker status
  bemi-worker status --format json | jq .lag_bytes

It asks the databases alone: the worker may run elsewhere, or not at all.
Exit code 3 if the source is not set up.";

/// Tell how far behind the worker is, what it has stored, what it could not, and by which rules
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// How the status looks
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) async fn run(arguments: &Arguments, config: &Config) -> Result<ExitCode, WorkerError> {
    let status = status::read(config).await?;
    let mut out = io::stdout();
    match arguments.format {
        Format::Table => write_table(&mut out, config, &status)?,
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, &status).map_err(io::Error::from)?;
            writeln!(out)?;
        }
    }
    let is_set_up = status.slot.is_some() && status.stored.is_some();
    Ok(if is_set_up { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

fn write_table(out: &mut impl Write, config: &Config, status: &Status) -> io::Result<()> {
    let mut rows: Vec<[String; 2]> = Vec::new();
    let mut row = |name: &str, value: String| rows.push([name.to_owned(), value]);
    match &status.slot {
        Some(slot) => {
            let active = if slot.active { "active" } else { "inactive, no worker runs" };
            row("slot", format!("{} ({active}, WAL {})", slot.name, slot.wal_status));
            row("held WAL", bytes(slot.held_bytes));
        }
        None => row("slot", format!("{} is missing; run `bemi-worker setup`", config.slot)),
    }
    match &status.stored {
        Some(stored) => {
            let lag = status.lag_bytes.map_or_else(|| "unknown".to_owned(), bytes);
            let time = status.lag_seconds.map(|seconds| format!(", {seconds:.1} s"));
            row("lag", lag + &time.unwrap_or_default());
            row(
                "last commit stored",
                stored.last_commit.clone().unwrap_or_else(|| "none so far".to_owned()),
            );
            row("stored up to", stored.position.to_string());
            row("changes", stored.changes.to_string());
            row("transactions", stored.transactions.to_string());
            row("ignored", stored.ignored.to_string());
            row("gaps", stored.gaps.to_string());
            row("quarantined", stored.quarantined.to_string());
        }
        None => row("checkpoint", "is missing; run `bemi-worker setup`".to_owned()),
    }
    if let Some(told) = baselines(&status.baselines) {
        row("baselines", told);
    }
    if status.request_triggers > 0 {
        row(
            "PostgREST",
            format!("requests give their context to {} tables", status.request_triggers),
        );
    }
    if status.rules.as_ref().is_some_and(|rules| rules.ddl) {
        row("DDL", "recorded".to_owned());
    }
    if let Some(rules) = &status.rules {
        let masks = rules.masked.iter().map(|masked| format!("{}={}", masked.columns, masked.mask));
        let lists = [
            ("tables", rules.tables.clone()),
            ("excluded tables", rules.excluded.clone()),
            ("full identity", rules.full_identity.clone()),
            ("ignored columns", rules.ignored.clone()),
            ("masked columns", masks.collect()),
        ];
        for (name, patterns) in lists.iter().filter(|(_, patterns)| !patterns.is_empty()) {
            row(name, patterns.join(", ").replace(['\n', '\r'], " "));
        }
    }
    table::write(out, rows)
}

/// What is stored of the rows that were there before; nothing to tell where nobody asked for it.
fn baselines(baselines: &[BaselineStatus]) -> Option<String> {
    let finished = baselines.iter().filter(|baseline| baseline.finished).count();
    let open = baselines.len() - finished;
    let rows: i64 = baselines.iter().map(|baseline| baseline.rows).sum();
    let last = baselines.iter().filter_map(|baseline| baseline.position).max()?;
    let tables = if finished == 1 { "table" } else { "tables" };
    let mut told = format!("{finished} {tables}, {rows} rows, the last at {last}");
    if open > 0 {
        told.push_str(&format!("; {open} not finished, `bemi-worker backfill` goes on"));
    }
    Some(told)
}

/// In the unit that leaves few digits.
fn bytes(count: u64) -> String {
    let units = [("GB", 30), ("MB", 20), ("kB", 10)];
    units.iter().find(|(_, shift)| count >> shift >= 10).map_or_else(
        || format!("{count} bytes"),
        |(unit, shift)| format!("{} {unit}", count >> shift),
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn bytes_are_told_in_the_unit_that_leaves_few_digits() {
        let told = [0, 10_239, 10_240, 20_000_000, 20_000_000_000].map(super::bytes);
        assert_eq!(told, ["0 bytes", "10239 bytes", "10 kB", "19 MB", "18 GB"]);
    }
}
