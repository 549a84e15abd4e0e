//! Tamper evidence and erasure, against real servers: each kind of tampering is planted and must be found,
//! and what is no tampering must not be.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod chained;
mod erased;
mod keys;
mod planted;
mod quiet;
