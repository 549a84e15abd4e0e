//! `doctor`: says what is wrong, and how to mend it; mends what is safe, where it is told to.

use std::io::{self, Write};
use std::process::ExitCode;

use super::Format;
use crate::WorkerError;
use crate::config::Config;
use crate::doctor::{self, Diagnosis, Finding, Fix, FixResult, Level};

const AFTER_HELP: &str = "\
Examples:
  bemi-worker doctor
  bemi-worker doctor --format json | jq -r '.findings[] | select(.level == \"fail\") | .fix'
  bemi-worker doctor --fix --dry-run

Exit code 3 if anything fails; with --fix, if anything still does. It changes nothing without --fix.
Each finding has a section in docs/findings.md.";

/// Check everything that can be wrong at source and destination; each finding says its fix
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// How the findings look
    #[arg(long, value_enum, default_value_t)]
    format: Format,

    /// Mend what is safe: publications, functions, triggers, tables and indexes of ours that are
    /// missing, altered or of another version. Replica identities, slots and settings of the server
    /// are left to you
    #[arg(long)]
    fix: bool,

    /// Tell what --fix would do, and change nothing
    #[arg(long, requires = "fix")]
    dry_run: bool,
}

pub(super) async fn run(arguments: &Arguments, config: &Config) -> Result<ExitCode, WorkerError> {
    let mut out = io::stdout();
    let diagnosis = if arguments.fix {
        let fixed = doctor::fix(config, arguments.dry_run).await?;
        match arguments.format {
            Format::Table => {
                write_fixes(&mut out, &fixed.fixes)?;
                if fixed.diagnosis.findings.iter().any(|finding| finding.level != Level::Ok) {
                    let now = if arguments.dry_run { "what is found now:" } else { LEFT };
                    writeln!(out, "\n{now}\n")?;
                }
                write_findings(&mut out, &fixed.diagnosis)?;
            }
            Format::Json => write_json(&mut out, &fixed)?,
        }
        fixed.diagnosis
    } else {
        let diagnosis = doctor::examine(config).await?;
        match arguments.format {
            Format::Table => write_findings(&mut out, &diagnosis)?,
            Format::Json => write_json(&mut out, &diagnosis)?,
        }
        diagnosis
    };
    Ok(if diagnosis.has_failed() { ExitCode::from(3) } else { ExitCode::SUCCESS })
}

const LEFT: &str = "what is left is not safe to be done by itself, and is yours to decide:";

fn write_json(out: &mut impl Write, value: &impl serde::Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value).map_err(io::Error::from)?;
    writeln!(out)
}

fn write_fixes(out: &mut impl Write, fixes: &[Fix]) -> io::Result<()> {
    if fixes.is_empty() {
        writeln!(out, "nothing to mend that is safe to be mended by itself")?;
    }
    for fix in fixes {
        let result = match fix.result {
            FixResult::Done => "done   ",
            FixResult::Planned => "would  ",
            FixResult::Refused => "REFUSED",
        };
        writeln!(out, "{result}  {} ({})", fix.what, fix.codes.join(", "))?;
        if let Some(error) = &fix.error {
            writeln!(out, "         why: {error}")?;
        }
    }
    Ok(())
}

fn write_findings(out: &mut impl Write, diagnosis: &Diagnosis) -> io::Result<()> {
    diagnosis.findings.iter().try_for_each(|finding| write_finding(out, finding))
}

fn write_finding(out: &mut impl Write, finding: &Finding) -> io::Result<()> {
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
    Ok(())
}
