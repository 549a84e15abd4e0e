//! `doctor`: says what is wrong, and how to mend it.

use std::io::{self, Write};
use std::process::ExitCode;

use super::Format;
use crate::WorkerError;
use crate::config::Config;
use crate::doctor::{self, Diagnosis, Level};

const AFTER_HELP: &str = "\
Examples:
  bemi-worker doctor
  bemi-worker doctor --format json | jq -r '.findings[] | select(.level == \"fail\") | .fix'

Exit code 3 if anything fails. It changes nothing.";

/// Check everything that can be wrong at source and destination; each finding says its fix
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// How the findings look
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) async fn run(arguments: &Arguments, config: &Config) -> Result<ExitCode, WorkerError> {
    let diagnosis = doctor::examine(config).await?;
    let mut out = io::stdout();
    match arguments.format {
        Format::Table => write_table(&mut out, &diagnosis)?,
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, &diagnosis).map_err(io::Error::from)?;
            writeln!(out)?;
        }
    }
    Ok(if diagnosis.has_failed() { ExitCode::from(3) } else { ExitCode::SUCCESS })
}

fn write_table(out: &mut impl Write, diagnosis: &Diagnosis) -> io::Result<()> {
    for finding in &diagnosis.findings {
        let level = match finding.level {
            Level::Ok => "ok  ",
            Level::Note => "note",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        };
        writeln!(out, "{}  {level}  {}", finding.code, finding.what)?;
        if finding.level != Level::Ok {
            writeln!(out, "            why: {}", finding.why)?;
            writeln!(out, "            fix: {}", finding.fix)?;
            writeln!(out, "            see: {}", finding.docs)?;
        }
    }
    Ok(())
}
