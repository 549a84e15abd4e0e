//! The record, asked over each adapter: the same questions by one generic function, against what the worker has stored. Then a
//! revert in the transaction of the caller, and what stands in the record afterwards.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod diesel;
mod diesel_async;
mod seaorm;
mod shop;
mod sqlx;
mod tokio_postgres;
