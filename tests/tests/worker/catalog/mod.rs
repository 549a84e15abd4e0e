//! The catalog is as it is now, the stream is of the past: what a type or a key was altered to later
//! must not be told of a row that was written before.
//!
//! Nobody knows where in the WAL an alteration is. So values between two readings of the catalog are
//! kept as text, and named in `encoded`: what is exact, and what is text, is told here row by row.

mod composites;
mod keys;
mod leaves;
mod migrations;
mod types;

use bemi_tests::Tracked;
use serde_json::{Value, json};

/// A row of `t` after its change, with the columns that are text.
fn row(after: Value, encoded: &[&str]) -> (Value, Vec<String>) {
    (after, encoded.iter().map(ToString::to_string).collect())
}

/// A row of `t` that has a composite `p`.
fn exact(id: i32, p: Value) -> (Value, Vec<String>) {
    row(json!({"id": id, "p": p}), &[])
}

/// The same, where nobody knows what it was made of.
fn text(id: i32, p: &str) -> (Value, Vec<String>) {
    row(json!({"id": id, "p": p}), &["p"])
}

/// What is stored of the rows, in the order of the commits.
async fn stored(tracked: &Tracked) -> Vec<(Value, Vec<String>)> {
    let changes = tracked.changes().await;
    changes.into_iter().map(|change| (change.after, change.encoded.unwrap_or_default())).collect()
}

/// Runs statements, and waits until as many more changes are stored as they make.
async fn store_live(tracked: &Tracked, sql: &str, changes: i64) {
    let count = tracked.count().await;
    tracked.sql(sql).await;
    tracked.wait_for_count(count + changes).await;
}
