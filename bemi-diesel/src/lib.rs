//! Application context for every row that diesel writes to PostgreSQL: the diesel and diesel-async adapter of bemi.

#[cfg(feature = "async")]
mod asynchronous;
#[cfg(feature = "postgres")]
mod blocking;
#[cfg(any(feature = "postgres", feature = "async"))]
mod statement;

pub use bemi_core::statement::NotAFunctionName;
pub use bemi_core::{
    Context, ContextError, ContextFutureExt, MissingContext, MissingContextError, Redaction, Scope,
    Settings, add_context, current_context, spawn, spawn_blocking, with_context, with_context_sync,
    write, write_sync,
};

#[cfg(feature = "async")]
pub use self::asynchronous::{BemiAsyncPgConnection, BemiAsyncTransactionBuilder};
#[cfg(feature = "deadpool")]
pub use self::asynchronous::{BemiAsyncPool, BemiAsyncPoolConnection};
#[cfg(feature = "postgres")]
pub use self::blocking::BemiPgConnection;
