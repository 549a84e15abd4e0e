//! The tables that are printed, to standard output, in Markdown.

use std::thread::available_parallelism;
use std::time::Duration;

use bemi_tests::Cluster;

use crate::Result;
use crate::databases::Databases;
use crate::library::{Name, Variant};
use crate::measure::Series;
use crate::options::Options;
use crate::place::Kind;
use crate::table::Table;
use crate::targets::Target;
use crate::work::{Operation, WRITES};

/// Settings of the server that the figures depend on.
const SETTINGS: &str = "SELECT string_agg(name || ' = ' || current_setting(name), ', ' ORDER BY name) FROM pg_settings \
    WHERE name IN ('fsync', 'synchronous_commit', 'wal_sync_method', 'wal_level', 'shared_buffers', 'autovacuum', 'jit')";

/// What the figures are figures of: the server and its settings.
///
/// # Errors
/// When the server cannot be asked.
pub(crate) async fn server(cluster: &Cluster, databases: &Databases) -> Result<String> {
    let client = databases.tracked.connect().await?;
    let settings: String = client.query_one(SETTINGS, &[]).await?.get(0);
    let cores = available_parallelism().map_or_else(|_| "?".to_owned(), |cores| cores.to_string());
    Ok(format!("PostgreSQL {}, {cores} cores; {settings}", cluster.binaries().version()))
}

/// Prints everything.
pub(crate) fn print(
    server: &str,
    options: &Options,
    round_trips: &[(Kind, Duration)],
    series: &[Series],
) {
    println!("\n{server}");
    println!(
        "rounds: {} on the socket, {} on the network; in each, {} statements, or {} transactions of {WRITES} writes",
        options.socket_rounds,
        options.network_rounds,
        options.batch,
        Operation::Transaction.count(options.batch)
    );
    for (place, time) in round_trips {
        println!("an empty round trip {place}: {}", milliseconds(*time));
        print_ratios(*place, options, series);
    }
    print_round_trips(options, series);
    print_targets(options, series);
}

/// What each variant took, beside the plain library.
fn print_ratios(place: Kind, options: &Options, series: &[Series]) {
    let mut table = Table::new(head());
    for (library, operation) in rows(options) {
        let of = |variant| find(series, place, library, operation, variant);
        let Some(plain) = of(Variant::Plain) else { continue };
        let time = Spread::of(plain.times.iter().map(Duration::as_secs_f64)).median;
        let mut row = vec![library.to_string(), operation.to_string()];
        row.push(milliseconds(Duration::from_secs_f64(time)));
        row.extend(Variant::COMPARED.map(|variant| {
            of(variant).map_or_else(String::new, |series| {
                let Spread { min, median, max } = Spread::of(series.ratios.iter().copied());
                format!("{median:.2} ({min:.2}–{max:.2})")
            })
        }));
        table.add(row);
    }
    println!("\n### {}\n\n{table}", capitalised(&place.to_string()));
}

/// What no noise disturbs.
fn print_round_trips(options: &Options, series: &[Series]) {
    let mut table = Table::new(head());
    for (library, operation) in rows(options) {
        let cell = |variant| {
            let mut found = series.iter().filter(|series| {
                (series.library, series.operation, series.variant) == (library, operation, variant)
            });
            let trips = found.find_map(Series::round_trips);
            trips.map_or_else(String::new, |trips| format!("{}", (trips * 100.0).round() / 100.0))
        };
        let mut row = vec![library.to_string(), operation.to_string(), cell(Variant::Plain)];
        row.extend(Variant::COMPARED.map(cell));
        table.add(row);
    }
    println!("### Round trips of one operation\n\n{table}");
}

/// What was meant, and what was measured.
fn print_targets(options: &Options, series: &[Series]) {
    let adapters: Vec<Name> = options.libraries().filter(|library| library.is_adapter()).collect();
    let head = ["", "", ""].map(str::to_owned).into_iter();
    let mut table = Table::new(head.chain(adapters.iter().map(ToString::to_string)));
    let is_measured = |operation| options.operations().any(|measured| measured == operation);
    for target in Target::all().filter(|target| is_measured(target.operation)) {
        let Target { place, operation, variant } = target;
        let mut row = vec![operation.to_string(), variant.to_string(), place.to_string()];
        row.extend(adapters.iter().map(|&library| {
            let Some(series) = find(series, place, library, operation, variant) else {
                return String::new();
            };
            let at_most = target.at_most(library);
            let median = Spread::of(series.ratios.iter().copied()).median;
            let verdict = if median <= at_most { "PASS" } else { "miss" };
            format!("{median:.3} of {at_most}: {verdict}")
        }));
        table.add(row);
    }
    println!("### Targets\n\n{table}");
}

/// The columns of tables with all variants.
fn head() -> impl Iterator<Item = String> {
    let variants = std::iter::once(Variant::Plain).chain(Variant::COMPARED);
    ["", ""].map(str::to_owned).into_iter().chain(variants.map(|variant| variant.to_string()))
}

/// The rows of tables with all operations.
fn rows(options: &Options) -> impl Iterator<Item = (Name, Operation)> {
    let operations = |library| options.operations().map(move |operation| (library, operation));
    options.libraries().flat_map(operations)
}

fn find(
    series: &[Series],
    place: Kind,
    library: Name,
    operation: Operation,
    variant: Variant,
) -> Option<&Series> {
    series.iter().find(|series| {
        (series.place, series.library) == (place, library)
            && (series.operation, series.variant) == (operation, variant)
    })
}

fn milliseconds(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1e3)
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
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
