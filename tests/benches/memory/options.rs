//! How much there is of it.

use clap::{Parser, ValueEnum};

/// Gives the worker much of something, and shows how much memory it takes
#[derive(Clone, Debug, Parser)]
#[command(name = "memory")]
pub(crate) struct Options {
    /// Rows in the large transaction: 1 GB of disk for a million
    #[arg(long, default_value_t = 10_000_000, value_parser = at_least_one())]
    pub(crate) rows: u32,

    /// The size of the set of large rows, in megabytes
    #[arg(long, default_value_t = 500, value_parser = at_least_one())]
    pub(crate) set_mb: u32,

    /// The size of each row of it, in kilobytes; a set for each that is given
    #[arg(long, value_delimiter = ',', default_values_t = [10, 1000, 10_000, 100_000], value_parser = at_least_one())]
    pub(crate) row_kb: Vec<u32>,

    /// The size of the large value, in megabytes
    #[arg(long, default_value_t = 100, value_parser = at_least_one())]
    pub(crate) value_mb: u32,

    /// How many tables there are
    #[arg(long, default_value_t = 10_000, value_parser = at_least_one())]
    pub(crate) tables: u32,

    /// What is measured; everything, if nothing is said
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) only: Vec<Part>,

    /// Little of everything, in seconds, to prove that the benchmark works; its figures say nothing
    #[arg(long, conflicts_with_all = ["rows", "set_mb", "row_kb", "value_mb", "tables"])]
    short: bool,

    /// What cargo tells every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// A worker with nothing to do
    Idle,
    /// One transaction of many small rows
    Rows,
    /// One transaction of large rows
    Set,
    /// One row with a large value: inserted, updated, deleted
    Value,
    /// The set of large rows again, while the destination stores nothing for a while
    Blocked,
    /// Many tables: setup, the first row of each, status, doctor
    Tables,
}

impl Options {
    /// Those of the command line; ends the process where they cannot be, as `--help` does.
    pub(crate) fn read() -> Self {
        let options = Self::parse();
        if options.short {
            Self {
                rows: 20_000,
                set_mb: 10,
                row_kb: vec![1000],
                value_mb: 2,
                tables: 50,
                ..options
            }
        } else {
            options
        }
    }

    /// Whether that is wanted.
    pub(crate) fn has(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

fn at_least_one() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=i64::from(i32::MAX))
}
