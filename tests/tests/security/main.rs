//! What somebody could try against the record, the worker and its secrets, and what stops them: the
//! tests behind SECURITY.md.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod append_only;
mod injection;
mod passwords;
mod roles;
mod secrets;
