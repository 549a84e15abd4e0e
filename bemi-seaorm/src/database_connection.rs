//! The connection that an application has: a pool.

use std::fmt;

use bemi_core::adapter::{Plan, Protocol, Session, emission, plan};
use bemi_core::{MissingContextError, Settings, current_context};
use sea_orm::metric::Info;
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseConnection, DatabaseConnectionType, DatabaseTransaction,
    DbBackend, DbErr, IsolationLevel, SchemaBuilder, TransactionError, TransactionTrait,
};
use sqlx::PgPool;

use crate::answer::{Answer, Keep};
use crate::call::Call;
use crate::connection::Connection;
use crate::error::{acquire_error, exec_error, missing};
use crate::metric::Metrics;
use crate::{BemiDatabaseTransaction, NotPostgres};

/// A connection whose writes carry the context: the counterpart of sea-orm's [`DatabaseConnection`], which it wraps.
///
/// Entities, active models and statements run on `&db` as on sea-orm's connection, also in code that is generic over
/// [`ConnectionTrait`], [`TransactionTrait`] and [`StreamTrait`](sea_orm::StreamTrait). A write that runs inside a scope has the
/// scope's context before it, in the same transaction; everything else runs as if this crate were not there.
///
/// Clones share the pool.
///
/// ```no_run
/// use bemi_seaorm::{BemiDatabaseConnection, Context, with_context};
/// use sea_orm::{ConnectionTrait, Database, DbErr};
///
/// # async fn example() -> Result<(), DbErr> {
/// let db = BemiDatabaseConnection::new(Database::connect("postgres://localhost/todos").await?)?;
/// with_context(Context::new().with("user_id", 42), async {
///     db.execute_unprepared("UPDATE todos SET done = true WHERE id = 7").await
/// })
/// .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct BemiDatabaseConnection {
    untracked: DatabaseConnection,
    pool: PgPool,
    settings: Settings,
    metrics: Metrics,
}

impl From<PgPool> for BemiDatabaseConnection {
    fn from(pool: PgPool) -> Self {
        Self {
            untracked: pool.clone().into(),
            pool,
            settings: Settings::default(),
            metrics: Metrics::default(),
        }
    }
}

impl BemiDatabaseConnection {
    /// Wraps a connection.
    ///
    /// A metric callback that was set on it before is told of what runs as if this crate were not there, and not of writes that are
    /// given a context: set it by [`set_metric_callback`](Self::set_metric_callback) here. The hooks of
    /// [`ConnectOptions`](sea_orm::ConnectOptions) get the libraries' own connections: what they write has no context.
    ///
    /// # Errors
    ///
    /// When it is not a connection to PostgreSQL over sqlx: only that can be tracked.
    pub fn new(connection: DatabaseConnection) -> Result<Self, NotPostgres> {
        let DatabaseConnectionType::SqlxPostgresPoolConnection(_) = &connection.inner else {
            return Err(NotPostgres { kind: format!("{:?}", connection.inner) });
        };
        Ok(Self {
            pool: connection.get_postgres_connection_pool().clone(),
            untracked: connection,
            settings: Settings::default(),
            metrics: Metrics::default(),
        })
    }

    /// The same connection with other settings than the default ones.
    ///
    /// ```no_run
    /// # fn example(db: bemi_seaorm::BemiDatabaseConnection) {
    /// use bemi_seaorm::Settings;
    ///
    /// let db = db.with_settings(Settings::new().without_sql());
    /// # }
    /// ```
    #[must_use]
    pub fn with_settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Begins a transaction of sea-orm's own, for what takes no other, such as the migrations of `sea-orm-migration`.
    ///
    /// All that is written in it has the context of the scope as it is now, as long as it stands for the whole of it: what is added to the
    /// scope later, and the scopes of single writes, are not seen. Outside any scope there is no context in it.
    ///
    /// ```no_run
    /// use bemi_seaorm::{BemiDatabaseConnection, Context, with_context};
    /// use sea_orm_migration::{DbErr, MigratorTrait};
    ///
    /// async fn migrate<M: MigratorTrait>(db: BemiDatabaseConnection) -> Result<(), DbErr> {
    ///     let context = Context::new().with("migration", "release 7");
    ///     let tx = with_context(context, db.begin_with_context()).await?;
    ///     M::up(&tx, None).await?;
    ///     tx.commit().await
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of sea-orm's `begin`, and of the message; outside any scope also what
    /// [`MissingContext::Deny`](crate::MissingContext::Deny) makes of it.
    ///
    /// # Cancellation
    ///
    /// That of sea-orm's own `begin`: with sqlx 0.9.0, one that is dropped in flight can leave a transaction open.
    pub async fn begin_with_context(&self) -> Result<DatabaseTransaction, DbErr> {
        // There is no statement whose text could go along.
        let settings = self.settings.clone().without_sql();
        let context = current_context();
        let message = settings
            .message(context.as_ref(), "BEGIN")
            .map_err(|error| exec_error(missing(error)))?;
        let tx = self.untracked.begin().await?;
        if context.is_some() {
            tx.execute_unprepared(&emission(&message)).await?;
        }
        Ok(tx)
    }

    /// Runs the closure in a transaction: committed when it returns `Ok`, else rolled back.
    ///
    /// ```no_run
    /// use sea_orm::{ConnectionTrait, DbErr, TransactionError};
    ///
    /// # async fn example(db: bemi_seaorm::BemiDatabaseConnection) -> Result<(), TransactionError<DbErr>> {
    /// db.transaction_async(async |tx| {
    ///     tx.execute_unprepared("UPDATE accounts SET balance = balance - 10 WHERE id = 1").await?;
    ///     tx.execute_unprepared("UPDATE accounts SET balance = balance + 10 WHERE id = 2").await
    /// })
    /// .await?;
    /// # Ok(())
    /// # }
    /// ```
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
        F: for<'c> AsyncFnOnce(&'c BemiDatabaseTransaction) -> Result<T, E> + Send,
        T: Send,
        E: fmt::Display + fmt::Debug + Send,
    {
        self.transaction_with_config_async(callback, None, None).await
    }

    /// The same with an isolation level or an access mode.
    ///
    /// # Errors
    ///
    /// Those of the closure, and of the transaction.
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
        F: for<'c> AsyncFnOnce(&'c BemiDatabaseTransaction) -> Result<T, E> + Send,
        T: Send,
        E: fmt::Display + fmt::Debug + Send,
    {
        let tx = self.begin_with_config(isolation_level, access_mode).await?;
        let outcome = callback(&tx).await;
        tx.end(outcome).await
    }

    /// Which database it is: always [`DbBackend::Postgres`].
    #[must_use]
    pub fn get_database_backend(&self) -> DbBackend {
        DbBackend::Postgres
    }

    /// A builder of schemas for this database.
    #[must_use]
    pub fn get_schema_builder(&self) -> SchemaBuilder {
        self.untracked.get_schema_builder()
    }

    /// Has `callback` told of each statement, how long it took and whether it failed, those of ours left out. The time of a write
    /// that is given a context includes its transaction.
    pub fn set_metric_callback<F>(&mut self, callback: F)
    where
        F: Fn(&Info<'_>) + Send + Sync + 'static,
    {
        self.metrics = Metrics::new(callback);
        let metrics = self.metrics.clone();
        self.untracked.set_metric_callback(move |info| metrics.tell(info));
    }

    /// Checks that the server answers.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub async fn ping(&self) -> Result<(), DbErr> {
        self.untracked.ping().await
    }

    /// Closes the pool and waits until its connections are closed.
    ///
    /// # Errors
    ///
    /// Those of sea-orm, which has none for PostgreSQL.
    pub async fn close(self) -> Result<(), DbErr> {
        self.untracked.close().await
    }

    /// The same where the connection is borrowed.
    ///
    /// # Errors
    ///
    /// Those of sea-orm, which has none for PostgreSQL.
    pub async fn close_by_ref(&self) -> Result<(), DbErr> {
        self.untracked.close_by_ref().await
    }

    /// sea-orm's own connection, for what only that can do: schema migrations, restricted connections, the sqlx pool beneath. **What is
    /// written through it has no context.**
    #[must_use]
    pub fn untracked(&self) -> &DatabaseConnection {
        &self.untracked
    }

    /// How a statement is to run on a connection that comes from the pool.
    pub(crate) fn plan(&self, sql: &str, protocol: Protocol) -> Result<Plan, MissingContextError> {
        plan(&Session::default(), &self.settings, sql, protocol, current_context)
    }

    /// Runs `call` to its end on a connection of its own.
    pub(crate) async fn carry_out(
        &self,
        plan: Result<Plan, MissingContextError>,
        call: Call,
        keep: Keep,
    ) -> Result<Answer, DbErr> {
        match plan {
            Ok(plan) => {
                let mut connection = self.connection().await?;
                Ok(connection.carry_out(plan, call, keep, &self.metrics).await)
            }
            Err(missing) => Ok(missing.into()),
        }
    }

    /// Begins a transaction on a connection of its own.
    pub(crate) async fn begin_transaction(
        &self,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<BemiDatabaseTransaction, DbErr> {
        let connection = self.connection().await?;
        let metrics = self.metrics.clone();
        BemiDatabaseTransaction::begin_on(connection, metrics, isolation_level, access_mode).await
    }

    async fn connection(&self) -> Result<Connection, DbErr> {
        let raw = self.pool.acquire().await.map_err(acquire_error)?;
        Ok(Connection::new(raw, self.settings.clone()))
    }
}

impl fmt::Debug for BemiDatabaseConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BemiDatabaseConnection")
            .field("untracked", &self.untracked)
            .finish_non_exhaustive()
    }
}
