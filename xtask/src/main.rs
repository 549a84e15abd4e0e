//! What is done with the repository itself.
//!
//! It depends on none of the family, so that it is there at once; what a task needs, the task builds.

mod faults;

use std::process::ExitCode;

use clap::Parser;

/// Does things with the repository itself
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    Faults(faults::Options),
}

fn main() -> ExitCode {
    let ended = match Task::parse() {
        Task::Faults(options) => faults::run(&options),
    };
    match ended {
        Ok(code) => code,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}
