//! The record on the command line: what people see, what programs read, and how it ends.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod as_of;
mod changes;
mod elsewhere;
mod endings;
mod formats;
mod history;
mod requests;
mod revert;
mod shop;
mod tail;
mod terminal;
