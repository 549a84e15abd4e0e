//! The frame of a program: its log, its runtime, Ctrl-C, and what it says when it fails.

use std::error::Error;
use std::process::ExitCode;

use crate::{Result, Stage};

/// What shells expect of a program that Ctrl-C has ended.
pub const INTERRUPTED: u8 = 130;

/// Runs `program` to its end on a runtime of its own, with warnings on standard error.
pub fn run(program: impl Future<Output = Result<ExitCode>>) -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::WARN)
        .init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failure(&error),
    };
    let code = runtime.block_on(program).unwrap_or_else(|error| failure(&*error));
    // A PostgreSQL that is still being made, or fetched, is not waited for: it ends with this process.
    runtime.shutdown_background();
    code
}

/// Plays `story` on a [`Stage`] with the tables of `schema`, and takes that down, also on Ctrl-C.
///
/// # Errors
///
/// Those of the stage and of the story.
pub async fn play(
    schema: &str,
    story: impl AsyncFnOnce(&mut Stage) -> Result<()>,
) -> Result<ExitCode> {
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    let interrupted = ExitCode::from(INTERRUPTED);
    let mut stage = tokio::select! {
        stage = Stage::set_up(schema) => stage?,
        _ = &mut interrupt => return Ok(interrupted),
    };
    let told = tokio::select! {
        told = story(&mut stage) => told.map(|()| ExitCode::SUCCESS),
        _ = &mut interrupt => Ok(interrupted),
    };
    stage.take_down().await?;
    told
}

fn failure(error: &dyn Error) -> ExitCode {
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        // Some errors tell their cause themselves.
        if !told.contains(&text) {
            told = format!("{told}: {text}");
        }
        source = cause.source();
    }
    eprintln!("error: {told}");
    ExitCode::FAILURE
}
