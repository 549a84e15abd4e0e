//! `bemi-seaorm` against a real server: what reaches the WAL, in which order, and that nothing else differs from plain sea-orm.
//!
//! The order is read from a slot with `test_decoding`, which shows messages and changes as the worker gets them.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, and macros of sea-orm make public items"
)]

mod app;
mod autocommit;
mod cancellation;
mod connections;
mod entities;
mod errors;
mod migrations;
mod models;
mod pgbouncer;
mod streams;
mod transactions;
mod wire;
