//! Errors: sqlx's, as sea-orm wraps them, and those of our own.

use std::sync::Arc;

use bemi_core::MissingContextError;
use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr};
use sqlx::Error;

/// A connection that is not to PostgreSQL, or not over sqlx, was to be tracked.
///
/// ```
/// use bemi_seaorm::BemiDatabaseConnection;
/// use sea_orm::DatabaseConnection;
///
/// let refused = BemiDatabaseConnection::new(DatabaseConnection::default()).unwrap_err();
/// assert_eq!(
///     refused.to_string(),
///     "only a connection to PostgreSQL over sqlx can be tracked, and this one is `Disconnected`: \
///      connect to a URL that begins with `postgres://`"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "only a connection to PostgreSQL over sqlx can be tracked, and this one is `{kind}`: connect to a URL that begins \
     with `postgres://`"
)]
pub struct NotPostgres {
    /// What sea-orm calls it.
    pub(crate) kind: String,
}

impl From<NotPostgres> for DbErr {
    fn from(error: NotPostgres) -> Self {
        connection_error(error.to_string())
    }
}

/// The transaction is over, though somebody still holds it.
pub(crate) fn over() -> DbErr {
    connection_error(
        "this transaction is over: one around it was ended, or it was rolled back when one inside it could not be; \
         begin another",
    )
}

/// What was done in this transaction cannot be undone without the rest.
pub(crate) fn merged() -> DbErr {
    connection_error(
        "this nested transaction was committed by one that began before it and ended first, so it can only be rolled \
         back along with the one around both, which is done now; do not let nested transactions overlap",
    )
}

fn connection_error(message: impl Into<String>) -> DbErr {
    DbErr::Conn(RuntimeErr::Internal(message.into()))
}

/// As sqlx has the errors of those beneath it; the [`MissingContextError`] is its source.
pub(crate) fn missing(error: MissingContextError) -> Error {
    Error::Configuration(error.into())
}

pub(crate) fn exec_error(error: Error) -> DbErr {
    DbErr::Exec(RuntimeErr::SqlxError(Arc::new(error)))
}

pub(crate) fn query_error(error: Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(Arc::new(error)))
}

/// No connection could be had from the pool.
pub(crate) fn acquire_error(error: Error) -> DbErr {
    match error {
        Error::PoolTimedOut => DbErr::ConnectionAcquire(ConnAcquireErr::Timeout),
        Error::PoolClosed => DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed),
        error => DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))),
    }
}
