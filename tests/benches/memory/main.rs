//! How much memory the worker takes at most, where there is much of something.
//!
//! ```text
//! for each case: a new database, set up ─▶ what there is much of ─▶ bemi-worker run ─▶ stored, counted
//!                                                                    └ VmHWM: its peak; VmRSS: what it keeps
//! ```
//!
//! Each worker is a process of its own, so that one case does not hide behind another. What was stored is counted. No
//! figure is asserted.

mod case;
mod options;
mod report;
mod tables;
mod tracked;

use std::error::Error;
use std::process::ExitCode;

use bemi_tests::{Cluster, ClusterOptions};

use self::options::{Options, Part};

/// Any reason why the benchmark cannot go on; all of them are for a human to read.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What a server of this size would have, and room for a transaction of millions of rows.
const SETTINGS: [(&str, &str); 6] = [
    ("fsync", "on"),
    ("shared_buffers", "512MB"),
    ("maintenance_work_mem", "512MB"),
    ("max_wal_size", "16GB"),
    // Of ten thousand tables, made in one transaction.
    ("max_locks_per_transaction", "1024"),
    ("jit", "off"),
];

#[tokio::main]
async fn main() -> ExitCode {
    match measure(&Options::read()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

async fn measure(options: &Options) -> Result<()> {
    let settings = SETTINGS
        .iter()
        .fold(ClusterOptions::new(), |options, (name, value)| options.set(name, value));
    let cluster = Cluster::start(&settings)?;
    report::server(&cluster);
    report::cases();
    for case in case::all(options) {
        report::case(&case, &case.measure(&cluster).await?);
    }
    if options.has(Part::Tables) {
        report::resident(tables::measure(&cluster, options.tables).await?);
    }
    Ok(())
}
