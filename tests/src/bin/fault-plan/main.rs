//! Carries out the fault plan of one seed. `cargo xtask faults` runs many of them, and says where the worker is.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bemi_tests::faults::{FAULT_NAMES, Plan};
use clap::Parser;

/// How long a run may take, on a machine that is busy.
const RUN_MAX: Duration = Duration::from_secs(600);

/// Carries out the fault plan of one seed, and exits with 1 where the worker did not survive it
#[derive(Debug, Parser)]
struct Arguments {
    /// What the plan follows from
    #[arg(long)]
    seed: u64,
    /// Draws faults of this kind alone
    #[arg(long, value_parser = FAULT_NAMES)]
    only: Option<String>,
    /// Shows the plan, and does nothing
    #[arg(long)]
    show: bool,
    /// Where to put what there is to see of a run that failed
    #[arg(long, value_name = "FOLDER", default_value = "target/faults")]
    keep: PathBuf,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let plan = Plan::draw(arguments.seed, arguments.only.as_deref());
    if arguments.show {
        println!("{plan}");
        return ExitCode::SUCCESS;
    }
    let Ok(report) = tokio::time::timeout(RUN_MAX, plan.run(&arguments.keep)).await else {
        println!("did not end within {} s\n{plan}", RUN_MAX.as_secs());
        return ExitCode::FAILURE;
    };
    println!("{report}");
    if report.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
