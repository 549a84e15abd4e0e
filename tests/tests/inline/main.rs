//! A statement with its message in it does what it does without: the same rows, the same count, the same answer, the same error.
//!
//! Each statement runs as it is on one copy of a table, and with [`with_message`](bemi_core::statement::with_message) on another,
//! on the installed PostgreSQL and on the oldest and the newest that can be had.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod concurrency;
mod journal;
mod objects;
mod statements;
mod twins;
mod types;
