//! How fast changes are stored, beside how fast they could be.
//!
//! ```text
//! for each round: a new database, a backlog of changes that its slot holds, then
//!   read floor    slot ─▶ pg_recvlogical ─▶ /dev/null
//!   ours          slot ─▶ bemi-worker ─▶ changes
//!   store floor   the rows that ours stored, in a file of the server's ─▶ COPY ─▶ a table like changes
//! at the end: one change at a time, from its commit until another session sees it
//! ```
//!
//! All in one run, on one throwaway server, because only the ratios carry over to another machine. What was stored is
//! counted and checked: a fast wrong answer is worthless. No figure is asserted.

mod backlog;
mod latency;
mod options;
mod proc;
mod report;
mod round;
mod run;
mod tracked;

use std::error::Error;
use std::process::ExitCode;

use bemi_tests::{Cluster, ClusterOptions};

use self::options::Options;

/// Any reason why the benchmark cannot go on; all of them are for a human to read.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What a server of this size would have, with nothing running beside the measurements that could end up in one of them and
/// not in another.
const SETTINGS: [(&str, &str); 7] = [
    ("fsync", "on"),
    ("shared_buffers", "512MB"),
    ("autovacuum", "off"),
    // Checkpoints are made between the measurements.
    ("checkpoint_timeout", "1h"),
    ("max_wal_size", "32GB"),
    ("jit", "off"),
    // Tells when the last change was stored.
    ("track_commit_timestamp", "on"),
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

    let mut rounds = Vec::new();
    for number in 1..=options.rounds {
        eprintln!("round {number} of {}", options.rounds);
        rounds.push(round::run(&cluster, options).await?);
    }
    eprintln!("latency of {} transactions", options.latency_changes);
    let latency = latency::measure(&cluster, options).await?;
    report::print(&cluster, options, &rounds, &latency);
    Ok(())
}
