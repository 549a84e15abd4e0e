//! Transactions and savepoints as values that roll back when they are dropped.

use std::fmt;
use std::sync::{Arc, Mutex as BlockingMutex, PoisonError};

use bemi_core::adapter::Plan;
use sea_orm::{AccessMode, DbErr, IsolationLevel, TransactionError};
use tokio::sync::{Mutex, MutexGuard};

use crate::BemiQueryStream;
use crate::answer::{Answer, Keep};
use crate::call::Call;
use crate::connection::Connection;
use crate::error::{exec_error, merged, over, query_error};
use crate::metric::Metrics;
use crate::nesting::{Id, Place};

/// An open transaction or savepoint: the counterpart of sea-orm's [`DatabaseTransaction`](sea_orm::DatabaseTransaction).
///
/// It is begun by [`TransactionTrait::begin`](sea_orm::TransactionTrait::begin) of a
/// [`BemiDatabaseConnection`](crate::BemiDatabaseConnection), or of another transaction, which makes a savepoint. It is rolled back
/// when it is dropped without [`commit`](Self::commit).
///
/// The context is emitted before the first write, and again when it has changed. It is that of the scope in which the
/// write runs, not of the one in which the transaction was begun; a write outside any scope has none.
///
/// ```no_run
/// use bemi_seaorm::BemiDatabaseConnection;
/// use sea_orm::{ConnectionTrait, DbErr, TransactionTrait};
///
/// # async fn example(db: BemiDatabaseConnection) -> Result<(), DbErr> {
/// let tx = db.begin().await?;
/// tx.execute_unprepared("UPDATE accounts SET balance = balance - 10 WHERE id = 1").await?;
/// tx.execute_unprepared("UPDATE accounts SET balance = balance + 10 WHERE id = 2").await?;
/// tx.commit().await?;
/// # Ok(())
/// # }
/// ```
pub struct BemiDatabaseTransaction {
    shared: Arc<Shared>,
    id: Id,
    /// It was begun inside another one, and read only.
    read_only_inside: bool,
    open: bool,
}

/// What a transaction and those inside it share.
struct Shared {
    connection: Mutex<Connection>,
    /// Transactions that were dropped while somebody else had the connection.
    dropped: BlockingMutex<Vec<Id>>,
    metrics: Metrics,
}

impl BemiDatabaseTransaction {
    pub(crate) async fn begin_on(
        mut connection: Connection,
        metrics: Metrics,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<Self, DbErr> {
        let begin = match modes(isolation_level, access_mode) {
            Some(modes) => format!("BEGIN {modes}"),
            None => "BEGIN".to_owned(),
        };
        let id = connection.begin(begin).await.map_err(query_error)?;
        let connection = Mutex::new(connection);
        let shared = Shared { connection, dropped: BlockingMutex::default(), metrics };
        Ok(Self { shared: Arc::new(shared), id, read_only_inside: false, open: true })
    }

    /// Begins a transaction inside this one.
    pub(crate) async fn begin_inside(
        &self,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<Self, DbErr> {
        let mut connection = self.connection().await?;
        let id = connection.savepoint().await.map_err(query_error)?;
        let inside = Self {
            shared: Arc::clone(&self.shared),
            id,
            read_only_inside: access_mode == Some(AccessMode::ReadOnly),
            open: true,
        };
        if let Some(modes) = modes(isolation_level, access_mode) {
            connection.send(format!("SET TRANSACTION {modes}")).await.map_err(exec_error)?;
        }
        Ok(inside)
    }

    /// Commits the transaction, or releases the savepoint.
    ///
    /// A nested transaction that is still open inside of it is committed with it.
    ///
    /// # Errors
    ///
    /// Those of `COMMIT`, such as a deferred constraint that does not hold. The transaction is then rolled back. Also when it
    /// is over, because one around it was ended before.
    ///
    /// # Cancellation
    ///
    /// The transaction is either committed or rolled back.
    pub async fn commit(mut self) -> Result<(), DbErr> {
        let mut connection = self.shared.settled().await?;
        match connection.nesting.place(self.id) {
            Place::Open(depth) => {
                // Whether its savepoint was released or not, what was done inside another transaction is part of that one:
                // from here on it is committed, even if this is cancelled.
                self.open = depth == 0;
                if let Err(error) = connection.commit(depth).await {
                    self.open = true;
                    return Err(query_error(error));
                }
            }
            Place::Merged => {}
            Place::Over => return Err(over()),
        }
        if self.read_only_inside {
            // Where it is read only nothing is emitted: the transaction around it does not have the message.
            connection.session.forget_message();
        }
        self.open = false;
        Ok(())
    }

    /// Rolls back the transaction, or to the savepoint.
    ///
    /// # Errors
    ///
    /// When the connection does not work; the server then rolls back by itself. Also when it was committed along with another
    /// one that began before it and ended first: then the whole transaction is rolled back.
    ///
    /// # Cancellation
    ///
    /// It is rolled back all the same, at the latest before the connection is used again.
    pub async fn rollback(self) -> Result<(), DbErr> {
        let shared = Arc::clone(&self.shared);
        let id = self.id;
        drop(self);
        let mut connection = shared.connection.lock().await;
        let part_of_another = connection.nesting.place(id) == Place::Merged;
        shared.settle(&mut connection).await?;
        if part_of_another { Err(merged()) } else { Ok(()) }
    }

    /// Runs the closure in a transaction inside this one: committed when it returns `Ok`, else rolled back.
    ///
    /// # Errors
    ///
    /// Those of the closure, and of the transaction.
    ///
    /// # Cancellation
    ///
    /// The transaction is rolled back.
    pub async fn transaction_async<F, T, E>(&self, callback: F) -> Result<T, TransactionError<E>>
    where
        F: for<'c> AsyncFnOnce(&'c Self) -> Result<T, E> + Send,
        T: Send,
        E: fmt::Display + fmt::Debug + Send,
    {
        self.transaction_with_config_async(callback, None, None).await
    }

    /// The same with an isolation level or an access mode.
    ///
    /// # Errors
    ///
    /// Those of the closure, and of the transaction. The server refuses an isolation level inside a transaction.
    ///
    /// # Cancellation
    ///
    /// The transaction is rolled back.
    pub async fn transaction_with_config_async<F, T, E>(
        &self,
        callback: F,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<T, TransactionError<E>>
    where
        F: for<'c> AsyncFnOnce(&'c Self) -> Result<T, E> + Send,
        T: Send,
        E: fmt::Display + fmt::Debug + Send,
    {
        let tx = self.begin_inside(isolation_level, access_mode).await?;
        let outcome = callback(&tx).await;
        tx.end(outcome).await
    }

    /// Commits what was done if it succeeded, else rolls back.
    pub(crate) async fn end<T, E>(self, outcome: Result<T, E>) -> Result<T, TransactionError<E>>
    where
        E: fmt::Display + fmt::Debug,
    {
        match outcome {
            Ok(value) => {
                self.commit().await?;
                Ok(value)
            }
            Err(error) => {
                self.rollback().await?;
                Err(TransactionError::Transaction(error))
            }
        }
    }

    /// Runs `call` to its end.
    pub(crate) async fn run(&self, call: Call, keep: Keep) -> Result<Answer, DbErr> {
        let mut connection = self.connection().await?;
        match connection.plan(&call) {
            Ok(plan) => Ok(connection.carry_out(plan, call, keep, &self.shared.metrics).await),
            Err(missing) => Ok(missing.into()),
        }
    }

    /// Runs `call` for its rows, which are read one by one where that needs no care.
    pub(crate) async fn stream(&self, call: Call) -> Result<BemiQueryStream<'_>, DbErr> {
        let mut connection = self.connection().await?;
        let metrics = &self.shared.metrics;
        match connection.plan(&call) {
            Ok(Plan::AsIs) => {
                let measurement = metrics.start(&call);
                Ok(BemiQueryStream::reading(connection, call, measurement))
            }
            Ok(plan) => {
                let answer = connection.carry_out(plan, call, Keep::AllRows, metrics).await;
                BemiQueryStream::of(answer)
            }
            Err(missing) => BemiQueryStream::of(missing.into()),
        }
    }

    /// The connection, when no other call uses it, ready for a call of this transaction.
    async fn connection(&self) -> Result<MutexGuard<'_, Connection>, DbErr> {
        let connection = self.shared.settled().await?;
        match connection.nesting.place(self.id) {
            Place::Open(_) | Place::Merged => Ok(connection),
            Place::Over => Err(over()),
        }
    }
}

impl Shared {
    async fn settled(&self) -> Result<MutexGuard<'_, Connection>, DbErr> {
        let mut connection = self.connection.lock().await;
        self.settle(&mut connection).await?;
        Ok(connection)
    }

    async fn settle(&self, connection: &mut Connection) -> Result<(), DbErr> {
        for id in std::mem::take(&mut *self.dropped()) {
            connection.roll_back_later(id);
        }
        connection.settle().await.map_err(query_error)
    }

    fn dropped(&self) -> std::sync::MutexGuard<'_, Vec<Id>> {
        self.dropped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for BemiDatabaseTransaction {
    fn drop(&mut self) {
        if self.open {
            self.shared.dropped().push(self.id);
        }
    }
}

impl fmt::Debug for BemiDatabaseTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BemiDatabaseTransaction").finish_non_exhaustive()
    }
}

/// The modes of a transaction as the server reads them, if any were asked for.
fn modes(
    isolation_level: Option<IsolationLevel>,
    access_mode: Option<AccessMode>,
) -> Option<String> {
    match (isolation_level, access_mode) {
        (Some(level), Some(mode)) => Some(format!("ISOLATION LEVEL {level} {mode}")),
        (Some(level), None) => Some(format!("ISOLATION LEVEL {level}")),
        (None, Some(mode)) => Some(mode.to_string()),
        (None, None) => None,
    }
}
