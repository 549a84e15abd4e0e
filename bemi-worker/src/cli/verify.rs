//! `verify`: finds what was altered, removed or added since it was stored.

use std::io::{self, IsTerminal as _, Write};
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::Format;
use crate::WorkerError;
use crate::chain::{self, ChainHead, Chained, VerifyEvent, VerifyReport};
use crate::config::Given;

/// What tampering ends with.
const TAMPERED: u8 = 3;

/// How often the line moves on while nothing happens.
const TICK: Duration = Duration::from_millis(200);

const AFTER_HELP: &str = "\
Examples:
  bemi-worker verify
  BEMI_CHAIN_KEY=$(cat /run/secrets/chain_key) bemi-worker verify
  bemi-worker verify --format json | jq -r '\"\\(.head.number):\\(.head.hash)\"' > /elsewhere/head
  bemi-worker verify --head \"$(cat /elsewhere/head)\"

It finds changes that were altered, removed or added, and links that were: since tamper evidence was
turned on by `bemi-worker setup --tamper-evidence`. What retention dropped and erasure replaced is
no tampering. It reads the destination alone, and goes on while the worker stores.
Exit code 3 if something was tampered with, 4 if it cannot be told: there is no chain.";

/// Find what was altered, removed or added since it was stored, by the chain over it
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// A head of the chain that was kept elsewhere: that the chain still has it shows that its end was
    /// not cut off and that it was not made anew
    #[arg(long, value_name = "NUMBER:HASH")]
    head: Option<ChainHead>,

    /// How the report looks
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) async fn run(arguments: &Arguments, given: &Given) -> Result<ExitCode, WorkerError> {
    let mut chained = Chained::new(given.destination()?.clone());
    chained.changes_schema.clone_from(&given.changes_schema);
    chained.slot = given.slot.clone();
    chained.key = given.chain_key()?;
    let progress = Progress::start();
    let verified =
        chain::verify(&chained, arguments.head.as_ref(), |event| progress.show(event)).await;
    progress.end();
    let report = verified?;
    let mut out = io::stdout();
    match arguments.format {
        Format::Table => write_report(&mut out, &report)?,
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, &report).map_err(io::Error::from)?;
            writeln!(out)?;
        }
    }
    Ok(if report.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(TAMPERED) })
}

fn write_report(out: &mut impl Write, report: &VerifyReport) -> io::Result<()> {
    for finding in &report.findings {
        writeln!(out, "TAMPERED  {}", finding.what)?;
    }
    if report.is_cut_short {
        writeln!(out, "          and there may be more: it is not looked for")?;
    }
    let keyed = if report.is_keyed { "with the key" } else { "without a key" };
    writeln!(
        out,
        "{} changes are as they were stored, by {} links made {keyed}",
        report.verified, report.links
    )?;
    for (count, what) in [
        (report.erased, "of them were erased, and are as the erasure left them"),
        (report.expired, "more are older than what retention keeps"),
        (report.uncovered, "more are not covered: they were stored while tamper evidence was off"),
        (report.others, "more are of other slots"),
    ] {
        if count > 0 {
            writeln!(out, "{count} {what}")?;
        }
    }
    if !report.is_covering {
        writeln!(out, "what is stored now is not covered: tamper evidence is off")?;
    }
    if let Some(head) = &report.head {
        writeln!(out, "head {head}")?;
    }
    Ok(())
}

/// A line on a terminal.
struct Progress(Option<ProgressBar>);

impl Progress {
    fn start() -> Self {
        if !io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        bar.set_message("verifying the links");
        bar.enable_steady_tick(TICK);
        Self(Some(bar))
    }

    fn show(&self, event: VerifyEvent) {
        let Some(bar) = &self.0 else { return };
        bar.set_message(match event {
            VerifyEvent::Links(links) => format!("{links} links; verifying changes"),
            VerifyEvent::Changes(changes) => format!("{changes} changes"),
        });
    }

    /// Leaves the terminal to what is written next.
    fn end(self) {
        if let Some(bar) = self.0 {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nothing_is_not_told() {
        let mut told = Vec::new();
        let report =
            VerifyReport { verified: 7, links: 2, is_covering: true, ..VerifyReport::default() };
        write_report(&mut told, &report).unwrap();
        let told = String::from_utf8(told).unwrap();
        assert_eq!(told, "7 changes are as they were stored, by 2 links made without a key\n");
    }
}
