//! Stores batches in the destination, exactly once.
//!
//! ```text
//! BEGIN · COPY changes · INSERT quarantine, table_events · UPDATE checkpoint WHERE epoch = mine · COMMIT
//! ```
//!
//! Invariant: changes and the checkpoint that covers them are committed in one transaction, and only
//! by the worker that holds the newest epoch. A source transaction is never split over two of
//! these: a batch that does not end one leaves the transaction open for the next.

mod checkpoint;
mod fence;
mod quarantine;
mod rows;
mod store;
mod table_events;
mod tables;
mod version;

pub(crate) use self::checkpoint::Checkpoint;
pub(crate) use self::fence::take_over;
pub(crate) use self::rows::{RowSink, Written, prepare_session};
pub(crate) use self::store::Sink;
pub(crate) use self::tables::{CREATE_STATEMENTS, TABLES_VERSION};
pub(crate) use self::version::{check_version, tables_version};
