//! Code that is generic over a client and a transaction.

use std::future::Future;

use tokio_postgres::types::{BorrowToSql, FromSqlOwned, ToSql, Type};
use tokio_postgres::{Error, Row, SimpleQueryMessage};

use crate::{
    BemiClient, BemiRowStream, BemiSimpleQueryStream, BemiStatement, BemiTransaction,
    ToBemiStatement,
};

/// What a [`BemiClient`] and a [`BemiTransaction`] both can: the counterpart of tokio-postgres's
/// [`GenericClient`](tokio_postgres::GenericClient), and like that one it cannot be implemented elsewhere.
///
/// ```no_run
/// use bemi_tokio_postgres::BemiGenericClient;
///
/// async fn complete(client: &impl BemiGenericClient, id: i64) -> Result<u64, tokio_postgres::Error> {
///     client.execute("UPDATE todos SET done = true WHERE id = $1", &[&id]).await
/// }
///
/// # async fn example(mut client: bemi_tokio_postgres::BemiClient) -> Result<(), tokio_postgres::Error> {
/// complete(&client, 1).await?;
/// let tx = client.transaction().await?;
/// complete(&tx, 2).await?;
/// tx.commit().await?;
/// # Ok(())
/// # }
/// ```
#[allow(clippy::missing_errors_doc, reason = "what they are like says it")]
pub trait BemiGenericClient: sealed::Callable {
    /// Like [`BemiClient::prepare`].
    fn prepare(&self, query: &str) -> impl Future<Output = Result<BemiStatement, Error>> + Send {
        self.calls().prepare(query, &[])
    }

    /// Like [`BemiClient::prepare_typed`].
    fn prepare_typed(
        &self,
        query: &str,
        parameter_types: &[Type],
    ) -> impl Future<Output = Result<BemiStatement, Error>> + Send {
        self.calls().prepare(query, parameter_types)
    }

    /// Like [`BemiClient::prepare_cached`].
    #[cfg(feature = "deadpool")]
    fn prepare_cached(
        &self,
        query: &str,
    ) -> impl Future<Output = Result<BemiStatement, Error>> + Send {
        self.calls().prepare_cached(query, &[])
    }

    /// Like [`BemiClient::prepare_typed_cached`].
    #[cfg(feature = "deadpool")]
    fn prepare_typed_cached(
        &self,
        query: &str,
        types: &[Type],
    ) -> impl Future<Output = Result<BemiStatement, Error>> + Send {
        self.calls().prepare_cached(query, types)
    }

    /// Like [`BemiClient::query`].
    fn query<T>(
        &self,
        statement: &T,
        params: &[&(dyn ToSql + Sync)],
    ) -> impl Future<Output = Result<Vec<Row>, Error>> + Send
    where
        T: ?Sized + ToBemiStatement + Sync + Send,
    {
        self.calls().query(statement, params)
    }

    /// Like [`BemiClient::query_scalar`].
    fn query_scalar<R, T>(
        &self,
        statement: &T,
        params: &[&(dyn ToSql + Sync)],
    ) -> impl Future<Output = Result<Vec<R>, Error>> + Send
    where
        R: FromSqlOwned + Send,
        T: ?Sized + ToBemiStatement + Sync + Send,
    {
        self.calls().query_scalar(statement, params)
    }

    /// Like [`BemiClient::query_one`].
    fn query_one<T>(
        &self,
        statement: &T,
        params: &[&(dyn ToSql + Sync)],
    ) -> impl Future<Output = Result<Row, Error>> + Send
    where
        T: ?Sized + ToBemiStatement + Sync + Send,
    {
        self.calls().query_one(statement, params)
    }

    /// Like [`BemiClient::query_one_scalar`].
    fn query_one_scalar<R, T>(
        &self,
        statement: &T,
        params: &[&(dyn ToSql + Sync)],
    ) -> impl Future<Output = Result<R, Error>> + Send
    where
        R: FromSqlOwned + Send,
        T: ?Sized + ToBemiStatement + Sync + Send,
    {
        self.calls().query_one_scalar(statement, params)
    }

    /// Like [`BemiClient::query_opt`].
    fn query_opt<T>(
        &self,
        statement: &T,
        params: &[&(dyn ToSql + Sync)],
    ) -> impl Future<Output = Result<Option<Row>, Error>> + Send
    where
        T: ?Sized + ToBemiStatement + Sync + Send,
    {
        self.calls().query_opt(statement, params)
    }

    /// Like [`BemiClient::query_opt_scalar`].
    fn query_opt_scalar<R, T>(
        &self,
        statement: &T,
        params: &[&(dyn ToSql + Sync)],
    ) -> impl Future<Output = Result<Option<R>, Error>> + Send
    where
        R: FromSqlOwned + Send,
        T: ?Sized + ToBemiStatement + Sync + Send,
    {
        self.calls().query_opt_scalar(statement, params)
    }

    /// Like [`BemiClient::query_raw`].
    fn query_raw<T, P, I>(
        &self,
        statement: &T,
        params: I,
    ) -> impl Future<Output = Result<BemiRowStream, Error>> + Send
    where
        T: ?Sized + ToBemiStatement + Sync + Send,
        P: BorrowToSql,
        I: IntoIterator<Item = P> + Sync + Send,
        I::IntoIter: ExactSizeIterator,
    {
        self.calls().query_raw(statement, params)
    }

    /// Like [`BemiClient::query_typed`].
    fn query_typed(
        &self,
        statement: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
    ) -> impl Future<Output = Result<Vec<Row>, Error>> + Send {
        self.calls().query_typed(statement, params)
    }

    /// Like [`BemiClient::query_typed_one`].
    fn query_typed_one(
        &self,
        statement: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
    ) -> impl Future<Output = Result<Row, Error>> + Send {
        self.calls().query_typed_one(statement, params)
    }

    /// Like [`BemiClient::query_typed_opt`].
    fn query_typed_opt(
        &self,
        statement: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
    ) -> impl Future<Output = Result<Option<Row>, Error>> + Send {
        self.calls().query_typed_opt(statement, params)
    }

    /// Like [`BemiClient::query_typed_raw`].
    fn query_typed_raw<P, I>(
        &self,
        query: &str,
        params: I,
    ) -> impl Future<Output = Result<BemiRowStream, Error>> + Send
    where
        P: BorrowToSql,
        I: IntoIterator<Item = (P, Type)> + Sync + Send,
    {
        self.calls().query_typed_raw(query, params)
    }

    /// Like [`BemiClient::execute`].
    fn execute<T>(
        &self,
        statement: &T,
        params: &[&(dyn ToSql + Sync)],
    ) -> impl Future<Output = Result<u64, Error>> + Send
    where
        T: ?Sized + ToBemiStatement + Sync + Send,
    {
        self.calls().execute(statement, params)
    }

    /// Like [`BemiClient::execute_raw`].
    fn execute_raw<T, P, I>(
        &self,
        statement: &T,
        params: I,
    ) -> impl Future<Output = Result<u64, Error>> + Send
    where
        T: ?Sized + ToBemiStatement + Sync + Send,
        P: BorrowToSql,
        I: IntoIterator<Item = P> + Sync + Send,
        I::IntoIter: ExactSizeIterator,
    {
        self.calls().execute_raw(statement, params)
    }

    /// Like [`BemiClient::execute_typed`].
    fn execute_typed(
        &self,
        statement: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
    ) -> impl Future<Output = Result<u64, Error>> + Send {
        self.calls().execute_typed(statement, params)
    }

    /// Like [`BemiClient::simple_query`].
    fn simple_query(
        &self,
        query: &str,
    ) -> impl Future<Output = Result<Vec<SimpleQueryMessage>, Error>> + Send {
        self.calls().simple_query(query)
    }

    /// Like [`BemiClient::simple_query_raw`].
    fn simple_query_raw(
        &self,
        query: &str,
    ) -> impl Future<Output = Result<BemiSimpleQueryStream, Error>> + Send {
        self.calls().simple_query_raw(query)
    }

    /// Like [`BemiClient::batch_execute`].
    fn batch_execute(&self, query: &str) -> impl Future<Output = Result<(), Error>> + Send {
        self.calls().batch_execute(query)
    }

    /// Like [`BemiClient::transaction`], and [`BemiTransaction::transaction`].
    fn transaction(&mut self) -> impl Future<Output = Result<BemiTransaction<'_>, Error>> + Send;
}

impl BemiGenericClient for BemiClient {
    fn transaction(&mut self) -> impl Future<Output = Result<BemiTransaction<'_>, Error>> + Send {
        Self::transaction(self)
    }
}

impl BemiGenericClient for BemiTransaction<'_> {
    fn transaction(&mut self) -> impl Future<Output = Result<BemiTransaction<'_>, Error>> + Send {
        Self::transaction(self)
    }
}

mod sealed {
    use crate::calls::Calls;
    use crate::{BemiClient, BemiTransaction};

    pub trait Callable: Send + Sync {
        #[doc(hidden)]
        fn calls(&self) -> Calls<'_>;
    }

    impl Callable for BemiClient {
        fn calls(&self) -> Calls<'_> {
            Self::calls(self)
        }
    }

    impl Callable for BemiTransaction<'_> {
        fn calls(&self) -> Calls<'_> {
            Self::calls(self)
        }
    }
}
