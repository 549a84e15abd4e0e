//! Application context for every row that diesel writes to PostgreSQL: the diesel and diesel-async adapter of bemi.
//!
//! Wrap the connection, run code in a scope, and each row change is preceded, in its own transaction, by a message in the
//! write-ahead log that says who made it, where and how. `bemi-worker` stores both side by side.
//!
#![cfg_attr(feature = "postgres", doc = "```no_run")]
#![cfg_attr(not(feature = "postgres"), doc = "```ignore")]
//! use bemi_diesel::{BemiPgConnection, Context, with_context_sync};
//! use diesel::prelude::*;
//! # diesel::table! { todos (id) { id -> Integer, task -> Text, } }
//!
//! # fn example(connection: PgConnection) -> QueryResult<()> {
//! let mut connection = BemiPgConnection::new(connection);
//! with_context_sync(Context::new().with("user_id", 42), || {
//!     diesel::insert_into(todos::table).values(todos::task.eq("Sleep")).execute(&mut connection)
//! })?;
//! # Ok(())
//! # }
//! ```
//!
//! ```text
//!  query ─▶ statement (its text) ─▶ bemi_core::adapter::plan ─┬▶ blocking ─▶ PgConnection
//!                                    ▲                        └▶ asynchronous ─▶ AsyncPgConnection
//!             Session (transaction, savepoints, governing message)
//! ```
//!
//! What to do is decided in `bemi_core::adapter`, alike for all libraries; `blocking` and `asynchronous` do it.
//!
//! | feature | gives |
//! | --- | --- |
//! | `postgres`, on by default | the blocking connection, over libpq |
//! | `r2d2` | pools of it |
//! | `async` | the connection of diesel-async, without libpq |
//! | `deadpool`, `bb8` | pools of that one |
//!
//! Invariants: a write inside a scope and its message are in one transaction, the message first. Reads, and writes outside any
//! scope, run as if this crate were not there. A call that is cancelled or panics leaves no transaction open.

#[cfg(feature = "async")]
mod asynchronous;
#[cfg(feature = "postgres")]
mod blocking;
#[cfg(any(feature = "postgres", feature = "async"))]
mod question;
#[cfg(any(feature = "postgres", feature = "async"))]
mod statement;

pub use bemi_core::statement::NotAFunctionName;
pub use bemi_core::{
    Context, ContextError, ContextFutureExt, MissingContext, MissingContextError, Redaction, Scope,
    Settings, add_context, carrier, current_context, record, spawn, spawn_blocking, with_context,
    with_context_sync, write, write_sync,
};

#[cfg(feature = "async")]
pub use self::asynchronous::{BemiAsyncPgConnection, BemiAsyncTransactionBuilder};
#[cfg(feature = "deadpool")]
pub use self::asynchronous::{BemiAsyncPool, BemiAsyncPoolConnection};
#[cfg(feature = "postgres")]
pub use self::blocking::BemiPgConnection;

/// The examples of the README compile.
#[cfg(all(doctest, feature = "r2d2", feature = "deadpool", feature = "bb8"))]
#[doc = include_str!("../README.md")]
struct Readme;
