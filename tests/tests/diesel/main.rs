//! `bemi-diesel`'s blocking connection against a real server: what reaches the WAL, in which order, and that nothing else differs
//! from plain diesel.
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
mod copy;
mod errors;
mod migrations;
mod own_types;
mod panics;
mod pools;
mod rows;
mod texts;
mod traits;
mod transactions;
mod wire;
