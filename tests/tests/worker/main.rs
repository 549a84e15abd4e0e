//! The worker against real servers: what it stores, in which order, with which context, and what it
//! survives.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod backfill;
mod catalog;
mod ddl;
mod delivery;
mod encodings;
mod faults;
mod gaps;
mod known_breakers;
mod large;
mod pairing;
mod pgbench;
mod postgrest;
mod quarantine;
mod rows;
mod rules;
mod set_context;
mod table_events;
mod truth;
mod versions;
