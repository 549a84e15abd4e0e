//! Transactions and savepoints as values that roll back when they are dropped.
//!
//! sqlx's own transactions are not used beneath: what they do when a call on them is cancelled can leave a transaction
//! open on a connection of the pool, or roll back the outer one in place of the inner one.

use std::fmt;
use std::ops::{Deref, DerefMut};

use bemi_core::adapter::Rewriting;
use sqlx::{Error, SqlStr};

use crate::BemiConnection;
use crate::call::{context_of, missing};
use crate::connection::Unsettled;

/// An open transaction or savepoint: the counterpart of sqlx's [`Transaction`](sqlx::Transaction).
///
/// It is rolled back when it is dropped without [`commit`](Self::commit). `&mut *tx` is a [`BemiConnection`] and so an
/// [`Executor`](sqlx::Executor); `tx.begin()` makes a savepoint.
///
/// The context is emitted before the first write, and again when it has changed. It is that of the scope in which the
/// write runs, not of the one in which the transaction was begun; a write outside any scope has none.
///
/// ```no_run
/// # async fn example(pool: bemi_sqlx::BemiPool) -> sqlx::Result<()> {
/// let mut tx = pool.begin().await?;
/// sqlx::query("UPDATE accounts SET balance = balance - $1 WHERE id = $2").bind(10).bind(1).execute(&mut *tx).await?;
/// sqlx::query("UPDATE accounts SET balance = balance + $1 WHERE id = $2").bind(10).bind(2).execute(&mut *tx).await?;
/// tx.commit().await?;
/// # Ok(())
/// # }
/// ```
pub struct BemiTransaction<'c> {
    connection: Held<'c>,
    /// 1 is the transaction, more are savepoints.
    depth: usize,
    open: bool,
}

/// A transaction that was begun on a pool has its connection, any other borrows it.
pub(crate) enum Held<'c> {
    Owned(BemiConnection),
    Borrowed(&'c mut BemiConnection),
}

/// The name of the savepoint that a transaction of this depth has.
pub(crate) fn savepoint_name(depth: usize) -> String {
    format!("bemi_savepoint_{}", depth.saturating_sub(1))
}

impl<'c> BemiTransaction<'c> {
    pub(crate) async fn begin(mut connection: Held<'c>) -> Result<Self, Error> {
        connection.settle().await?;
        if connection.depth == 0 {
            connection.unsettled = Unsettled::Rollback;
            connection.send("BEGIN").await?;
            connection.unsettled = Unsettled::Nothing;
            connection.session.begin();
        } else {
            // When this is cancelled, the savepoint may be there or not; nobody will miss it.
            let name = savepoint_name(connection.depth + 1);
            connection.send(format!("SAVEPOINT {name}")).await?;
            connection.session.savepoint(&name);
        }
        Ok(Self::opened(connection))
    }

    pub(crate) async fn begin_with(
        mut connection: Held<'c>,
        statement: SqlStr,
    ) -> Result<Self, Error> {
        connection.settle().await?;
        if connection.depth > 0 {
            return Err(Error::InvalidSavePointStatement);
        }
        let context = context_of(None);
        let text = Rewriting::of(
            &connection.session,
            &connection.settings,
            statement.as_str(),
            context.as_ref(),
        )
        .map_err(missing)?;
        if !text.after.is_open() {
            return Err(Error::BeginFailed);
        }
        connection.unsettled = Unsettled::Rollback;
        connection.send(text.sql).await?;
        connection.unsettled = Unsettled::Nothing;
        connection.session = text.after;
        Ok(Self::opened(connection))
    }

    fn opened(mut connection: Held<'c>) -> Self {
        connection.depth += 1;
        Self { depth: connection.depth, connection, open: true }
    }

    /// Commits the transaction, or releases the savepoint.
    ///
    /// # Errors
    ///
    /// Those of `COMMIT`, such as a deferred constraint that does not hold. The transaction is then rolled back.
    ///
    /// # Cancellation
    ///
    /// The transaction is either committed or rolled back. One inside another is committed.
    pub async fn commit(mut self) -> Result<(), Error> {
        let depth = self.depth;
        let connection = &mut *self.connection;
        connection.settle().await?;
        if depth == 1 {
            connection.send("COMMIT").await?;
            connection.session.end();
            connection.depth = 0;
            self.open = false;
        } else {
            // Whether its savepoint is released when this is cancelled or not, what was done is part of the transaction around it.
            self.open = false;
            connection.depth = depth - 1;
            let name = savepoint_name(depth);
            if let Err(error) = connection.send(format!("RELEASE SAVEPOINT {name}")).await {
                self.open = true;
                connection.depth = depth;
                return Err(error);
            }
            connection.session.release(&name);
        }
        Ok(())
    }

    /// Rolls back the transaction, or to the savepoint.
    ///
    /// # Errors
    ///
    /// When the connection does not work; the server then rolls back by itself.
    ///
    /// # Cancellation
    ///
    /// It is rolled back all the same, at the latest before the connection is used again.
    pub async fn rollback(mut self) -> Result<(), Error> {
        self.open = false;
        self.connection.roll_back_later(self.depth);
        self.connection.settle().await
    }
}

impl Drop for BemiTransaction<'_> {
    fn drop(&mut self) {
        if self.open {
            self.connection.roll_back_later(self.depth);
        }
    }
}

impl Deref for BemiTransaction<'_> {
    type Target = BemiConnection;

    fn deref(&self) -> &BemiConnection {
        &self.connection
    }
}

impl DerefMut for BemiTransaction<'_> {
    fn deref_mut(&mut self) -> &mut BemiConnection {
        &mut self.connection
    }
}

impl fmt::Debug for BemiTransaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BemiTransaction").field("depth", &self.depth).finish_non_exhaustive()
    }
}

impl Deref for Held<'_> {
    type Target = BemiConnection;

    fn deref(&self) -> &BemiConnection {
        match self {
            Self::Owned(connection) => connection,
            Self::Borrowed(connection) => connection,
        }
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut BemiConnection {
        match self {
            Self::Owned(connection) => connection,
            Self::Borrowed(connection) => connection,
        }
    }
}
