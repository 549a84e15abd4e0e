//! Why a recording cannot go on.

use std::sync::Arc;

use bemi_core::record::{RecordError, RevertError};
use bemi_worker::WorkerError;
use bemi_worker::config::ConfigError;

/// Why a recording cannot be started, or cannot do what it is asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address of the database cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),

    /// The database cannot be set up or taken back, such as for want of a privilege or of `wal_level = logical`.
    #[error(transparent)]
    Worker(#[from] WorkerError),

    /// Somebody else tracks the database.
    #[error(
        "this database is set up by bemi already, with publication {publication}; record in a database of its own, or run `bemi-worker teardown` there first"
    )]
    AlreadySetUp {
        /// The publication of that set-up.
        publication: String,
    },

    /// Another recording of the same database did not end.
    #[error(
        "another recording of this database has not ended for {seconds} s; finish it, or give each test a database of its own"
    )]
    InUse {
        /// How long it was waited for.
        seconds: u64,
    },

    /// The worker that stores the changes has ended.
    #[error("the worker that stores the changes has ended: {source}")]
    Stopped {
        /// Why.
        source: Arc<WorkerError>,
    },

    /// The record does not answer, or what was committed is not stored in time.
    #[error(transparent)]
    Record(#[from] RecordError<tokio_postgres::Error>),

    /// The rows cannot be brought back: something stands in the way, or the record does not tell how they were. Nothing was
    /// changed.
    #[error(transparent)]
    Revert(#[from] RevertError<tokio_postgres::Error>),

    /// The database refused, or the connection broke.
    #[error("cannot {doing}: {source}")]
    Database {
        /// What was being done, as a verb.
        doing: &'static str,
        /// What the driver said.
        source: tokio_postgres::Error,
    },

    /// There is nothing to go forward to: nothing was rolled back.
    #[error("nothing was rolled back, so there is nothing to go forward to")]
    NothingAhead,

    /// The thread that the recording runs in cannot be started, or has ended.
    #[error("the recording's own thread does not run: {0}")]
    Thread(#[source] std::io::Error),
}
