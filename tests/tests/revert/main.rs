//! Changes, taken back: through the worker, the record and a plan, on a real server.
//!
//! Each sentence of docs/guide/revert.md is a test here.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod applying;
mod case;
mod conflicts;
mod histories;
mod selections;
mod statements;
