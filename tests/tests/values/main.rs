//! Values: `before` and `after` are what `to_jsonb(row)` gives in the source, for every type that the server has.
//!
//! ```text
//!  draw ──▶ literal ──▶ values ──▶ tables ──▶ the server ──▶ the worker ──▶ changes
//!  chance    base types   put       columns,      │                            ║
//!                         together  writes        └── trigger ──▶ truth.log ═══╩═ compared
//! ```
//!
//! Each run draws anew. It prints its seed; `BEMI_SEED=… cargo test -p bemi-tests --test values` draws the same again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod definitions;
mod draw;
mod exceptions;
mod generated;
mod keys;
mod literal;
mod marked;
mod restore;
mod tables;
mod truth;
mod types;
mod values;

/// An identifier.
fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A string of SQL's, whatever `standard_conforming_strings` says.
fn sql_literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// As much of a value as a human can look at.
fn shortened(text: Option<&str>) -> String {
    let Some(text) = text else { return "NULL".to_owned() };
    let start: String = text.chars().take(600).collect();
    if start.len() < text.len() {
        format!("{start:?} … of {} bytes", text.len())
    } else {
        format!("{start:?}")
    }
}

/// What the server said.
fn message(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(told) => format!("{told}; {}", told.where_().unwrap_or_default()),
        None => error.to_string(),
    }
}
