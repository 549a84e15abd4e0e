//! What an adapter costs: each library with the context and without, side by side.
//!
//! ```text
//! for each place: a Unix socket on one core, and a network with latency
//!   for each library: plain and ours, a connection each
//!     for each operation: many small rounds, in each of them every variant, one right after the other
//!       ratio = the time of a variant / the time of the plain library in the same round
//! ```
//!
//! All in one run, on one throwaway server, because only the ratios carry over to another machine. That each variant leaves in
//! the WAL what it should is checked before: a fast wrong answer is worthless. No figure is asserted; the targets are printed
//! beside what was measured.

mod check;
mod databases;
mod libraries;
mod library;
mod measure;
mod network;
mod one_core;
mod options;
mod place;
mod report;
mod sessions;
mod table;
mod targets;
mod work;

use std::error::Error;
use std::process::ExitCode;

use bemi_tests::{Cluster, ClusterOptions};

use self::databases::Databases;
use self::one_core::OneCore;
use self::options::Options;
use self::place::{Kind, Place};

/// Any reason why the benchmark cannot go on; all of them are for a human to read.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// What a server of this size would have, with nothing running beside the measurements that could end up in one of them and
/// not in another.
const SETTINGS: [(&str, &str); 6] = [
    ("fsync", "on"),
    ("shared_buffers", "512MB"),
    ("autovacuum", "off"),
    ("checkpoint_timeout", "1h"),
    ("max_wal_size", "32GB"),
    ("jit", "off"),
];

fn main() -> ExitCode {
    match run(&Options::read()) {
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

fn run(options: &Options) -> Result<()> {
    let settings = SETTINGS
        .iter()
        .fold(ClusterOptions::new(), |options, (name, value)| options.set(name, value));
    let cluster = Cluster::start(&settings)?;
    let databases = library::on_its_own_thread(|| Databases::create(&cluster))?;

    let places = [Place::socket(&cluster), Place::network(&cluster, options.latency())?];
    let (mut round_trips, mut series) = (Vec::new(), Vec::new());
    for place in &places {
        let _one_core = match place.kind() {
            Kind::Socket => Some(OneCore::take(cluster.pid())?),
            Kind::Network(_) => None,
        };
        let time = library::on_its_own_thread(|| place.round_trip_time(&databases.tracked))?;
        round_trips.push((place.kind(), time));
        for library in options.libraries() {
            eprintln!("{library}, {place}");
            series.extend(libraries::measure(library, &databases, place, options)?);
        }
    }
    let server = library::on_its_own_thread(|| report::server(&cluster, &databases))?;
    report::print(&server, options, &round_trips, &series);
    library::on_its_own_thread(|| databases.close())
}
