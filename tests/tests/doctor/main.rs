//! Doctor on healthy and on deliberately broken databases, status and teardown, as operators run them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod examined;
mod healthy;
mod page;
mod planted;
mod status;
mod teardown;
