//! How much is measured.

use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::library::Name;
use crate::work::Operation;

/// Compares statements with context to those of the plain library, for each adapter
#[derive(Clone, Debug, Parser)]
#[command(name = "adapters")]
pub(crate) struct Options {
    /// Only these libraries
    #[arg(long, value_delimiter = ',', value_enum)]
    libraries: Vec<Name>,

    /// Only these operations
    #[arg(long, value_delimiter = ',', value_enum)]
    operations: Vec<Operation>,

    /// Rounds on the Unix socket; each has every variant of an operation
    #[arg(long, default_value_t = 600, value_parser = at_least_one())]
    pub(crate) socket_rounds: u32,

    /// Rounds on the network
    #[arg(long, default_value_t = 150, value_parser = at_least_one())]
    pub(crate) network_rounds: u32,

    /// Statements of a variant in a round; of transactions a fifth of that
    #[arg(long, default_value_t = 10, value_parser = at_least_one())]
    pub(crate) batch: u32,

    /// Latency that the network adds to a round trip, half of it in each direction, in microseconds
    #[arg(long, default_value_t = 1000)]
    latency_us: u64,

    /// Little of everything, in seconds, to prove that the benchmark works; its figures say nothing
    #[arg(long, conflicts_with_all = ["socket_rounds", "network_rounds", "batch"])]
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
            Self { socket_rounds: 3, network_rounds: 3, batch: 2, ..options }
        } else {
            options
        }
    }

    /// The libraries to measure, in the order of the tables.
    pub(crate) fn libraries(&self) -> impl Iterator<Item = Name> {
        chosen(&self.libraries)
    }

    /// The operations to measure, in the order of the tables.
    pub(crate) fn operations(&self) -> impl Iterator<Item = Operation> {
        chosen(&self.operations)
    }

    /// What the network adds to a round trip.
    pub(crate) fn latency(&self) -> Duration {
        Duration::from_micros(self.latency_us)
    }
}

/// All, unless some are named.
fn chosen<T: ValueEnum + Copy + PartialEq>(named: &[T]) -> impl Iterator<Item = T> {
    let all = T::value_variants().iter().copied();
    all.filter(|value| named.is_empty() || named.contains(value))
}

fn at_least_one() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=i64::from(i32::MAX))
}
