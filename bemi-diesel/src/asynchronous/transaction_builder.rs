//! Transactions with an isolation level, read-only and deferrable ones.
//!
//! diesel-async has a builder for them, which cannot be had for a connection other than its own.

use diesel::result::Error;
use diesel_async::{AnsiTransactionManager, TransactionManager};

use super::BemiAsyncPgConnection;

/// A transaction that is not begun yet: the counterpart of diesel-async's
/// [`TransactionBuilder`](diesel_async::pg::TransactionBuilder).
///
/// ```no_run
/// # use bemi_diesel::BemiAsyncPgConnection;
/// # async fn example(connection: &mut BemiAsyncPgConnection) -> diesel::QueryResult<()> {
/// use diesel::QueryResult;
/// use diesel_async::RunQueryDsl;
///
/// connection
///     .build_transaction()
///     .repeatable_read()
///     .run(async |connection| {
///         diesel::sql_query("DELETE FROM todos WHERE done").execute(connection).await?;
///         QueryResult::Ok(())
///     })
///     .await
/// # }
/// ```
#[must_use = "it does nothing without `run`"]
#[derive(Debug)]
pub struct BemiAsyncTransactionBuilder<'c> {
    connection: &'c mut BemiAsyncPgConnection,
    isolation_level: &'static str,
    access: &'static str,
    deferrable: &'static str,
}

impl<'c> BemiAsyncTransactionBuilder<'c> {
    pub(super) fn new(connection: &'c mut BemiAsyncPgConnection) -> Self {
        Self { connection, isolation_level: "", access: "", deferrable: "" }
    }

    /// `READ ONLY`: nothing is emitted, and a write fails.
    pub fn read_only(self) -> Self {
        Self { access: " READ ONLY", ..self }
    }

    /// `READ WRITE`.
    pub fn read_write(self) -> Self {
        Self { access: " READ WRITE", ..self }
    }

    /// `DEFERRABLE`: a transaction that is serializable and read only may wait before it begins, and then never fails.
    pub fn deferrable(self) -> Self {
        Self { deferrable: " DEFERRABLE", ..self }
    }

    /// `NOT DEFERRABLE`.
    pub fn not_deferrable(self) -> Self {
        Self { deferrable: " NOT DEFERRABLE", ..self }
    }

    /// `ISOLATION LEVEL READ COMMITTED`.
    pub fn read_committed(self) -> Self {
        Self { isolation_level: " ISOLATION LEVEL READ COMMITTED", ..self }
    }

    /// `ISOLATION LEVEL REPEATABLE READ`.
    pub fn repeatable_read(self) -> Self {
        Self { isolation_level: " ISOLATION LEVEL REPEATABLE READ", ..self }
    }

    /// `ISOLATION LEVEL SERIALIZABLE`.
    pub fn serializable(self) -> Self {
        Self { isolation_level: " ISOLATION LEVEL SERIALIZABLE", ..self }
    }

    /// Begins the transaction, runs `code` in it, and commits where that gives `Ok`; else rolls back.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyInTransaction`] where one is open, what `code` gives, and the errors of `BEGIN`, `COMMIT` and `ROLLBACK`.
    ///
    /// # Cancellation
    ///
    /// As that of diesel-async's `transaction`: it stays open on a connection that is kept; a pool does not hand such a one out again.
    pub async fn run<T, E, F>(self, code: F) -> Result<T, E>
    where
        F: AsyncFnOnce(&mut BemiAsyncPgConnection) -> Result<T, E>,
        E: From<Error>,
    {
        let Self { connection, isolation_level, access, deferrable } = self;
        let begin = format!("BEGIN TRANSACTION{isolation_level}{access}{deferrable}");
        AnsiTransactionManager::begin_transaction_sql(connection, &begin).await?;
        match code(connection).await {
            Ok(value) => {
                AnsiTransactionManager::commit_transaction(connection).await?;
                Ok(value)
            }
            Err(error) => match AnsiTransactionManager::rollback_transaction(connection).await {
                // That one is rather the consequence than the cause.
                Ok(()) | Err(Error::BrokenTransactionManager) => Err(error),
                Err(error) => Err(error.into()),
            },
        }
    }
}
