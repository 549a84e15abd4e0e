//! The table that is printed, to standard output.

use std::thread::available_parallelism;
use std::time::Duration;

use bemi_tests::Cluster;

use crate::options::Options;
use crate::round::Round;
use crate::run::Run;

/// Prints everything.
pub(crate) fn print(
    cluster: &Cluster,
    options: &Options,
    rounds: &[Round],
    latencies: &[Duration],
) {
    let cores = available_parallelism().map_or_else(|_| "?".to_owned(), |cores| cores.to_string());
    let row_bytes = Spread::of(rounds.iter().map(|round| round.row_bytes)).median;
    println!();
    println!("PostgreSQL {}, {cores} cores", cluster.binaries().version());
    println!(
        "{} changes a round, {} in a transaction, stored rows of {row_bytes:.0} bytes; {} rounds",
        options.changes, options.rows_per_transaction, options.rounds
    );
    println!();
    println!(
        "             {:^32}  {:^32}  {:>9}",
        "changes/s", "CPU seconds per million changes", "peak"
    );
    println!(
        "             {:>10} {:>10} {:>10}  {:>10} {:>10} {:>10}  {:>9}",
        "min", "median", "max", "program", "walsender", "session", "memory"
    );
    print_runs("read floor", options, rounds.iter().map(|round| round.read_floor));
    print_runs("store floor", options, rounds.iter().map(|round| round.store_floor));
    print_runs("ours", options, rounds.iter().map(|round| round.ours));
    let ratio = Spread::of(rounds.iter().map(Round::ratio));
    println!("ours / floor {:>10.2} {:>10.2} {:>10.2}", ratio.min, ratio.median, ratio.max);
    println!();
    println!(
        "commit to visible: p50 {}, p99 {}, max {}; {} transactions of one row, {} a second",
        milliseconds(percentile(latencies, 50)),
        milliseconds(percentile(latencies, 99)),
        milliseconds(percentile(latencies, 100)),
        options.latency_changes,
        options.latency_rate
    );
}

fn print_runs(name: &str, options: &Options, runs: impl Iterator<Item = Run> + Clone) {
    let changes = f64::from(options.changes);
    let rate = Spread::of(runs.clone().map(|run| changes / run.time.as_secs_f64()));
    let cpu = |part: fn(&Run) -> Option<Duration>| {
        let seconds = runs.clone().filter_map(|run| part(&run)).map(|time| time.as_secs_f64());
        number_if_any(seconds.map(|seconds| seconds * 1e6 / changes), 2, "")
    };
    let peak = runs.clone().filter_map(|run| run.peak_resident_bytes);
    println!(
        "{name:<12} {:>10.0} {:>10.0} {:>10.0}  {:>10} {:>10} {:>10}  {:>9}",
        rate.min,
        rate.median,
        rate.max,
        cpu(|run| run.program),
        cpu(|run| run.walsender),
        cpu(|run| run.sessions),
        number_if_any(peak.map(|bytes| bytes as f64 / 1e6), 0, " MB"),
    );
}

/// The median, or a dash where there is nothing that it could be of.
fn number_if_any(values: impl Iterator<Item = f64>, decimals: usize, unit: &str) -> String {
    let values: Vec<f64> = values.collect();
    if values.is_empty() {
        return "-".to_owned();
    }
    format!("{:.decimals$}{unit}", Spread::of(values.into_iter()).median)
}

fn milliseconds(time: Option<Duration>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| format!("{:.1} ms", time.as_secs_f64() * 1e3))
}

/// The smallest value that at least so many of a hundred do not exceed. The values are in ascending order.
fn percentile(values: &[Duration], percent: usize) -> Option<Duration> {
    values.get((values.len() * percent).div_ceil(100).checked_sub(1)?).copied()
}

/// How values are spread. Not a number, all three, where there are none.
#[derive(Clone, Copy, Debug)]
struct Spread {
    min: f64,
    median: f64,
    max: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        let at = |place: usize| values.get(place).copied().unwrap_or(f64::NAN);
        let last = values.len().saturating_sub(1);
        Self {
            min: at(0),
            median: f64::midpoint(at(last / 2), at(last.div_ceil(2))),
            max: at(last),
        }
    }
}
