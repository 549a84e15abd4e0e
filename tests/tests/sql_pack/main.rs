//! The SQL pack: what anybody with psql can ask of the record, as the functions and views in schema
//! `bemi` answer it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod as_of;
mod guide;
mod history;
mod installation;
mod packed;
mod past;
mod points;
mod undo;
