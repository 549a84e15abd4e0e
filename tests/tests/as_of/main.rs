//! The record as of a point: what was there, what was not, and what nobody can tell.
//!
//! The names of the tests are the sentences of docs/guide/time-travel.md. One of them, in `histories`, is the
//! proof of the whole: random histories, and real snapshots taken between their transactions.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod asked;
mod chance;
mod columns;
mod coverage;
mod diff;
mod histories;
mod holes;
mod live;
mod points;
mod rows;
mod tables;
