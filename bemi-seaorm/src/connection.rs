//! A connection that emits the context, and what becomes of it when a call on it is cancelled.
//!
//! Whatever opens a transaction marks the connection as unsettled first and takes the mark away when the transaction
//! is over. A future that is dropped in between leaves the mark: the next call rolls back before it does anything else, and
//! a connection that nobody calls any more is rolled back on its way to the pool.
//!
//! sqlx's own transactions, and so sea-orm's, are not used beneath: what they do when a call on them is cancelled can leave
//! a transaction open on a connection of the pool, or roll back the outer one in place of the inner one.
//!
//! Invariant: no connection returns to the pool inside an open transaction.

use bemi_core::Settings;
use bemi_core::adapter::Session;
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Error, Executor, PgConnection, Postgres};

use crate::nesting::{Id, Nesting, Place};

/// How many errors of statements that were cancelled may come before the answer to a ROLLBACK.
const STALE_ERRORS_MAX: usize = 8;

/// A connection of the pool.
pub(crate) struct Connection {
    /// None only while it is being dropped.
    raw: Option<PoolConnection<Postgres>>,
    pub(crate) settings: Settings,
    pub(crate) session: Session,
    pub(crate) unsettled: Unsettled,
    /// The [`BemiDatabaseTransaction`](crate::BemiDatabaseTransaction)s that are open.
    pub(crate) nesting: Nesting,
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

impl Connection {
    pub(crate) fn new(raw: PoolConnection<Postgres>, settings: Settings) -> Self {
        Self {
            raw: Some(raw),
            settings,
            session: Session::default(),
            unsettled: Unsettled::Nothing,
            nesting: Nesting::default(),
            last_call: false,
        }
    }

    /// Begins a transaction with this statement.
    pub(crate) async fn begin(&mut self, sql: String) -> Result<Id, Error> {
        self.unsettled = Unsettled::Rollback;
        self.send(sql).await?;
        self.unsettled = Unsettled::Nothing;
        self.session.begin();
        Ok(self.nesting.begun())
    }

    /// Begins a transaction inside the one that is open.
    pub(crate) async fn savepoint(&mut self) -> Result<Id, Error> {
        // When this is cancelled, the savepoint may be there or not; nobody will miss it.
        let name = savepoint_name(self.nesting.depth());
        self.send(format!("SAVEPOINT {name}")).await?;
        self.session.savepoint(&name);
        Ok(self.nesting.begun())
    }

    /// Commits the transaction of this depth, and those inside it.
    pub(crate) async fn commit(&mut self, depth: usize) -> Result<(), Error> {
        if depth == 0 {
            self.send("COMMIT").await?;
            self.session.end();
        } else {
            let name = savepoint_name(depth);
            self.send(format!("RELEASE SAVEPOINT {name}")).await?;
            self.session.release(&name);
        }
        self.nesting.committed(depth);
        Ok(())
    }

    /// sqlx's own connection, as it is.
    #[allow(clippy::expect_used, reason = "it is taken only by Drop")]
    pub(crate) fn raw(&mut self) -> &mut PgConnection {
        self.raw.as_mut().expect("the connection was taken")
    }

    /// Sends a statement of ours, without values.
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
                let text = "a cancelled call left this transaction in an unknown state; drop it and begin another";
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

    /// The next call is to roll back this transaction, and those inside it; or all of them, where it is not to be told apart from
    /// the one around it any more.
    pub(crate) fn roll_back_later(&mut self, id: Id) {
        let depth = match self.nesting.place(id) {
            Place::Open(depth) => depth,
            Place::Merged => 0,
            Place::Over => return,
        };
        self.nesting.rolled_back(depth);
        self.unsettled = match self.unsettled {
            Unsettled::Broken => Unsettled::Broken,
            _ if depth == 0 => Unsettled::Rollback,
            Unsettled::Rollback => Unsettled::Rollback,
            Unsettled::RollbackTo { depth: inner } => {
                Unsettled::RollbackTo { depth: depth.min(inner) }
            }
            Unsettled::Nothing => Unsettled::RollbackTo { depth },
        };
    }
}

/// The name of the savepoint that a transaction of this depth has.
fn savepoint_name(depth: usize) -> String {
    format!("bemi_savepoint_{depth}")
}

impl Drop for Connection {
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
