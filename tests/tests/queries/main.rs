//! Questions about changes: filters, pages, the history of a record, activity, and following what is new.
//!
//! What is stored, and what is in it, is in `changes` and `worker`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod asked;
mod filters;
mod follow;
mod histories;
mod pages;
mod plans;
mod refusals;
mod requests;
