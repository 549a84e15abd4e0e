//! Application context for every row that tokio-postgres writes to PostgreSQL: the tokio-postgres adapter of bemi.
//!
//! Wrap the client, run code in a scope, and each row change is preceded, in its own transaction, by a message in the
//! write-ahead log that says who made it, where and how. `bemi-worker` stores both side by side.
//!
//! ```no_run
//! use bemi_tokio_postgres::{BemiClient, Context, with_context};
//!
//! # async fn example(client: tokio_postgres::Client) -> Result<(), tokio_postgres::Error> {
//! let client = BemiClient::new(client);
//! with_context(Context::new().with("user_id", 42), async {
//!     client.execute("INSERT INTO todos (task) VALUES ($1)", &[&"Sleep"]).await
//! })
//! .await?;
//! # Ok(())
//! # }
//! ```
//!
//! ```text
//!  client, transaction ─▶ calls ─▶ tracking (bemi_core::adapter::plan, Session) ─▶ gate ─▶ tokio-postgres
//! ```
//!
//! What to do is decided in `bemi_core::adapter`, alike for all libraries; `calls` does it, for clients and
//! transactions alike.
//!
//! Invariants: a write inside a scope and its message are in one transaction, the message first, and nothing of another
//! task is in it. Reads, and writes outside any scope, run as if this crate were not there. A cancelled call leaves no
//! transaction open.

#[cfg(feature = "bb8")]
mod bb8;
mod calls;
mod client;
mod commit;
mod copy_in;
mod database;
#[cfg(feature = "deadpool")]
mod deadpool;
mod gate;
mod generic_client;
mod missing;
mod portal;
mod rows;
mod simple_query;
mod statement;
mod tracking;
mod transaction;
mod transaction_builder;

pub use bemi_core::statement::NotAFunctionName;
pub use bemi_core::{
    Context, ContextError, ContextFutureExt, MissingContext, MissingContextError, Redaction, Scope,
    Settings, add_context, carrier, current_context, record, spawn, spawn_blocking, with_context,
    with_context_sync, write, write_sync,
};

#[cfg(feature = "bb8")]
pub use self::bb8::BemiConnectionManager;
pub use self::client::BemiClient;
pub use self::copy_in::BemiCopyInSink;
#[cfg(feature = "deadpool")]
pub use self::deadpool::{BemiManager, BemiPool};
pub use self::generic_client::BemiGenericClient;
pub use self::portal::BemiPortal;
pub use self::rows::BemiRowStream;
pub use self::simple_query::BemiSimpleQueryStream;
pub use self::statement::{BemiStatement, ToBemiStatement};
pub use self::transaction::BemiTransaction;
pub use self::transaction_builder::BemiTransactionBuilder;

/// The examples of the README compile; one is about a pool.
#[cfg(all(doctest, feature = "deadpool"))]
#[doc = include_str!("../README.md")]
struct Readme;
