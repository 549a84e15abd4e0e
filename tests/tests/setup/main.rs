//! Setup, teardown, doctor and status against real servers, as their users run them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod adopt;
mod configuration;
mod coverage;
mod ddl;
mod doctor;
mod event_trigger;
mod fresh;
mod least_privilege;
mod postgrest;
mod refusals;
mod round_trip;
mod rules;
mod set_context;
mod slots;
mod tls;
mod tracking;
mod upgrade;
mod versions;
