//! What servers do to the worker, and that the worker does no harm to the source: WAL that piles up, slots that
//! are lost, servers that are restored, promoted, full, locked, read-only, or out of connections, and clocks
//! that jump.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod clocks;
mod destination;
mod failover;
mod idle;
mod pair;
mod predecessor;
mod restored;
mod retained;
mod senders;
mod slots;
