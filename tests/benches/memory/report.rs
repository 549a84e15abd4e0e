//! The tables that are printed, to standard output, as they are in the documentation.

use std::thread::available_parallelism;

use bemi_tests::Cluster;

use crate::case::{Case, Measured};
use crate::tables::ManyTables;

/// Says what it runs on.
pub(crate) fn server(cluster: &Cluster) {
    let cores = available_parallelism().map_or_else(|_| "?".to_owned(), |cores| cores.to_string());
    println!("PostgreSQL {}, {cores} cores", cluster.binaries().version());
    println!();
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

/// Many tables.
pub(crate) fn tables(many: &ManyTables) {
    println!();
    println!(
        "{} tables: peak {}, afterwards {}",
        many.tables,
        megabytes(many.resident.peak_bytes),
        megabytes(many.resident.now_bytes)
    );
    println!();
    println!("| what | time |");
    println!("| --- | --- |");
    for (what, time) in &many.times {
        println!("| {what} | {:.2} s |", time.as_secs_f64());
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
