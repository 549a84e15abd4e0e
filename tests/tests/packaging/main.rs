//! What the worker is packaged in: what its files say is what the worker takes, and what they say to each other fits.
//!
//! Containers are not run here: that takes a daemon. What is in these files is taken out of them, and the worker is
//! started with it as it would be there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod compose;
mod dockerfile;
mod files;
mod kubernetes;
mod page;
mod systemd;
mod worker;
