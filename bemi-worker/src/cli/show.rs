//! `show`: one change in full.

use std::io::Write;
use std::process::ExitCode;

use bemi_core::ChangeId;
use bemi_core::record::RecordError;

use super::asking;
use super::output_options::{OutputOptions, standard_output};
use crate::WorkerError;
use crate::config::Given;
use crate::view::{AnswerFormat, ChangesView, detail};

const AFTER_HELP: &str = "\
Examples:
  bemi-worker show 018bcfe5-6800-8a40-9b52-e72401e8144d
  bemi-worker show 018bcfe5-6800-8a40-9b52-e72401e8144d --format json | jq .context

`history`, `changes` and `tail` tell the ids. Exit code 4 if the record has no such change.";

/// Show one change in full: its context, its fields, and where it stands
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// The change's id
    #[arg(value_name = "ID")]
    id: ChangeId,

    #[command(flatten)]
    output: OutputOptions,
}

pub(super) async fn run(arguments: &Arguments, given: &Given) -> Result<ExitCode, WorkerError> {
    let mut record = asking::record(given).await?;
    let Some(change) = record.change(arguments.id).await? else {
        let what = format!("the change {}", arguments.id);
        return Err(RecordError::NoSuchPoint { what }.into());
    };
    let (format, screen) = (arguments.output.format, arguments.output.screen());
    let mut out = standard_output();
    match format {
        AnswerFormat::Table => detail::write(&mut out, screen, &change)?,
        AnswerFormat::Json | AnswerFormat::Csv => {
            ChangesView::begin(&mut out, format, screen)?.write(&mut out, &change)?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
