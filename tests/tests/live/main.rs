//! The worker's face for HTTP, against real servers: the stream of changes, the history of records for
//! people outside, and what nobody gets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod access;
mod consumer;
mod events;
mod filters;
mod guide;
mod hostile;
mod http;
mod live;
mod records;
mod resume;
mod serve;
mod slow;
mod stream;
