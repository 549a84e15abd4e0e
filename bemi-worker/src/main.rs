//! The program `bemi-worker`; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    bemi_worker::cli::main()
}
