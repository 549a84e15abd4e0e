//! The tables that are printed, to standard output, in Markdown.

use std::thread::available_parallelism;
use std::time::Duration;

use crate::indexes::{Set, Stored};
use crate::options::Options;
use crate::pages::Answers;
use crate::revert::Planned;
use crate::server::Server;
use crate::table::Times;

/// What the figures are figures of.
pub(crate) fn server(server: &Server) {
    let cores = available_parallelism().map_or_else(|_| "?".to_owned(), |cores| cores.to_string());
    println!("PostgreSQL {}, {cores} cores", server.cluster().binaries().version());
}

/// How long pages took.
pub(crate) fn pages(options: &Options, table_bytes: i64, all: &[Answers]) {
    println!(
        "\nA page of {} changes, {:.1} GB without indexes; {} questions each\n",
        options.changes,
        table_bytes as f64 / 1e9,
        options.questions
    );
    println!("| question | median | 99% | max | target |");
    println!("| --- | --- | --- | --- | --- |");
    for Answers { question, times, .. } in all {
        println!(
            "| {} | {} | {} | {} | {} |",
            question.name(),
            milliseconds(percentile(times, 50)),
            milliseconds(percentile(times, 99)),
            milliseconds(percentile(times, 100)),
            question.target().map_or_else(String::new, milliseconds)
        );
    }
    if options.plans {
        for Answers { question, plan, .. } in all {
            println!("\n{}:\n\n```\n{}```", question.name(), plan);
        }
    }
}

/// How long a whole table took.
pub(crate) fn table(options: &Options, rows: u32, mut times: Times) {
    println!(
        "\nA table of {rows} rows as of a point, over {} changes; {} rounds\n",
        options.table_changes, options.rounds
    );
    println!("| | min | median | max |");
    println!("| --- | --- | --- | --- |");
    let mut medians = Vec::new();
    for (name, times) in [
        ("`as_of(…).table(…)`", &mut times.ours),
        ("SQL by hand: DISTINCT ON", &mut times.by_distinct),
        ("SQL by hand: from key to key", &mut times.by_steps),
    ] {
        times.sort_unstable();
        let [min, median, max] = [0, 50, 100].map(|percent| percentile(times, percent));
        println!(
            "| {name} | {} | {} | {} |",
            milliseconds(min),
            milliseconds(median),
            milliseconds(max)
        );
        medians.push(median.as_secs_f64());
    }
    if let [ours, distinct, steps] = medians[..] {
        println!("\nours / the better of theirs: {:.2} (target: 2)", ours / distinct.min(steps));
    }
}

/// How long a plan took.
pub(crate) fn revert(options: &Options, rounds: &[Planned]) {
    let sorted = |part: fn(&Planned) -> Duration| {
        let mut times: Vec<Duration> = rounds.iter().map(part).collect();
        times.sort_unstable();
        times
    };
    println!(
        "\nThe plan of the revert of a transaction of {} changes; {} rounds\n",
        options.revert_changes, options.rounds
    );
    println!("| | min | median | max | target |");
    println!("| --- | --- | --- | --- | --- |");
    for (name, times, target) in [
        ("the changes are read", sorted(|round| round.read), ""),
        ("the plan is made", sorted(|round| round.planned), ""),
        ("together", sorted(|round| round.read + round.planned), "2000 ms"),
    ] {
        let [min, median, max] =
            [0, 50, 100].map(|percent| milliseconds(percentile(&times, percent)));
        println!("| {name} | {min} | {median} | {max} | {target} |");
    }
}

/// What indexes cost.
pub(crate) fn indexes(options: &Options, sets: &[Set], rounds: &[Vec<Stored>]) {
    println!(
        "\nStoring {} changes with one COPY; {} rounds\n",
        options.stored_changes, options.rounds
    );
    println!(
        "| indexes | changes/s | next to as setup makes it | CPU seconds a million | size of indexes, MB |"
    );
    println!("| --- | --- | --- | --- | --- |");
    for (place, set) in sets.iter().enumerate() {
        let of = |figure: &dyn Fn(&Stored, &Stored) -> Option<f64>| {
            let mut figures: Vec<f64> = rounds
                .iter()
                .filter_map(|round| figure(round.get(place)?, round.first()?))
                .collect();
            figures.sort_by(f64::total_cmp);
            figures
        };
        let millions = f64::from(options.stored_changes) / 1e6;
        let rate = of(&|stored, _| Some(millions * 1e6 / stored.time.as_secs_f64()));
        let ratio = of(&|stored, setup| Some(setup.time.as_secs_f64() / stored.time.as_secs_f64()));
        let cpu = of(&|stored, _| Some(stored.cpu?.as_secs_f64() / millions));
        let size = of(&|stored, _| Some(stored.index_bytes as f64 / 1e6));
        println!(
            "| {} | {:.0} | {:.2} ({:.2}–{:.2}) | {:.1} | {:.0} |",
            set.name(),
            middle(&rate),
            middle(&ratio),
            ratio.first().copied().unwrap_or(f64::NAN),
            ratio.last().copied().unwrap_or(f64::NAN),
            middle(&cpu),
            middle(&size)
        );
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

/// The smallest time that at least so many of a hundred do not exceed. The times are in ascending order; none of none is zero.
fn percentile(times: &[Duration], percent: usize) -> Duration {
    let place = (times.len() * percent).div_ceil(100).saturating_sub(1);
    times.get(place).copied().unwrap_or_default()
}

/// The middle one of values in ascending order; not a number where there are none.
fn middle(values: &[f64]) -> f64 {
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
