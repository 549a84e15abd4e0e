//! Every kind of change, as it is stored: whole rows of `changes` in their order, through the worker, from a real server.
//!
//! How changes are delivered, and what the worker survives, is in `worker`; what becomes of each type's values in `values`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod cascades;
mod evasion;
mod expected;
mod extremes;
mod generated;
mod identities;
mod keys;
mod names;
mod order;
mod origins;
mod partitions;
mod replay;
mod savepoints;
mod shapes;
mod statements;
mod toast;
mod triggers;
mod truncate;
mod two_phase;
mod untracked;
