//! How much is measured.

use clap::{Parser, ValueEnum};

/// Asks a record of many changes, and shows how long the answers take, how the server finds them, and what its indexes cost
#[derive(Clone, Debug, Parser)]
#[command(name = "record")]
pub(crate) struct Options {
    /// Changes in the record that is asked for pages: 1.3 GB of disk for a million
    #[arg(long, default_value_t = 10_000_000, value_parser = at_least(1000))]
    pub(crate) changes: u32,

    /// Changes up to the point of which a whole table is told: a tenth as many rows
    #[arg(long, default_value_t = 1_000_000, value_parser = at_least(1000))]
    pub(crate) table_changes: u32,

    /// Changes of the transaction whose revert is planned
    #[arg(long, default_value_t = 10_000, value_parser = at_least(1))]
    pub(crate) revert_changes: u32,

    /// Changes that are stored with each set of indexes
    #[arg(long, default_value_t = 400_000, value_parser = at_least(1000))]
    pub(crate) stored_changes: u32,

    /// How often each page is asked for, of another record each time
    #[arg(long, default_value_t = 200, value_parser = at_least(1))]
    pub(crate) questions: u32,

    /// How often everything else is measured
    #[arg(long, default_value_t = 5, value_parser = at_least(1))]
    pub(crate) rounds: u32,

    /// What is measured; everything, if nothing is said
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) only: Vec<Part>,

    /// Shows the plans of the server, too
    #[arg(long)]
    pub(crate) plans: bool,

    /// Little of everything, in seconds, to prove that the benchmark works; its figures say nothing
    #[arg(long, conflicts_with_all = ["changes", "table_changes", "revert_changes", "stored_changes", "questions", "rounds"])]
    short: bool,

    /// What cargo tells every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Pages of a record of many changes
    Pages,
    /// A whole table as of a point
    Table,
    /// The plan of a revert
    Revert,
    /// What each index costs where changes are stored
    Indexes,
}

impl Options {
    /// Those of the command line; ends the process where they cannot be, as `--help` does.
    pub(crate) fn read() -> Self {
        let options = Self::parse();
        if options.short {
            Self {
                changes: 20_000,
                table_changes: 5000,
                revert_changes: 200,
                stored_changes: 5000,
                questions: 5,
                rounds: 1,
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

fn at_least(least: i64) -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(least..=i64::from(i32::MAX))
}
