//! `changes` in partitions, and what becomes of changes that are old.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod aged;
mod deleted;
mod expired;
mod migrated;
mod missing;
mod plans;
