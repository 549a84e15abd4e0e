//! Throwaway PostgreSQL clusters, and the tests that run the whole family against them.
//!
//! The library is what tests and the demo stand on: it finds or fetches PostgreSQL ([`Binaries`]), runs a [`Cluster`] that is gone
//! when the process is gone, gives each test its own [`TestDatabase`], and runs the worker as a process of its own
//! ([`WorkerCommand`]). For the tests of adapters it shows what reaches the WAL ([`ObservedDatabase`], [`journal`]), and cancels calls at
//! each of their await points ([`at_each_await_point`], [`Relay`]). For the tests of the worker it makes networks fail, and knows what must
//! be stored in the end ([`faults`]). It holds no test of the family itself; those are under `tests/`.
//!
//! Everything listens on the loopback interface only.

mod cancellation;
mod database;
mod error;
mod eventually;
mod explained;
pub mod faults;
pub mod journal;
mod memory;
mod observed;
mod pgbouncer;
mod port;
mod postgres;
mod relay;
mod statement_log;
mod tool;
mod tracked;
mod worker;

pub use cancellation::{
    at_each_await_point, cancelled_after, first_row, happened_or_not,
    happens_or_not_at_each_await_point,
};
pub use database::TestDatabase;
pub use error::{HarnessError, Tried};
pub use eventually::eventually;
pub use explained::Explained;
pub use memory::Resident;
pub use observed::{ObservedDatabase, merge_into_todo};
pub use pgbouncer::PgBouncer;
pub use port::free_port;
pub use postgres::{
    Auth, Binaries, Cluster, ClusterOptions, StopMode, Wanted, available_majors, shared_cluster,
    smoke_majors,
};
pub use relay::Relay;
pub use statement_log::statements_sent;
pub use tracked::{STORED_WITHIN, Stored, Tracked, WORKER_ROLE};
pub use worker::{Output, RunningWorker, WorkerCommand};

/// The code of the guide, compiled: before and after, for each library.
#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/adapters.md")]
struct AdapterGuide;

/// The code of the guide to tests, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/testing.md")]
struct TestingGuide;
