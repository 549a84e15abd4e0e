//! The tables that are printed, to standard output, as they are in the documentation.

use std::thread::available_parallelism;
use std::time::Duration;

use bemi_tests::{Cluster, Resident};

use crate::case::{Case, Measured};

/// Says what it runs on.
pub(crate) fn server(cluster: &Cluster) {
    let cores = available_parallelism().map_or_else(|_| "?".to_owned(), |cores| cores.to_string());
    println!("PostgreSQL {}, {cores} cores", cluster.binaries().version());
    println!();
}

/// The head of the table of cases.
pub(crate) fn cases() {
    println!("| case | largest row | peak | beyond the row | afterwards | time |");
    println!("| --- | --- | --- | --- | --- | --- |");
}

/// One case.
pub(crate) fn case(case: &Case, measured: &Measured) {
    let peak = measured.resident.peak_bytes;
    println!(
        "| {} | {} | {} | {} | {} | {:.1} s |",
        case.name,
        if case.row_bytes == 0 { "small".to_owned() } else { megabytes(case.row_bytes) },
        megabytes(peak),
        megabytes(peak.saturating_sub(case.row_bytes)),
        megabytes(measured.resident.now_bytes),
        measured.time.as_secs_f64()
    );
}

/// The head of the table of what is done with many tables.
pub(crate) fn tables(tables: u32) {
    println!();
    println!("| {tables} tables | time |");
    println!("| --- | --- |");
}

/// One thing that was done with them.
pub(crate) fn time(what: &str, time: Duration) {
    println!("| {what} | {:.2} s |", time.as_secs_f64());
}

/// What the worker took.
pub(crate) fn resident(resident: Resident) {
    println!();
    println!(
        "peak {}, afterwards {}",
        megabytes(resident.peak_bytes),
        megabytes(resident.now_bytes)
    );
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
