//! The worker, built afresh together with the tests that run it as a process.
//!
//! A test crate finds it as `env!("CARGO_BIN_EXE_worker-under-test")`.

use std::process::ExitCode;

fn main() -> ExitCode {
    bemi_worker::cli::main()
}
