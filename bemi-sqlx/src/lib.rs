//! Application context for every row that sqlx writes to PostgreSQL: the sqlx adapter of bemi.
//!
//! Wrap the pool, run code in a scope, and each row change is preceded, in its own transaction, by a message in the
//! write-ahead log that says who made it, where and how. `bemi-worker` stores both side by side.
//!
//! ```no_run
//! use bemi_sqlx::{BemiPool, Context, with_context};
//!
//! # async fn example(pool: sqlx::PgPool) -> sqlx::Result<()> {
//! let pool = BemiPool::new(pool);
//! with_context(Context::new().with("user_id", 42), async {
//!     sqlx::query("INSERT INTO todos (task) VALUES ($1)").bind("Sleep").execute(&pool).await
//! })
//! .await?;
//! # Ok(())
//! # }
//! ```
//!
//! ```text
//!  executor ─▶ call (a query taken apart) ─▶ bemi_core::adapter::plan ─▶ carry_out ─▶ sqlx
//!                                             ▲                             │
//!                                  Session (transaction, savepoints, governing message)
//! ```
//!
//! What to do is decided in `bemi_core::adapter`, alike for all libraries; `carry_out`, `connection`, `transaction` and `copy` do it.
//!
//! Invariants: a write inside a scope and its message are in one transaction, the message first. Reads, and writes outside any
//! scope, run as if this crate were not there. A cancelled call leaves no transaction open.

mod answer;
mod call;
mod carry_out;
mod connection;
mod copy;
mod database;
mod executor;
mod pool;
mod transaction;

pub use bemi_core::statement::NotAFunctionName;
pub use bemi_core::{
    Context, ContextError, ContextFutureExt, MissingContext, MissingContextError, Redaction, Scope,
    Settings, add_context, carrier, current_context, record, spawn, spawn_blocking, with_context,
    with_context_sync, write, write_sync,
};

pub use self::connection::{BemiConnection, BemiPoolConnection};
pub use self::copy::BemiCopyIn;
pub use self::pool::BemiPool;
pub use self::transaction::BemiTransaction;

/// The examples of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
