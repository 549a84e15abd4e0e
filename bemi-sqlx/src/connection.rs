//! A connection that emits the context, and what becomes of it when a call on it is cancelled.
//!
//! Whatever opens a transaction marks the connection as unsettled first and takes the mark away when the transaction
//! is over. A future that is dropped in between leaves the mark: the next call rolls back before it does anything else, and
//! a connection that nobody calls any more is rolled back on its way to the pool.
//!
//! Invariant: no connection returns to the pool inside an open transaction.

use std::fmt;
use std::ops::{Deref, DerefMut};

use bemi_core::Settings;
use bemi_core::adapter::Session;
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Connection, Error, Executor, PgConnection, Postgres, SqlSafeStr};

use crate::BemiTransaction;
use crate::transaction::{Held, savepoint_name};

/// How many errors of statements that were cancelled may come before the answer to a ROLLBACK.
const STALE_ERRORS_MAX: usize = 8;

/// A connection whose writes carry the context: the counterpart of sqlx's [`PgConnection`].
///
/// It is had from [`BemiPool::acquire`](crate::BemiPool::acquire) or as `&mut *tx` of a [`BemiTransaction`], and
/// `&mut BemiConnection` is an [`Executor`].
///
/// Transactions that are begun and ended as text (`BEGIN`, `SAVEPOINT a`, `COMMIT`) are followed. One that is still open
/// when the connection is given back to the pool is rolled back.
pub struct BemiConnection {
    /// None only while it is being dropped, or taken out by a method that consumes the connection.
    raw: Option<PoolConnection<Postgres>>,
    pub(crate) settings: Settings,
    pub(crate) session: Session,
    pub(crate) unsettled: Unsettled,
    /// How many [`BemiTransaction`]s are open, one inside the other.
    pub(crate) depth: usize,
    /// It is being rolled back on its way to the pool: if that fails it is closed.
    last_call: bool,
}

/// What must be done before the connection can be used again. The greater one includes the lesser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsettled {
    Nothing,
    /// A transaction of this depth was dropped: what it did since its savepoint is to be undone.
    RollbackTo {
        depth: usize,
    },
    /// Possibly a transaction that nobody will end.
    Rollback,
    /// Client and server may disagree about where they are, and no statement can find out.
    Broken,
}

impl BemiConnection {
    pub(crate) fn new(raw: PoolConnection<Postgres>, settings: Settings) -> Self {
        Self {
            raw: Some(raw),
            settings,
            session: Session::default(),
            unsettled: Unsettled::Nothing,
            depth: 0,
            last_call: false,
        }
    }

    /// Begins a transaction, or, in one that is open, makes a savepoint.
    ///
    /// Dropping what it returns rolls back.
    ///
    /// # Errors
    ///
    /// Those of `BEGIN` or `SAVEPOINT`.
    ///
    /// # Cancellation
    ///
    /// No transaction is left open.
    pub async fn begin(&mut self) -> Result<BemiTransaction<'_>, Error> {
        BemiTransaction::begin(Held::Borrowed(self)).await
    }

    /// Begins a transaction with a statement of one's own, such as `BEGIN ISOLATION LEVEL SERIALIZABLE`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidSavePointStatement`] when a transaction is open already, [`Error::BeginFailed`] when the statement begins
    /// none, and those of the statement.
    ///
    /// # Cancellation
    ///
    /// No transaction is left open.
    pub async fn begin_with(
        &mut self,
        statement: impl SqlSafeStr,
    ) -> Result<BemiTransaction<'_>, Error> {
        BemiTransaction::begin_with(Held::Borrowed(self), statement.into_sql_str()).await
    }

    /// Whether a transaction is open, be it begun by [`begin`](Self::begin) or as text.
    #[must_use]
    pub fn is_in_transaction(&self) -> bool {
        self.session.is_open()
    }

    /// Checks that the connection works.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub async fn ping(&mut self) -> Result<(), Error> {
        self.settle().await?;
        self.raw().ping().await
    }

    /// The number of prepared statements in the connection's cache.
    #[must_use]
    pub fn cached_statements_size(&self) -> usize {
        self.raw.as_ref().map_or(0, |raw| raw.cached_statements_size())
    }

    /// Closes the prepared statements in the connection's cache.
    ///
    /// # Errors
    ///
    /// When the connection does not work.
    pub async fn clear_cached_statements(&mut self) -> Result<(), Error> {
        self.settle().await?;
        self.raw().clear_cached_statements().await
    }

    /// The server's version, such as `150018`.
    #[must_use]
    pub fn server_version_num(&self) -> Option<u32> {
        self.raw.as_ref().and_then(|raw| raw.server_version_num())
    }

    /// sqlx's own connection, for what only that can do. **What is written through it has no context**, or, in a transaction,
    /// that of the write before it.
    ///
    /// Do not begin or end transactions on it: they would not be seen, and sqlx does not see those begun here.
    ///
    /// # Errors
    ///
    /// When a call before this one was cancelled and rolling back what it left behind failed.
    pub async fn untracked(&mut self) -> Result<&mut PgConnection, Error> {
        self.settle().await?;
        self.session.forget();
        Ok(self.raw())
    }

    /// sqlx's own connection, as it is.
    #[allow(
        clippy::expect_used,
        reason = "it is taken only by Drop and by methods that consume the connection"
    )]
    pub(crate) fn raw(&mut self) -> &mut PgConnection {
        self.raw.as_mut().expect("the connection was taken")
    }

    /// Sends a statement of ours, without arguments.
    pub(crate) async fn send(&mut self, sql: impl Into<String>) -> Result<(), Error> {
        self.raw().execute(AssertSqlSafe(sql.into())).await.map(drop)
    }

    /// Undoes what cancelled calls and dropped transactions left behind. Comes first in every call.
    ///
    /// It may be cancelled itself: what it repeats then does no harm the second time.
    pub(crate) async fn settle(&mut self) -> Result<(), Error> {
        match self.unsettled {
            Unsettled::Nothing => Ok(()),
            Unsettled::RollbackTo { depth } => {
                let name = savepoint_name(depth);
                self.send_until_answered(&format!("ROLLBACK TO SAVEPOINT {name}")).await?;
                self.session.rollback_to(&name);
                self.session.release(&name);
                self.unsettled = Unsettled::Nothing;
                // By itself, because it cannot be repeated. When it is cancelled, nobody will miss it.
                self.send(format!("RELEASE SAVEPOINT {name}")).await
            }
            Unsettled::Rollback => {
                self.send_until_answered("ROLLBACK").await?;
                self.session.end();
                self.unsettled = Unsettled::Nothing;
                Ok(())
            }
            Unsettled::Broken => {
                let text = "a cancelled call left this connection in an unknown state; drop it and acquire another";
                Err(Error::Protocol(text.to_owned()))
            }
        }
    }

    /// Sends a statement that the server does not refuse: what it seems to refuse is one before it, which was cancelled. sqlx hands
    /// such an error to the next caller, before it sends what that one wants.
    async fn send_until_answered(&mut self, sql: &str) -> Result<(), Error> {
        let mut outcome = self.send(sql).await;
        for _ in 1..STALE_ERRORS_MAX {
            if !matches!(outcome, Err(Error::Database(_))) {
                break;
            }
            outcome = self.send(sql).await;
        }
        outcome
    }

    /// To be rolled back by the next call: the transaction of this depth, and those inside it.
    pub(crate) fn roll_back_later(&mut self, depth: usize) {
        self.depth = depth.saturating_sub(1);
        self.unsettled = match self.unsettled {
            Unsettled::Broken => Unsettled::Broken,
            _ if depth <= 1 => Unsettled::Rollback,
            Unsettled::Rollback => Unsettled::Rollback,
            Unsettled::RollbackTo { depth: inner } => {
                Unsettled::RollbackTo { depth: depth.min(inner) }
            }
            Unsettled::Nothing => Unsettled::RollbackTo { depth },
        };
    }
}

impl Drop for BemiConnection {
    fn drop(&mut self) {
        let Some(mut raw) = self.raw.take() else { return };
        if self.unsettled == Unsettled::Nothing && !self.session.is_open() {
            return;
        }
        let runtime = tokio::runtime::Handle::try_current();
        let (Ok(runtime), false) = (runtime, self.last_call || self.unsettled == Unsettled::Broken)
        else {
            raw.close_on_drop();
            return;
        };
        let mut connection = Self::new(raw, self.settings.clone());
        connection.unsettled = Unsettled::Rollback;
        connection.last_call = true;
        runtime.spawn(async move {
            if let Err(error) = connection.settle().await {
                tracing::warn!(%error, "a transaction that was left open could not be rolled back; its connection is closed");
            }
        });
    }
}

impl fmt::Debug for BemiConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BemiConnection")
            .field("in_transaction", &self.is_in_transaction())
            .finish_non_exhaustive()
    }
}

/// A [`BemiConnection`] that goes back to its pool when it is dropped: the counterpart of sqlx's [`PoolConnection`].
///
/// `&mut *connection` is the [`Executor`], as with sqlx.
#[derive(Debug)]
pub struct BemiPoolConnection {
    connection: BemiConnection,
}

impl BemiPoolConnection {
    pub(crate) fn new(connection: BemiConnection) -> Self {
        Self { connection }
    }

    /// Closes the connection, so that the pool opens another one when it needs it.
    ///
    /// # Errors
    ///
    /// When the server cannot be told.
    pub async fn close(mut self) -> Result<(), Error> {
        match self.connection.raw.take() {
            Some(raw) => raw.close().await,
            None => Ok(()),
        }
    }
}

impl Deref for BemiPoolConnection {
    type Target = BemiConnection;

    fn deref(&self) -> &BemiConnection {
        &self.connection
    }
}

impl DerefMut for BemiPoolConnection {
    fn deref_mut(&mut self) -> &mut BemiConnection {
        &mut self.connection
    }
}
