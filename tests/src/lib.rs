//! Throwaway PostgreSQL clusters, and the tests that run the whole family against them.
//!
//! The library is what tests and the demo stand on: it finds or fetches PostgreSQL ([`Binaries`]), runs a [`Cluster`] that is gone
//! when the process is gone, gives each test its own [`TestDatabase`], and runs the worker as a process of its own
//! ([`WorkerCommand`]). It holds no test itself; those are under `tests/`.
//!
//! Everything listens on the loopback interface only.

mod database;
mod error;
mod eventually;
mod pgbouncer;
mod port;
mod postgres;
mod tool;
mod worker;

pub use database::TestDatabase;
pub use error::{HarnessError, Tried};
pub use eventually::eventually;
pub use pgbouncer::PgBouncer;
pub use port::free_port;
pub use postgres::{
    Auth, Binaries, Cluster, ClusterOptions, StopMode, Wanted, available_majors, shared_cluster,
    smoke_majors,
};
pub use worker::{Output, RunningWorker, WorkerCommand};

/// The code of the guide, compiled: before and after, for each library.
#[cfg(doctest)]
#[doc = include_str!("../../docs/guide/adapters.md")]
struct AdapterGuide;
