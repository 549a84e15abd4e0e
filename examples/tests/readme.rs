//! What the README shows is what `cargo demo` prints.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

use std::process::Command;

const README: &str = include_str!("../../README.md");

/// The table that the README shows, up to its last column: that is the time.
fn shown() -> String {
    let (_, block) =
        README.split_once("```text\n primary_key").expect("the README shows the table");
    let (table, _) = block.split_once("\n```").unwrap();
    without_last_column(&format!(" primary_key{table}"))
}

fn without_last_column(table: &str) -> String {
    let end = table.lines().next().unwrap().rfind('|').unwrap();
    let cut = |line: &str| line.chars().take(end).collect::<String>().trim_end().to_owned();
    table.lines().map(cut).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_demo_prints_what_the_readme_shows() {
    let output = Command::new(env!("CARGO_BIN_EXE_demo")).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let (_, last_cell) = printed.lines().nth(2).unwrap().rsplit_once('|').unwrap();
    assert!(last_cell.trim().starts_with("20"), "the time of the commit: {last_cell}");
    assert_eq!(without_last_column(&printed), shown());
    let query = r#"-c 'SELECT "primary_key", "table", "operation", "before", "after", "context", "committed_at" FROM changes'"#;
    assert!(told.contains(query), "the line of psql that shows it: {told}");
}
