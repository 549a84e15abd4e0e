//! Faults of every kind, and that `changes` is the truth all the same. See `docs/faults.md`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod failpoints;
mod forgotten;
mod proxy;
mod scenarios;
mod takeover;
