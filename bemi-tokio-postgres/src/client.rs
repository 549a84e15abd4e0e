//! The client.

use std::fmt;
use std::ops::{Deref, DerefMut};

use bemi_core::Settings;
use bytes::Buf;
use tokio_postgres::types::{BorrowToSql, FromSqlOwned, ToSql, Type};
use tokio_postgres::{CancelToken, Client, CopyOutStream, Error, Row, SimpleQueryMessage};

use crate::calls::Calls;
use crate::tracking::Tracking;
use crate::{
    BemiCopyInSink, BemiRowStream, BemiSimpleQueryStream, BemiStatement, BemiTransaction,
    BemiTransactionBuilder, ToBemiStatement,
};

/// A client whose writes carry the context: the counterpart of tokio-postgres's [`Client`], which it wraps.
///
/// It has that one's methods. A write that runs inside a scope has the scope's context before it, in the same
/// transaction and in the same round trip; everything else runs as if this crate were not there. The context is that of
/// the scope in which the method's future is polled.
///
/// Several tasks may share a client, each in a scope of its own. Transactions that are begun and ended as text (`BEGIN`,
/// `SAVEPOINT a`, `COMMIT`) are followed.
///
/// ```no_run
/// use bemi_tokio_postgres::{BemiClient, Context, with_context};
///
/// # async fn example() -> Result<(), tokio_postgres::Error> {
/// let (client, connection) =
///     tokio_postgres::connect("postgres://localhost/todos", tokio_postgres::NoTls).await?;
/// tokio::spawn(connection);
/// let client = BemiClient::new(client);
/// with_context(Context::new().with("user_id", 42), async {
///     client.execute("UPDATE todos SET done = true WHERE id = $1", &[&7]).await
/// })
/// .await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Those of the library, as without this crate. Where a write is refused because it has no context, as
/// [`MissingContext::Deny`](crate::MissingContext::Deny) asks, the error's `source()` is a
/// [`MissingContextError`](crate::MissingContextError).
///
/// # Cancellation
///
/// A method whose future is dropped has done all of its work or nothing, and leaves no transaction open.
pub struct BemiClient {
    untracked: Untracked,
    tracking: Tracking,
}

/// The library's client, as it came.
pub(crate) enum Untracked {
    Single(Client),
    #[cfg(feature = "deadpool")]
    Pooled(deadpool_postgres::ClientWrapper),
}

impl From<Client> for BemiClient {
    fn from(client: Client) -> Self {
        Self::new(client)
    }
}

impl BemiClient {
    /// Wraps a client. No transaction may be open on it.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { untracked: Untracked::Single(client), tracking: Tracking::new() }
    }

    #[cfg(feature = "deadpool")]
    pub(crate) fn pooled(client: deadpool_postgres::ClientWrapper) -> Self {
        let tracking = Tracking::with_cache(&client.statement_cache);
        Self { untracked: Untracked::Pooled(client), tracking }
    }

    /// The same client with other settings than the default ones.
    ///
    /// ```no_run
    /// # fn example(client: tokio_postgres::Client) {
    /// use bemi_tokio_postgres::{BemiClient, Settings};
    ///
    /// let client = BemiClient::new(client).with_settings(Settings::new().without_sql());
    /// # }
    /// ```
    #[must_use]
    pub fn with_settings(mut self, settings: Settings) -> Self {
        self.tracking.settings = settings;
        self
    }

    /// Begins a transaction, which is rolled back unless it is committed.
    ///
    /// # Errors
    ///
    /// Those of the server.
    pub async fn transaction(&mut self) -> Result<BemiTransaction<'_>, Error> {
        self.build_transaction().start().await
    }

    /// Begins a transaction with an isolation level and other properties of one's own.
    pub fn build_transaction(&mut self) -> BemiTransactionBuilder<'_> {
        BemiTransactionBuilder::new(self.untracked.build_transaction(), &self.tracking)
    }

    /// Prepares a statement, to be run as often as needed on this connection.
    ///
    /// # Errors
    ///
    /// Those of the server.
    pub async fn prepare(&self, query: &str) -> Result<BemiStatement, Error> {
        self.calls().prepare(query, &[]).await
    }

    /// [`prepare`](Self::prepare), with the types of the first parameters given; those of the others are inferred.
    ///
    /// # Errors
    ///
    /// Those of the server.
    pub async fn prepare_typed(
        &self,
        query: &str,
        parameter_types: &[Type],
    ) -> Result<BemiStatement, Error> {
        self.calls().prepare(query, parameter_types).await
    }

    /// A statement of the cache that a deadpool pool keeps for this connection; it is prepared if it is not there. On a
    /// client that is from no such pool, it is prepared.
    ///
    /// # Errors
    ///
    /// Those of the server.
    #[cfg(feature = "deadpool")]
    pub async fn prepare_cached(&self, query: &str) -> Result<BemiStatement, Error> {
        self.calls().prepare_cached(query, &[]).await
    }

    /// [`prepare_cached`](Self::prepare_cached), with the types of the first parameters given.
    ///
    /// # Errors
    ///
    /// Those of the server.
    #[cfg(feature = "deadpool")]
    pub async fn prepare_typed_cached(
        &self,
        query: &str,
        types: &[Type],
    ) -> Result<BemiStatement, Error> {
        self.calls().prepare_cached(query, types).await
    }

    /// Runs a statement and returns its rows.
    ///
    /// # Errors
    ///
    /// Those of the server, and where the statement must have a context and has none.
    pub async fn query<T>(
        &self,
        statement: &T,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error>
    where
        T: ?Sized + ToBemiStatement,
    {
        self.calls().query(statement, params).await
    }

    /// [`query`](Self::query), for rows of one column.
    ///
    /// # Errors
    ///
    /// Those of the server, where there is not one column of that type, and where the statement must have a context and
    /// has none.
    pub async fn query_scalar<R, T>(
        &self,
        statement: &T,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<R>, Error>
    where
        R: FromSqlOwned,
        T: ?Sized + ToBemiStatement,
    {
        self.calls().query_scalar(statement, params).await
    }

    /// Runs a statement and returns its one row.
    ///
    /// # Errors
    ///
    /// Those of the server, where there is not one row, and where the statement must have a context and has none. A
    /// write has happened all the same where there was another number of rows.
    pub async fn query_one<T>(
        &self,
        statement: &T,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, Error>
    where
        T: ?Sized + ToBemiStatement,
    {
        self.calls().query_one(statement, params).await
    }

    /// [`query_one`](Self::query_one), for a row of one column.
    ///
    /// # Errors
    ///
    /// Those of the server, where there is not one row with one column of that type, and where the statement must have
    /// a context and has none.
    pub async fn query_one_scalar<R, T>(
        &self,
        statement: &T,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<R, Error>
    where
        R: FromSqlOwned,
        T: ?Sized + ToBemiStatement,
    {
        self.calls().query_one_scalar(statement, params).await
    }

    /// Runs a statement and returns its row, if there is one.
    ///
    /// # Errors
    ///
    /// Those of the server, where there are several rows, and where the statement must have a context and has none.
    pub async fn query_opt<T>(
        &self,
        statement: &T,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, Error>
    where
        T: ?Sized + ToBemiStatement,
    {
        self.calls().query_opt(statement, params).await
    }

    /// [`query_opt`](Self::query_opt), for a row of one column.
    ///
    /// # Errors
    ///
    /// Those of the server, where there are several rows or not one column of that type, and where the statement must
    /// have a context and has none.
    pub async fn query_opt_scalar<R, T>(
        &self,
        statement: &T,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<R>, Error>
    where
        R: FromSqlOwned,
        T: ?Sized + ToBemiStatement,
    {
        self.calls().query_opt_scalar(statement, params).await
    }

    /// Runs a statement and returns its rows as they come.
    ///
    /// # Errors
    ///
    /// Those of the server, and where the statement must have a context and has none.
    pub async fn query_raw<T, P, I>(&self, statement: &T, params: I) -> Result<BemiRowStream, Error>
    where
        T: ?Sized + ToBemiStatement,
        P: BorrowToSql,
        I: IntoIterator<Item = P>,
        I::IntoIter: ExactSizeIterator,
    {
        self.calls().query_raw(statement, params).await
    }

    /// Runs a statement whose parameters' types are given and returns its rows. Nothing is prepared: with its context,
    /// it is one round trip.
    ///
    /// # Errors
    ///
    /// Those of the server, and where the statement must have a context and has none.
    pub async fn query_typed(
        &self,
        statement: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, Error> {
        self.calls().query_typed(statement, params).await
    }

    /// [`query_typed`](Self::query_typed), for one row.
    ///
    /// # Errors
    ///
    /// Those of the server, where there is not one row, and where the statement must have a context and has none.
    pub async fn query_typed_one(
        &self,
        statement: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Row, Error> {
        self.calls().query_typed_one(statement, params).await
    }

    /// [`query_typed`](Self::query_typed), for one row or none.
    ///
    /// # Errors
    ///
    /// Those of the server, where there are several rows, and where the statement must have a context and has none.
    pub async fn query_typed_opt(
        &self,
        statement: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Option<Row>, Error> {
        self.calls().query_typed_opt(statement, params).await
    }

    /// [`query_typed`](Self::query_typed), whose rows are returned as they come.
    ///
    /// # Errors
    ///
    /// Those of the server, and where the statement must have a context and has none.
    pub async fn query_typed_raw<P, I>(
        &self,
        query: &str,
        params: I,
    ) -> Result<BemiRowStream, Error>
    where
        P: BorrowToSql,
        I: IntoIterator<Item = (P, Type)>,
    {
        self.calls().query_typed_raw(query, params).await
    }

    /// Runs a statement and returns how many rows it affected.
    ///
    /// # Errors
    ///
    /// Those of the server, and where the statement must have a context and has none.
    pub async fn execute<T>(
        &self,
        statement: &T,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, Error>
    where
        T: ?Sized + ToBemiStatement,
    {
        self.calls().execute(statement, params).await
    }

    /// [`execute`](Self::execute), with parameters from an iterator.
    ///
    /// # Errors
    ///
    /// Those of the server, and where the statement must have a context and has none.
    pub async fn execute_raw<T, P, I>(&self, statement: &T, params: I) -> Result<u64, Error>
    where
        T: ?Sized + ToBemiStatement,
        P: BorrowToSql,
        I: IntoIterator<Item = P>,
        I::IntoIter: ExactSizeIterator,
    {
        self.calls().execute_raw(statement, params).await
    }

    /// [`execute`](Self::execute), with the parameters' types given. Nothing is prepared: with its context, it is one
    /// round trip.
    ///
    /// # Errors
    ///
    /// Those of the server, and where the statement must have a context and has none.
    pub async fn execute_typed(
        &self,
        statement: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<u64, Error> {
        self.calls().execute_typed(statement, params).await
    }

    /// Runs a COPY … FROM STDIN statement and returns the sink for its data. The context is that of the scope that is
    /// current now.
    ///
    /// # Errors
    ///
    /// Those of the server, and where the statement must have a context and has none. Where the server refuses the
    /// statement at once, as for want of a privilege, the library's answers are out of step, and the connection is
    /// closed.
    pub async fn copy_in<T, U>(&self, statement: &T) -> Result<BemiCopyInSink<U>, Error>
    where
        T: ?Sized + ToBemiStatement,
        U: Buf + 'static + Send,
    {
        let (sink, commit) = self.calls().copy_in(statement).await?;
        Ok(BemiCopyInSink::new(sink, commit))
    }

    /// Runs a COPY … TO STDOUT statement and returns its data as it comes.
    ///
    /// Outside a transaction, the COMMIT of a COPY (DELETE …) may still be under way when the data ends, and an error
    /// of it is not told.
    ///
    /// # Errors
    ///
    /// Those of the server, and where the statement must have a context and has none.
    pub async fn copy_out<T>(&self, statement: &T) -> Result<CopyOutStream, Error>
    where
        T: ?Sized + ToBemiStatement,
    {
        self.calls().copy_out(statement).await
    }

    /// Runs a text of one or several statements, without parameters, and returns what they answer.
    ///
    /// # Errors
    ///
    /// Those of the server, and where the statement must have a context and has none.
    pub async fn simple_query(&self, query: &str) -> Result<Vec<SimpleQueryMessage>, Error> {
        self.calls().simple_query(query).await
    }

    /// [`simple_query`](Self::simple_query), whose answers are returned as they come.
    ///
    /// # Errors
    ///
    /// Those of the server, and where the statement must have a context and has none.
    pub async fn simple_query_raw(&self, query: &str) -> Result<BemiSimpleQueryStream, Error> {
        self.calls().simple_query_raw(query).await
    }

    /// Runs a text of one or several statements, without parameters.
    ///
    /// # Errors
    ///
    /// Those of the server, and where the statement must have a context and has none.
    pub async fn batch_execute(&self, query: &str) -> Result<(), Error> {
        self.calls().batch_execute(query).await
    }

    /// Waits until the server has answered, to see that the connection works.
    ///
    /// # Errors
    ///
    /// When it does not.
    pub async fn check_connection(&self) -> Result<(), Error> {
        self.calls().check_connection().await
    }

    /// A token that can cancel what runs on this connection.
    pub fn cancel_token(&self) -> CancelToken {
        self.untracked.cancel_token()
    }

    /// Forgets the definitions of types that were asked for.
    pub fn clear_type_cache(&self) {
        self.untracked.clear_type_cache();
    }

    /// Whether the connection is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.untracked.is_closed()
    }

    /// Whether a transaction is open, be it begun by a method or as text.
    #[must_use]
    pub fn is_in_transaction(&self) -> bool {
        self.tracking.is_open()
    }

    /// tokio-postgres's own client, for what only that can do. **What is written through it has no context**, or, in a
    /// transaction that was begun as text, that of the write before it.
    ///
    /// Do not begin or end transactions as text on it: they would not be seen.
    pub fn untracked(&mut self) -> &mut Client {
        self.tracking.forget();
        &mut self.untracked
    }

    pub(crate) fn calls(&self) -> Calls<'_> {
        Calls { client: &self.untracked, tracking: &self.tracking }
    }

    /// For the manager of a pool.
    #[cfg(any(feature = "bb8", feature = "deadpool"))]
    pub(crate) fn parts(&mut self) -> (&mut Untracked, &Tracking) {
        (&mut self.untracked, &self.tracking)
    }
}

impl Deref for Untracked {
    type Target = Client;

    fn deref(&self) -> &Client {
        match self {
            Self::Single(client) => client,
            #[cfg(feature = "deadpool")]
            Self::Pooled(client) => client,
        }
    }
}

impl DerefMut for Untracked {
    fn deref_mut(&mut self) -> &mut Client {
        match self {
            Self::Single(client) => client,
            #[cfg(feature = "deadpool")]
            Self::Pooled(client) => client,
        }
    }
}

impl fmt::Debug for BemiClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BemiClient")
            .field("in_transaction", &self.is_in_transaction())
            .finish_non_exhaustive()
    }
}
