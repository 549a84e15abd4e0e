//! What the worker says of itself, against real servers: metrics, health, readiness and the log.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod address;
mod counts;
mod documented;
mod format;
mod log;
mod observed;
mod ready;
