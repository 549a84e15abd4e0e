//! `status`: how the worker does, once or again and again.

use std::io::{self, IsTerminal as _, Write};
use std::process::ExitCode;
use std::time::Duration;

use super::{Format, table};
use crate::WorkerError;
use crate::backfill::BaselineStatus;
use crate::config::Config;
use crate::status::{self, HistoryStatus, Status, Watch};

const AFTER_HELP: &str = "\
Examples:
  bemi-worker status
  bemi-worker status --watch 5
  bemi-worker status --format json | jq .lag_bytes
  bemi-worker status --watch --format json | jq -c '[.lag_bytes, .slot.held_bytes]'

It asks the databases alone: the worker may run elsewhere, or not at all. Rates are what was stored
between two looks: a second apart, or as far as --watch says.
Exit code 3 if the source is not set up, 6 if a database is away; what the source holds is told all
the same. --watch ends when told to, with 130.";

/// Puts the cursor home and clears what is behind it: less flicker than clearing first.
const HOME: &str = "\x1b[H";
const CLEAR_REST: &str = "\x1b[J";
const CLEAR_ALL: &str = "\x1b[2J";

/// Tell how far behind the worker is, what it has stored, what it could not, and by which rules
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// How the status looks
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// Look again every so many seconds, until told to stop: redrawn on a terminal; as JSON, an
    /// object a line
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        default_missing_value = "2",
        value_parser = clap::value_parser!(u32).range(1..=86_400)
    )]
    watch: Option<u32>,
}

pub(super) async fn run(arguments: &Arguments, config: &Config) -> Result<ExitCode, WorkerError> {
    if let Some(seconds) = arguments.watch {
        let pause = Duration::from_secs(u64::from(seconds));
        return watch(arguments.format, pause, config).await;
    }
    let status = status::read(config).await?;
    let mut out = io::stdout();
    match arguments.format {
        Format::Table => write_table(&mut out, config, &status)?,
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, &status).map_err(io::Error::from)?;
            writeln!(out)?;
        }
    }
    if let Some(why) = &status.destination_away {
        eprintln!("error: {why}");
        return Ok(ExitCode::from(6));
    }
    let is_set_up = status.slot.is_some() && status.stored.is_some();
    Ok(if is_set_up { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

/// Until it is dropped, or nobody reads any more. A database that goes away is told, and waited for.
async fn watch(format: Format, pause: Duration, config: &Config) -> Result<ExitCode, WorkerError> {
    // What cannot be reached to begin with is a mistake.
    let mut open = Some(Watch::open(config).await?);
    let is_screen = format == Format::Table && io::stdout().is_terminal();
    if is_screen {
        io::stdout().write_all(CLEAR_ALL.as_bytes())?;
    }
    let mut is_first = true;
    loop {
        let looked = match &mut open {
            Some(watch) => watch.look().await,
            None => match Watch::open(config).await {
                Ok(watch) => open.insert(watch).look().await,
                Err(error) => Err(error),
            },
        };
        match looked {
            Ok(status) => {
                if status.destination_away.is_some() {
                    open = None;
                }
                let mut page = Vec::new();
                match format {
                    Format::Table if is_screen => {
                        write!(page, "{HOME}{CLEAR_REST}")?;
                        write_table(&mut page, config, &status)?;
                    }
                    Format::Table => {
                        if !is_first {
                            writeln!(page)?;
                        }
                        write_table(&mut page, config, &status)?;
                    }
                    Format::Json => {
                        serde_json::to_writer(&mut page, &status).map_err(io::Error::from)?;
                        writeln!(page)?;
                    }
                }
                // At once, so that a reader never sees half of it.
                let mut out = io::stdout().lock();
                out.write_all(&page)?;
                out.flush()?;
                is_first = false;
            }
            Err(error) if error.is_transient() => {
                open = None;
                eprintln!("note: {error}; looking again in {} s", pause.as_secs());
            }
            Err(error) => return Err(error),
        }
        tokio::time::sleep(pause).await;
    }
}

fn write_table(out: &mut impl Write, config: &Config, status: &Status) -> io::Result<()> {
    let mut rows: Vec<[String; 2]> = Vec::new();
    let mut row = |name: &str, value: String| rows.push([name.to_owned(), value]);
    match &status.slot {
        Some(slot) => {
            let active = if slot.active { "active" } else { "inactive, no worker runs" };
            row("slot", format!("{} ({active}, WAL {})", slot.name, slot.wal_status));
            let safe = slot.safe_bytes.map(|safe| format!(", lost after {} more", bytes(safe)));
            row("held WAL", bytes(slot.held_bytes) + &safe.unwrap_or_default());
        }
        None => row("slot", format!("{} is missing; run `bemi-worker setup`", config.slot)),
    }
    match &status.stored {
        Some(stored) => {
            let lag = status.lag_bytes.map_or_else(|| "unknown".to_owned(), bytes);
            let time = status.lag_seconds.map(|seconds| format!(", {seconds:.1} s"));
            row("lag", lag + &time.unwrap_or_default());
            if let Some(rate) = &status.throughput {
                row("throughput", throughput(rate));
            }
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
        None if status.destination_away.is_some() => {
            row("destination", "is away: what it holds is not known".to_owned());
        }
        None => row("checkpoint", "is missing; run `bemi-worker setup`".to_owned()),
    }
    if let Some(worker) = &status.worker {
        let uptime = duration(worker.uptime_seconds);
        row("uptime", format!("{uptime}, streaming since {}", worker.streaming_since));
    }
    if let Some(told) = status.history.as_ref().and_then(history) {
        row("history", told);
    }
    if let Some(kept) = status.history.as_ref().and_then(|history| history.kept_since.as_ref()) {
        row("kept since", kept.clone());
    }
    if status.sql_pack {
        row("SQL pack", "installed".to_owned());
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

fn throughput(rate: &status::Throughput) -> String {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "never negative, and rounded for people"
    )]
    let wal = bytes(rate.bytes_per_second.round() as u64);
    format!("{:.0} changes/s, {wal} of WAL/s, over {:.1} s", rate.changes_per_second, rate.seconds)
}

/// Since when tables can be gone back to.
fn history(history: &HistoryStatus) -> Option<String> {
    let (first, all) = (history.first_since.as_ref()?, history.all_since.as_ref()?);
    let tables = match history.tables {
        1 => "1 table".to_owned(),
        count => format!("{count} tables"),
    };
    Some(if first == all {
        format!("{tables}, since {all}")
    } else {
        format!("{tables}, all since {all}, the first since {first}")
    })
}

/// In the two largest units.
fn duration(seconds: f64) -> String {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "what is negative becomes 0, which is as good where clocks differ"
    )]
    let seconds = seconds as u64;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
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
    fn durations_are_told_in_their_two_largest_units() {
        let told = [0.4, 59.9, 61.0, 3_661.0, 200_000.0, -5.0].map(super::duration);
        assert_eq!(told, ["0 s", "59 s", "1 min 1 s", "1 h 1 min", "2 d 7 h", "0 s"]);
    }

    #[test]
    fn bytes_are_told_in_the_unit_that_leaves_few_digits() {
        let told = [0, 10_239, 10_240, 20_000_000, 20_000_000_000].map(super::bytes);
        assert_eq!(told, ["0 bytes", "10239 bytes", "10 kB", "19 MB", "18 GB"]);
    }
}
