//! Transactions and savepoints.

use std::fmt;

use bemi_core::adapter::Step;
use bemi_core::statement::Statement;
use bytes::Buf;
use tokio_postgres::types::{BorrowToSql, FromSqlOwned, ToSql, Type};
use tokio_postgres::{
    CancelToken, Client, CopyInSink, CopyOutStream, Error, Row, SimpleQueryMessage, Transaction,
};

use crate::calls::{Calls, Ready};
use crate::tracking::{Open, Tracking};
use crate::{BemiPortal, BemiRowStream, BemiSimpleQueryStream, BemiStatement, ToBemiStatement};

/// An open transaction or savepoint: the counterpart of tokio-postgres's [`Transaction`].
///
/// It is rolled back when it is dropped without [`commit`](Self::commit).
///
/// The context is emitted before the first write, and again when it has changed, each time in the round trip of the
/// write. It is that of the scope in which the write runs, not of the one in which the transaction was begun; a write
/// outside any scope has none.
///
/// ```no_run
/// # async fn example(mut client: bemi_tokio_postgres::BemiClient) -> Result<(), tokio_postgres::Error> {
/// let tx = client.transaction().await?;
/// tx.execute("UPDATE accounts SET balance = balance - $1 WHERE id = $2", &[&10, &1]).await?;
/// tx.execute("UPDATE accounts SET balance = balance + $1 WHERE id = $2", &[&10, &2]).await?;
/// tx.commit().await?;
/// # Ok(())
/// # }
/// ```
pub struct BemiTransaction<'a> {
    untracked: Transaction<'a>,
    tracking: &'a Tracking,
    open: Open<'a>,
    /// 0 is the transaction, more are savepoints.
    depth: u32,
}

#[allow(clippy::missing_errors_doc, reason = "what they are like says it")]
impl<'a> BemiTransaction<'a> {
    pub(crate) fn begun(
        untracked: Transaction<'a>,
        tracking: &'a Tracking,
        open: Open<'a>,
    ) -> Self {
        Self { untracked, tracking, open, depth: 0 }
    }

    /// Commits the transaction, or releases the savepoint.
    ///
    /// # Errors
    ///
    /// Those of `COMMIT`, such as a deferred constraint that does not hold. The transaction is then rolled back.
    ///
    /// # Cancellation
    ///
    /// The transaction is either committed or rolled back.
    pub async fn commit(self) -> Result<(), Error> {
        let Self { untracked, tracking, open, .. } = self;
        let queued = async {
            let watch = open.commit();
            let outcome = untracked.commit().await;
            if let Some(watch) = watch {
                watch.answered(usize::from(outcome.is_ok()), outcome.as_ref().err());
            }
            outcome
        };
        tracking.gate.pass(queued).await
    }

    /// Rolls back the transaction, or to the savepoint, which dropping it does as well.
    ///
    /// # Errors
    ///
    /// When the connection does not work; the server then rolls back by itself.
    pub async fn rollback(self) -> Result<(), Error> {
        let Self { untracked, tracking, open, .. } = self;
        let queued = async {
            let watch = open.roll_back();
            let outcome = untracked.rollback().await;
            if let Some(watch) = watch {
                watch.answered(usize::from(outcome.is_ok()), outcome.as_ref().err());
            }
            outcome
        };
        tracking.gate.pass(queued).await
    }

    /// Begins a transaction inside this one: a savepoint.
    ///
    /// # Errors
    ///
    /// Those of the server.
    pub async fn transaction(&mut self) -> Result<BemiTransaction<'_>, Error> {
        let name = format!("sp_{}", self.depth + 1);
        self.savepoint(name).await
    }

    /// Begins a transaction inside this one: a savepoint of this name.
    ///
    /// # Errors
    ///
    /// Those of the server.
    pub async fn savepoint<I>(&mut self, name: I) -> Result<BemiTransaction<'_>, Error>
    where
        I: Into<String>,
    {
        let name = name.into();
        let folded = folded(&name);
        let depth = self.depth + 1;
        let tracking = self.tracking;
        let queued = async {
            let watch = tracking.savepoint(&folded);
            let outcome = self.untracked.savepoint(name).await;
            if let Some(watch) = watch {
                watch.answered(usize::from(outcome.is_ok()), outcome.as_ref().err());
            }
            outcome
        };
        let untracked = tracking.gate.pass(queued).await?;
        Ok(BemiTransaction { untracked, tracking, open: tracking.opened(folded), depth })
    }

    /// Binds a statement to parameters, so that its rows can be had in parts.
    ///
    /// ```no_run
    /// # async fn example(mut client: bemi_tokio_postgres::BemiClient) -> Result<(), tokio_postgres::Error> {
    /// let tx = client.transaction().await?;
    /// let portal = tx.bind("DELETE FROM todos WHERE id < $1 RETURNING id", &[&7]).await?;
    /// let first = tx.query_portal(&portal, 100).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn bind<T>(
        &self,
        statement: &T,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<BemiPortal, Error>
    where
        T: ?Sized + ToBemiStatement,
    {
        let Ready { sql, statement } = self.calls().ready(statement).await?;
        let bound = self.untracked.bind(&statement, params);
        Ok(BemiPortal::new(sql, self.tracking.gate.pass(bound).await?))
    }

    /// [`bind`](Self::bind), with parameters from an iterator.
    pub async fn bind_raw<P, T, I>(&self, statement: &T, params: I) -> Result<BemiPortal, Error>
    where
        T: ?Sized + ToBemiStatement,
        P: BorrowToSql,
        I: IntoIterator<Item = P>,
        I::IntoIter: ExactSizeIterator,
    {
        let Ready { sql, statement } = self.calls().ready(statement).await?;
        let bound = self.untracked.bind_raw(&statement, params);
        Ok(BemiPortal::new(sql, self.tracking.gate.pass(bound).await?))
    }

    /// The next rows of a portal, at most `max_rows`; all that are left if that is not positive.
    ///
    /// The context is that of the scope in which the portal is first asked: there the statement runs.
    pub async fn query_portal(
        &self,
        portal: &BemiPortal,
        max_rows: i32,
    ) -> Result<Vec<Row>, Error> {
        let rows = self.untracked.query_portal(portal.untracked(), max_rows);
        self.calls().run(portal.sql(), rows).await
    }

    /// [`query_portal`](Self::query_portal), whose rows are returned as they come.
    pub async fn query_portal_raw(
        &self,
        portal: &BemiPortal,
        max_rows: i32,
    ) -> Result<BemiRowStream, Error> {
        let rows = self.untracked.query_portal_raw(portal.untracked(), max_rows);
        self.calls().stream(portal.sql(), rows).await
    }

    /// Like [`BemiClient::prepare`](crate::BemiClient::prepare).
    pub async fn prepare(&self, query: &str) -> Result<BemiStatement, Error> {
        self.calls().prepare(query, &[]).await
    }

    /// Like [`BemiClient::prepare_typed`](crate::BemiClient::prepare_typed).
    pub async fn prepare_typed(
        &self,
        query: &str,
        parameter_types: &[Type],
    ) -> Result<BemiStatement, Error> {
        self.calls().prepare(query, parameter_types).await
    }

    /// Like [`BemiClient::prepare_cached`](crate::BemiClient::prepare_cached).
    #[cfg(feature = "deadpool")]
    pub async fn prepare_cached(&self, query: &str) -> Result<BemiStatement, Error> {
        self.calls().prepare_cached(query, &[]).await
    }

    /// Like [`BemiClient::prepare_typed_cached`](crate::BemiClient::prepare_typed_cached).
    #[cfg(feature = "deadpool")]
    pub async fn prepare_typed_cached(
        &self,
        query: &str,
        types: &[Type],
    ) -> Result<BemiStatement, Error> {
        self.calls().prepare_cached(query, types).await
    }

    /// Like [`BemiClient::query`](crate::BemiClient::query).
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

    /// Like [`BemiClient::query_scalar`](crate::BemiClient::query_scalar).
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

    /// Like [`BemiClient::query_one`](crate::BemiClient::query_one).
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

    /// Like [`BemiClient::query_one_scalar`](crate::BemiClient::query_one_scalar).
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

    /// Like [`BemiClient::query_opt`](crate::BemiClient::query_opt).
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

    /// Like [`BemiClient::query_opt_scalar`](crate::BemiClient::query_opt_scalar).
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

    /// Like [`BemiClient::query_raw`](crate::BemiClient::query_raw).
    pub async fn query_raw<T, P, I>(&self, statement: &T, params: I) -> Result<BemiRowStream, Error>
    where
        T: ?Sized + ToBemiStatement,
        P: BorrowToSql,
        I: IntoIterator<Item = P>,
        I::IntoIter: ExactSizeIterator,
    {
        self.calls().query_raw(statement, params).await
    }

    /// Like [`BemiClient::query_typed`](crate::BemiClient::query_typed).
    pub async fn query_typed(
        &self,
        statement: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, Error> {
        self.calls().query_typed(statement, params).await
    }

    /// Like [`BemiClient::query_typed_one`](crate::BemiClient::query_typed_one).
    pub async fn query_typed_one(
        &self,
        statement: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Row, Error> {
        self.calls().query_typed_one(statement, params).await
    }

    /// Like [`BemiClient::query_typed_opt`](crate::BemiClient::query_typed_opt).
    pub async fn query_typed_opt(
        &self,
        statement: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Option<Row>, Error> {
        self.calls().query_typed_opt(statement, params).await
    }

    /// Like [`BemiClient::query_typed_raw`](crate::BemiClient::query_typed_raw).
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

    /// Like [`BemiClient::execute`](crate::BemiClient::execute).
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

    /// Like [`BemiClient::execute_raw`](crate::BemiClient::execute_raw).
    pub async fn execute_raw<T, P, I>(&self, statement: &T, params: I) -> Result<u64, Error>
    where
        T: ?Sized + ToBemiStatement,
        P: BorrowToSql,
        I: IntoIterator<Item = P>,
        I::IntoIter: ExactSizeIterator,
    {
        self.calls().execute_raw(statement, params).await
    }

    /// Like [`BemiClient::execute_typed`](crate::BemiClient::execute_typed).
    pub async fn execute_typed(
        &self,
        statement: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<u64, Error> {
        self.calls().execute_typed(statement, params).await
    }

    /// Like [`BemiClient::copy_in`](crate::BemiClient::copy_in), with the library's own sink: the transaction's own
    /// COMMIT follows.
    pub async fn copy_in<T, U>(&self, statement: &T) -> Result<CopyInSink<U>, Error>
    where
        T: ?Sized + ToBemiStatement,
        U: Buf + 'static + Send,
    {
        let (sink, _) = self.calls().copy_in(statement).await?;
        Ok(sink)
    }

    /// Like [`BemiClient::copy_out`](crate::BemiClient::copy_out).
    pub async fn copy_out<T>(&self, statement: &T) -> Result<CopyOutStream, Error>
    where
        T: ?Sized + ToBemiStatement,
    {
        self.calls().copy_out(statement).await
    }

    /// Like [`BemiClient::simple_query`](crate::BemiClient::simple_query).
    pub async fn simple_query(&self, query: &str) -> Result<Vec<SimpleQueryMessage>, Error> {
        self.calls().simple_query(query).await
    }

    /// Like [`BemiClient::simple_query_raw`](crate::BemiClient::simple_query_raw).
    pub async fn simple_query_raw(&self, query: &str) -> Result<BemiSimpleQueryStream, Error> {
        self.calls().simple_query_raw(query).await
    }

    /// Like [`BemiClient::batch_execute`](crate::BemiClient::batch_execute).
    pub async fn batch_execute(&self, query: &str) -> Result<(), Error> {
        self.calls().batch_execute(query).await
    }

    /// Like [`BemiClient::cancel_token`](crate::BemiClient::cancel_token).
    pub fn cancel_token(&self) -> CancelToken {
        self.untracked.cancel_token()
    }

    /// tokio-postgres's own client, for what only that can do. **What is written through it has the context of the
    /// write before it**, or none.
    ///
    /// Do not begin or end transactions or savepoints on it: they would not be seen.
    pub fn untracked(&mut self) -> &Client {
        self.tracking.forget();
        self.untracked.client()
    }

    pub(crate) fn calls(&self) -> Calls<'_> {
        Calls { client: self.untracked.client(), tracking: self.tracking }
    }
}

impl fmt::Debug for BemiTransaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BemiTransaction").field("depth", &self.depth).finish_non_exhaustive()
    }
}

/// The name of a savepoint as the server has it: what is not quoted is in lower case.
fn folded(name: &str) -> String {
    if let Statement::Control(control) = Statement::classify(&format!("SAVEPOINT {name}"))
        && let Step::Savepoint(folded) = Step::of(control)
    {
        return folded;
    }
    name.to_owned()
}
