//! Why a question about the record has no answer.

use crate::Lsn;

/// Why a question about the record has no answer. `E` is the library's error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError<E: std::error::Error + 'static> {
    /// The database refused, or the connection broke.
    #[error("cannot {doing}: {source}")]
    Database {
        /// What was being done, as a verb: `read changes`.
        doing: &'static str,
        /// What the library said.
        source: E,
    },

    /// Setup has not run for this database, or `changes` is in another schema.
    #[error(
        "there is no record here: {what} is missing; run `bemi-worker setup`, or name the schema of changes"
    )]
    NotSetUp {
        /// What is missing.
        what: String,
    },

    /// The worker has not stored everything up to the point, and did not within the time to wait.
    #[error(
        "the worker has stored everything up to {stored}, and the question is about {asked}; is it running? Ask `bemi-worker status`, or wait longer"
    )]
    NotStoredYet {
        /// What was asked for: an LSN or an instant.
        asked: String,
        /// Up to where everything is stored.
        stored: Lsn,
    },

    /// Several workers store into this destination, and nobody said whose changes it is about.
    #[error("several slots are stored here: {}; say which one it is about", slots.join(", "))]
    SeveralSlots {
        /// Their names.
        slots: Vec<String>,
    },

    /// The connection that was given as the source is to another database.
    #[error("the source that was given is {found}, and the record is of {wanted}; connect to that")]
    OtherSource {
        /// Database and cluster of the connection.
        found: String,
        /// Database and cluster that the record is of.
        wanted: String,
    },

    /// The point names something that the record does not have.
    #[error("{what} is not in the record")]
    NoSuchPoint {
        /// The change or transaction.
        what: String,
    },

    /// More changes are to be reverted at once than can be held in memory.
    #[error("there are more than {limit} changes to revert; revert them in parts")]
    TooManyChanges {
        /// How many there can be.
        limit: usize,
    },

    /// What the database answered is not what was asked for.
    #[error("cannot understand what the record says about {what}: {source}")]
    Unreadable {
        /// What was read.
        what: &'static str,
        /// What is wrong with it.
        source: serde_json::Error,
    },

    /// A row of the past is no value of the type that was asked for.
    #[error("the row of {table} is not a value of the type that was asked for: {source}")]
    OtherType {
        /// The table.
        table: String,
        /// What serde says.
        source: serde_json::Error,
    },
}
