//! The values and contracts of bemi: automatic, context-aware change tracking for PostgreSQL.
//!
//! An application makes a [`Context`] ambient for a stretch of code, a [scope]. The adapters
//! (`bemi-sqlx` and its siblings) emit it as a [`ContextMessage`] before each write, in the same
//! transaction. `bemi-worker` reads message and rows back from the WAL and stores each row change
//! as a [`Change`] in the table [`changes`](changes_table).
//!
//! ```text
//! with_context(ctx, …) ─▶ scope ─▶ adapter: Statement::classify ─▶ ContextMessage ─▶ WAL ─▶ worker ─▶ Change
//! ```
//!
//! This crate does no I/O and knows no database library. It is what the adapters and the worker
//! must agree on, and it depends on neither. Nothing here fails a request, unless a write outside any
//! scope was said to be an error ([`MissingContext::Deny`]).
//!
//! ```
//! use bemi_core::{Context, current_context, with_context};
//! # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
//! # runtime.block_on(async {
//! let context = Context::new().with("user_id", 42).with("endpoint", "/todos");
//! with_context(context, async {
//!     assert_eq!(current_context().unwrap().get("user_id"), Some(&42.into()));
//! })
//! .await;
//! # });
//! # Ok::<(), std::io::Error>(())
//! ```

pub mod adapter;
pub mod carrier;
mod change;
mod change_id;
pub mod changes_table;
mod context;
mod declared;
mod message;
mod position;
pub mod record;
pub mod scope;
mod settings;
pub mod statement;

pub use change::{Change, Operation, UnknownOperation};
pub use change_id::{ChangeId, Origin};
pub use context::{Context, ContextError};
pub use declared::{Write, write, write_sync};
pub use message::{
    ContextMessage, DDL_PREFIX, HEARTBEAT_PREFIX, MESSAGE_PREFIX, MessageOptions, Redaction,
    SIZE_LIMIT_DEFAULT_BYTES, SIZE_LIMIT_MAX_BYTES, SPACER_PREFIX, SqlCapture, TABLE_PREFIX,
};
pub use position::{CommitPosition, InvalidLsn, Lsn, Sequence, TransactionId};
pub use scope::{
    ContextFutureExt, Scope, add_context, current_context, spawn, spawn_blocking, with_context,
    with_context_sync,
};
pub use settings::{MissingContext, MissingContextError, Settings};

/// The code of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
