//! The pool.

use std::sync::Arc;

use bemi_core::Settings;
use bemi_core::adapter::{Plan, Session, plan};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Error, PgPool, SqlSafeStr};

use crate::call::{Call, missing};
use crate::transaction::Held;
use crate::{BemiConnection, BemiPoolConnection, BemiTransaction};

/// A pool whose writes carry the context: the counterpart of sqlx's [`PgPool`], which it wraps.
///
/// Queries run on `&pool` as on sqlx's pool, in code of one's own and in code that is generic over
/// [`Executor`](sqlx::Executor). A write that runs inside a scope has the scope's context before it, in the same transaction;
/// everything else runs as if this crate were not there.
///
/// Clones share the connections.
///
/// ```no_run
/// use bemi_sqlx::{BemiPool, Context, with_context};
///
/// # async fn example() -> sqlx::Result<()> {
/// let pool = BemiPool::connect("postgres://localhost/todos").await?;
/// with_context(Context::new().with("user_id", 42), async {
///     sqlx::query("UPDATE todos SET done = true WHERE id = $1").bind(7).execute(&pool).await
/// })
/// .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct BemiPool {
    untracked: PgPool,
    settings: Settings,
}

impl From<PgPool> for BemiPool {
    fn from(pool: PgPool) -> Self {
        Self::new(pool)
    }
}

impl BemiPool {
    /// Wraps a pool.
    ///
    /// The pool's hooks (`after_connect`, `before_acquire`, `after_release`) get sqlx's own connection: what they write has no
    /// context.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self { untracked: pool, settings: Settings::default() }
    }

    /// The same pool with other settings than the default ones.
    ///
    /// ```no_run
    /// # fn example(pool: sqlx::PgPool) {
    /// use bemi_sqlx::{BemiPool, Settings};
    ///
    /// let pool = BemiPool::new(pool).with_settings(Settings::new().without_sql());
    /// # }
    /// ```
    #[must_use]
    pub fn with_settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Opens a pool with sqlx's defaults.
    ///
    /// # Errors
    ///
    /// When the URL is none, or no connection can be made.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        PgPool::connect(url).await.map(Self::new)
    }

    /// Opens a pool with sqlx's defaults.
    ///
    /// # Errors
    ///
    /// When no connection can be made.
    pub async fn connect_with(options: PgConnectOptions) -> Result<Self, Error> {
        PgPool::connect_with(options).await.map(Self::new)
    }

    /// Makes a pool with sqlx's defaults, which connects when it is first used.
    ///
    /// # Errors
    ///
    /// When the URL is none.
    pub fn connect_lazy(url: &str) -> Result<Self, Error> {
        PgPool::connect_lazy(url).map(Self::new)
    }

    /// Takes a connection, to be given back by dropping it.
    ///
    /// # Errors
    ///
    /// Those of sqlx's pool: closed, timed out, no connection can be made.
    pub async fn acquire(&self) -> Result<BemiPoolConnection, Error> {
        self.connection().await.map(BemiPoolConnection::new)
    }

    /// Takes a connection if one is idle.
    #[must_use]
    pub fn try_acquire(&self) -> Option<BemiPoolConnection> {
        self.idle_connection().map(BemiPoolConnection::new)
    }

    /// Takes a connection and begins a transaction.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire) and of `BEGIN`.
    ///
    /// # Cancellation
    ///
    /// No transaction is left open.
    pub async fn begin(&self) -> Result<BemiTransaction<'static>, Error> {
        BemiTransaction::begin(Held::Owned(self.connection().await?)).await
    }

    /// Takes a connection and begins a transaction with a statement of one's own, such as `BEGIN READ ONLY`.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire) and of the statement; [`Error::BeginFailed`] when it begins no transaction.
    pub async fn begin_with(
        &self,
        statement: impl SqlSafeStr,
    ) -> Result<BemiTransaction<'static>, Error> {
        let statement = statement.into_sql_str();
        BemiTransaction::begin_with(Held::Owned(self.connection().await?), statement).await
    }

    /// Begins a transaction if a connection is idle.
    ///
    /// # Errors
    ///
    /// Those of `BEGIN`.
    pub async fn try_begin(&self) -> Result<Option<BemiTransaction<'static>>, Error> {
        match self.idle_connection() {
            Some(connection) => BemiTransaction::begin(Held::Owned(connection)).await.map(Some),
            None => Ok(None),
        }
    }

    /// Begins a transaction with a statement of one's own if a connection is idle.
    ///
    /// # Errors
    ///
    /// Those of the statement; [`Error::BeginFailed`] when it begins no transaction.
    pub async fn try_begin_with(
        &self,
        statement: impl SqlSafeStr,
    ) -> Result<Option<BemiTransaction<'static>>, Error> {
        let statement = statement.into_sql_str();
        match self.idle_connection() {
            Some(connection) => {
                BemiTransaction::begin_with(Held::Owned(connection), statement).await.map(Some)
            }
            None => Ok(None),
        }
    }

    /// Closes the pool and waits until its connections are closed.
    pub async fn close(&self) {
        self.untracked.close().await;
    }

    /// Whether the pool was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.untracked.is_closed()
    }

    /// How many connections there are, idle ones included.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.untracked.size()
    }

    /// How many connections are idle.
    #[must_use]
    pub fn num_idle(&self) -> usize {
        self.untracked.num_idle()
    }

    /// The pool's options.
    #[must_use]
    pub fn options(&self) -> &PgPoolOptions {
        self.untracked.options()
    }

    /// How the pool connects.
    #[must_use]
    pub fn connect_options(&self) -> Arc<PgConnectOptions> {
        self.untracked.connect_options()
    }

    /// Changes how the pool connects from here on.
    pub fn set_connect_options(&self, options: PgConnectOptions) {
        self.untracked.set_connect_options(options);
    }

    /// sqlx's own pool, for what only that can do: migrations, [`PgListener`](sqlx::postgres::PgListener), code that is generic over
    /// [`Acquire`](sqlx::Acquire). **What is written through it has no context.**
    #[must_use]
    pub fn untracked(&self) -> &PgPool {
        &self.untracked
    }

    /// How `call` is to run on a connection that comes from the pool.
    pub(crate) fn plan(&self, call: &Call) -> Result<Plan, Error> {
        plan(&Session::default(), &self.settings, call.sql(), call.protocol(), || call.context())
            .map_err(missing)
    }

    pub(crate) async fn connection(&self) -> Result<BemiConnection, Error> {
        Ok(BemiConnection::new(self.untracked.acquire().await?, self.settings.clone()))
    }

    fn idle_connection(&self) -> Option<BemiConnection> {
        let raw = self.untracked.try_acquire()?;
        Some(BemiConnection::new(raw, self.settings.clone()))
    }
}
