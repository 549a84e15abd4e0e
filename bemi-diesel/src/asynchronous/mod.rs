//! diesel-async: a connection that emits the context, and its way into the pools.
//!
//! ```text
//!  query ─▶ Call (its text, and diesel-async's own future) ─▶ Plan ─▶ carry_out ─▶ AsyncPgConnection
//!  text ─────────────────────────────────────────────────────▶ Plan ─▶ watched ──▶      〃
//! ```
//!
//! diesel-async lets several futures share one connection, and puts what each sends on the wire in the order in which they are
//! polled first. That is how the message goes ahead of the write without a round trip of its own, and how a `ROLLBACK` follows a
//! call that was cancelled, without anybody to wait for it.
//!
//! Invariant: a future that is dropped leaves no transaction of ours open: what ends it is on the wire by then.

mod abandoned;
mod call;
mod connection;
mod database;
#[cfg(feature = "deadpool")]
mod deadpool;
#[cfg(any(feature = "deadpool", feature = "bb8"))]
mod pool;
mod transaction_builder;
mod watched;

pub use self::connection::BemiAsyncPgConnection;
#[cfg(feature = "deadpool")]
pub use self::deadpool::{BemiAsyncPool, BemiAsyncPoolConnection};
pub use self::transaction_builder::BemiAsyncTransactionBuilder;

use diesel::QueryResult;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};

/// Sends a text by the simple query protocol. It is on the wire when the future was polled once.
async fn send(mut raw: &AsyncPgConnection, sql: &str) -> QueryResult<()> {
    raw.batch_execute(sql).await
}
