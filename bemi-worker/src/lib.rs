//! Stores every row change of a PostgreSQL database, with its context, exactly once.

pub mod backfill;
mod batch;
pub mod chain;
pub mod cli;
pub mod config;
pub mod connect;
mod decode;
pub mod doctor;
pub mod erase;
mod error;
#[cfg(not(feature = "failpoints"))]
mod failpoint;
#[cfg(feature = "failpoints")]
pub mod failpoint;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod http;
mod metrics;
mod partitions;
pub mod pipeline;
mod rate_limited;
mod render;
mod retention;
pub mod setup;
mod sink;
mod source;
pub mod status;
mod stitch;
mod view;

pub use error::{Problem, Problems, WorkerError};
