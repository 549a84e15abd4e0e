//! Recordings in tests: what they tell of a piece of code, what they put into the database, and that nothing of it is left.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod app;
mod assertions;
mod installation;
mod recording;
mod time_travel;
