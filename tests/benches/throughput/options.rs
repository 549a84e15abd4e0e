//! How much is measured.

use clap::Parser;

/// Stores a backlog of changes, and compares the time with that of only reading it and of only storing it
#[derive(Clone, Debug, Parser)]
#[command(name = "throughput")]
pub(crate) struct Options {
    /// Changes in the backlog of each round
    #[arg(long, default_value_t = 200_000, value_parser = at_least_one())]
    pub(crate) changes: u32,

    /// Changes in each transaction of the backlog
    #[arg(long, default_value_t = 10, value_parser = at_least_one())]
    pub(crate) rows_per_transaction: u32,

    /// How often everything is measured
    #[arg(long, default_value_t = 3, value_parser = at_least_one())]
    pub(crate) rounds: u32,

    /// Transactions of one row whose latency is measured
    #[arg(long, default_value_t = 1000, value_parser = at_least_one())]
    pub(crate) latency_changes: u32,

    /// How many of those are begun in a second
    #[arg(long, default_value_t = 200, value_parser = at_least_one())]
    pub(crate) latency_rate: u32,

    /// Little of everything, in seconds, to prove that the benchmark works; its figures say nothing
    #[arg(long, conflicts_with_all = ["changes", "rounds", "latency_changes"])]
    short: bool,

    /// What cargo tells every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    /// Those of the command line; ends the process where they cannot be, as `--help` does.
    pub(crate) fn read() -> Self {
        let options = Self::parse();
        if options.short {
            Self { changes: 2000, rounds: 1, latency_changes: 50, ..options }
        } else {
            options
        }
    }
}

fn at_least_one() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=i64::from(i32::MAX))
}
