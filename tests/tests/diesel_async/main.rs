//! `bemi-diesel`'s async connection against a real server: what reaches the WAL, in which order, and that nothing else differs
//! from plain diesel-async.
//!
//! The order is read from a slot with `test_decoding`, which shows messages and changes as the worker gets them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod app;
mod autocommit;
mod cancellation;
mod errors;
mod inlined;
mod migrations;
mod pgbouncer;
mod pools;
mod streams;
mod texts;
mod transactions;
mod wire;
