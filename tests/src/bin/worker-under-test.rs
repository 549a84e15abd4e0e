//! The worker, built afresh together with the tests that run it as a process.
//!
//! A test runs it by `WorkerCommand::under_test`.

use std::process::ExitCode;

fn main() -> ExitCode {
    bemi_worker::cli::main()
}
