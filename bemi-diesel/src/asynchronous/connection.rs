//! The connection, and diesel-async's traits on it.

use std::fmt;

use bemi_core::adapter::{Plan, Session};
use bemi_core::{ContextMessage, Scope, Settings};
use diesel::connection::{CacheSize, Instrumentation};
use diesel::dsl::{Find, Update};
use diesel::pg::{Pg, PgNotification};
use diesel::query_builder::{AsQuery, IntoUpdateTarget, QueryFragment, QueryId, UpdateStatement};
use diesel::query_dsl::methods::FindDsl;
use diesel::result::Error;
use diesel::{AsChangeset, ConnectionResult, Identifiable, QueryResult, Table};
use diesel_async::methods::LoadQuery;
use diesel_async::{
    AnsiTransactionManager, AsyncConnection, AsyncConnectionCore, AsyncPgConnection, RunQueryDsl,
    SimpleAsyncConnection, TransactionManager, UpdateAndFetchResults,
};
use futures_util::future::{BoxFuture, ready};
use futures_util::{FutureExt, Stream};

use super::BemiAsyncTransactionBuilder;
#[cfg(feature = "deadpool")]
use super::abandoned::RollbackOnDrop;
use super::call::{Call, Row, Rows};
use crate::statement::{Inlined, Rendered, Statements};

/// A connection whose writes carry the context: the counterpart of diesel-async's [`AsyncPgConnection`], which it wraps.
///
/// Queries run on `&mut connection` as on diesel-async's own, in code of one's own and in code that is generic over
/// [`AsyncConnection`]. A write that runs inside a scope has the scope's context before it, in the same transaction; everything
/// else runs as if this crate were not there.
///
/// Transactions that are begun and ended as text (`BEGIN`, `SAVEPOINT a`, `COMMIT`) are followed as well.
///
/// ```no_run
/// use bemi_diesel::{BemiAsyncPgConnection, Context, with_context};
/// use diesel::prelude::*;
/// use diesel_async::{AsyncConnection, RunQueryDsl};
///
/// diesel::table! {
///     todos (id) {
///         id -> Integer,
///         done -> Bool,
///     }
/// }
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let mut connection = BemiAsyncPgConnection::establish("postgres://localhost/todos").await?;
/// with_context(Context::new().with("user_id", 42), async {
///     diesel::update(todos::table.find(7)).set(todos::done.eq(true)).execute(&mut connection).await
/// })
/// .await?;
/// # Ok(())
/// # }
/// ```
///
/// # Cancellation
///
/// A call whose future is dropped has happened or not, and leaves no transaction of ours open. As with diesel-async, a
/// `transaction` whose future is dropped stays open on a connection that is kept; a pool does not hand such a one out again.
///
/// # Pipelining
///
/// diesel-async's own connection can be shared by several queries at once, as `&mut &connection`. This one cannot: which message
/// governs a write depends on what ran before it. Reads can be sent that way through [`untracked`](Self::untracked).
pub struct BemiAsyncPgConnection {
    raw: AsyncPgConnection,
    statements: Statements,
    session: Session,
    /// What ended or began a transaction was cancelled, and diesel-async cannot be told.
    broken: bool,
}

impl From<AsyncPgConnection> for BemiAsyncPgConnection {
    fn from(connection: AsyncPgConnection) -> Self {
        Self::new(connection)
    }
}

impl BemiAsyncPgConnection {
    /// Wraps a connection on which no transaction is open, such as one that was made with TLS by
    /// [`AsyncPgConnection::try_from_client_and_connection`].
    #[must_use]
    pub fn new(connection: AsyncPgConnection) -> Self {
        Self {
            raw: connection,
            statements: Statements::default(),
            session: Session::default(),
            broken: false,
        }
    }

    /// The same connection with other settings than the default ones.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), diesel::ConnectionError> {
    /// use bemi_diesel::{BemiAsyncPgConnection, Settings};
    /// use diesel_async::AsyncConnection;
    ///
    /// let connection = BemiAsyncPgConnection::establish("postgres://localhost/todos").await?;
    /// let connection = connection.with_settings(Settings::new().without_sql());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_settings(mut self, settings: Settings) -> Self {
        self.statements.set_settings(settings);
        self
    }

    /// A transaction with an isolation level, or one that is read only: the counterpart of diesel-async's
    /// [`build_transaction`](AsyncPgConnection::build_transaction).
    ///
    /// ```no_run
    /// # use bemi_diesel::BemiAsyncPgConnection;
    /// # async fn example(connection: &mut BemiAsyncPgConnection) -> diesel::QueryResult<()> {
    /// connection.build_transaction().serializable().run(async |connection| diesel::QueryResult::Ok(())).await
    /// # }
    /// ```
    pub fn build_transaction(&mut self) -> BemiAsyncTransactionBuilder<'_> {
        BemiAsyncTransactionBuilder::new(self)
    }

    /// Whether a transaction is open, be it begun by [`transaction`](AsyncConnection::transaction) or as text.
    #[must_use]
    pub fn is_in_transaction(&self) -> bool {
        self.session.is_open()
    }

    /// The notifications that the connection receives, as with [`AsyncPgConnection::notifications_stream`].
    pub fn notifications_stream(&mut self) -> impl Stream<Item = QueryResult<PgNotification>> + '_ {
        self.raw.notifications_stream()
    }

    /// diesel-async's own connection, for what only that can do: reads that share it, a
    /// [`cancel_token`](AsyncPgConnection::cancel_token). **What is written through it has no context**,
    /// or, in a transaction, that of the write before it.
    ///
    /// Do not begin or end transactions on it: they would not be seen.
    ///
    /// ```no_run
    /// use diesel::prelude::*;
    /// use diesel_async::RunQueryDsl;
    ///
    /// # diesel::table! { todos (id) { id -> Integer, } }
    /// # async fn example(connection: &mut bemi_diesel::BemiAsyncPgConnection) -> QueryResult<()> {
    /// let shared = &*connection.untracked()?;
    /// let (first, all) = futures_util::future::try_join(
    ///     todos::table.select(todos::id).first::<i32>(&mut &*shared),
    ///     todos::table.count().get_result::<i64>(&mut &*shared),
    /// )
    /// .await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::BrokenTransactionManager`] when the end of a transaction was cancelled on this connection before.
    pub fn untracked(&mut self) -> QueryResult<&mut AsyncPgConnection> {
        if self.broken {
            return Err(Error::BrokenTransactionManager);
        }
        self.session.forget();
        Ok(&mut self.raw)
    }

    /// Whether diesel-async takes a transaction to be open, or does not know.
    fn is_managed(&mut self) -> bool {
        let status = AnsiTransactionManager::transaction_manager_status_mut(&mut self.raw);
        !matches!(status.transaction_depth(), Ok(None))
    }

    /// Whether a pool must not hand it out as it is.
    #[cfg(any(feature = "deadpool", feature = "bb8"))]
    pub(super) fn is_unfit(&mut self) -> bool {
        use diesel_async::pooled_connection::PoolableConnection;

        // One that is begun for a test is meant to stay open; diesel-async does not count it.
        let begun_as_text = self.session.is_open() && !self.is_managed();
        self.broken || begun_as_text || PoolableConnection::is_broken(&mut self.raw)
    }

    /// Ends the transaction that is open, if there is one, without waiting for the server.
    #[cfg(feature = "deadpool")]
    pub(super) fn roll_back_now(&mut self) {
        drop(RollbackOnDrop::new(&self.raw));
        *self.raw.transaction_state() = AnsiTransactionManager::default();
        self.session = Session::default();
        self.broken = false;
    }

    /// The `query` with its message in it, where it can take one and there is a scope; it is made in this scope, and the future of a
    /// query may yet be polled in another.
    fn inlined(&self, text: &Rendered) -> Option<(String, ContextMessage)> {
        if !self.statements.inlines_messages() {
            return None;
        }
        Scope::current()?;
        match self.statements.plan_rendered(&self.session, text, None) {
            Ok(Plan::Inlined { sql, message }) => Some((sql, message)),
            _ => None,
        }
    }

    /// What futures on this connection need of it.
    fn parts(&mut self) -> Parts<'_> {
        let managed = self.is_managed();
        let Self { raw, statements, session, broken } = self;
        Parts { raw, statements, session, broken, managed }
    }
}

/// A connection, taken apart: diesel-async's own is shared by the futures that run at the same time.
pub(super) struct Parts<'c> {
    pub(super) raw: &'c AsyncPgConnection,
    pub(super) statements: &'c Statements,
    pub(super) session: &'c mut Session,
    pub(super) broken: &'c mut bool,
    /// Whether diesel-async takes a transaction to be open.
    pub(super) managed: bool,
}

impl SimpleAsyncConnection for BemiAsyncPgConnection {
    fn batch_execute(&mut self, sql: &str) -> impl Future<Output = QueryResult<()>> + Send {
        let made_in = Scope::current();
        self.parts().carry_out_text(sql, made_in)
    }
}

impl AsyncConnectionCore for BemiAsyncPgConnection {
    type ExecuteFuture<'conn, 'query> = BoxFuture<'conn, QueryResult<usize>>;
    type LoadFuture<'conn, 'query> = BoxFuture<'conn, QueryResult<Rows>>;
    type Stream<'conn, 'query> = Rows;
    type Row<'conn, 'query> = Row;
    type Backend = Pg;

    fn load<'conn, 'query, T>(&'conn mut self, source: T) -> Self::LoadFuture<'conn, 'query>
    where
        T: AsQuery + 'query,
        T::Query: QueryFragment<Pg> + QueryId + 'query,
    {
        let query = source.as_query();
        let text = match self.statements.render(&query) {
            Ok(text) => text,
            Err(error) => return ready(Err(error)).boxed(),
        };
        let inlined = self.inlined(&text);
        let parts = self.parts();
        let mut raw = parts.raw;
        let inlined = inlined.map(|(sql, message)| {
            let inlined = Inlined::new(&query, sql, message.clone());
            (message, AsyncConnectionCore::load(&mut raw, inlined))
        });
        let query = AsyncConnectionCore::load(&mut raw, query);
        let call = Call { text, made_in: Scope::current(), inlined, query };
        parts.carry_out(call).boxed()
    }

    fn execute_returning_count<'conn, 'query, T>(
        &'conn mut self,
        query: T,
    ) -> Self::ExecuteFuture<'conn, 'query>
    where
        T: QueryFragment<Pg> + QueryId + 'query,
    {
        let text = match self.statements.render(&query) {
            Ok(text) => text,
            Err(error) => return ready(Err(error)).boxed(),
        };
        let inlined = self.inlined(&text);
        let parts = self.parts();
        let mut raw = parts.raw;
        let inlined = inlined.map(|(sql, message)| {
            let inlined = Inlined::new(&query, sql, message.clone());
            (message, raw.execute_returning_count(inlined))
        });
        let query = raw.execute_returning_count(query);
        let call = Call { text, made_in: Scope::current(), inlined, query };
        parts.carry_out(call).boxed()
    }
}

impl AsyncConnection for BemiAsyncPgConnection {
    type TransactionManager = AnsiTransactionManager;

    async fn establish(url: &str) -> ConnectionResult<Self> {
        AsyncPgConnection::establish(url).await.map(Self::new)
    }

    fn transaction_state(&mut self) -> &mut AnsiTransactionManager {
        self.raw.transaction_state()
    }

    fn instrumentation(&mut self) -> &mut dyn Instrumentation {
        self.raw.instrumentation()
    }

    fn set_instrumentation(&mut self, instrumentation: impl Instrumentation) {
        self.raw.set_instrumentation(instrumentation);
    }

    fn set_prepared_statement_cache_size(&mut self, size: CacheSize) {
        self.raw.set_prepared_statement_cache_size(size);
    }
}

/// `save_changes`: one `UPDATE … RETURNING`, as with diesel-async's own connection.
impl<'b, Changes, Output, Tab, V> UpdateAndFetchResults<Changes, Output> for BemiAsyncPgConnection
where
    Output: Send + 'static,
    Changes: Copy + Send + AsChangeset<Target = Tab> + Identifiable<Table = Tab>,
    Changes::Changeset: Send + 'b,
    Tab: Table + FindDsl<Changes::Id> + 'b,
    Tab::FromClause: Send,
    V: Send + 'b,
    Find<Tab, Changes::Id>: IntoUpdateTarget<Table = Tab, WhereClause = V>,
    UpdateStatement<Tab, V, Changes::Changeset>: AsQuery,
    Update<Changes, Changes>: LoadQuery<'b, Self, Output>,
{
    fn update_and_fetch<'conn, 'changes>(
        &'conn mut self,
        changes: Changes,
    ) -> BoxFuture<'changes, QueryResult<Output>>
    where
        Changes: 'changes,
        'conn: 'changes,
        Self: 'changes,
    {
        async move { diesel::update(changes).set(changes).get_result(self).await }.boxed()
    }
}

impl fmt::Debug for BemiAsyncPgConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BemiAsyncPgConnection")
            .field("in_transaction", &self.is_in_transaction())
            .finish_non_exhaustive()
    }
}
