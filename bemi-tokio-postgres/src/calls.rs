//! What a client and a transaction have in common: statements, and how they go to the server.
//!
//! ```text
//!  prepare, if it is a text ─▶ gate ┬─ BEGIN; message ─┐
//!                                   ├─ the statement ──┼─▶ answers, in this order
//!                                   └─ COMMIT ─────────┘
//! ```
//!
//! All that a statement needs is queued in one poll, so it is one round trip, nothing of another task comes between,
//! and a future that is dropped leaves no transaction open: it has sent all of it or nothing. That is why a text is
//! prepared first; its answer would have to be waited for in between, and the COMMIT would go ahead of the statement.
//!
//! Invariant: what is waited for inside the gate was queued by the first poll, except for types that the library does
//! not know, which it asks for behind it.

use std::fmt;
use std::future::{Future, ready};

use bytes::Buf;
use futures_util::TryStreamExt;
use futures_util::future::{OptionFuture, join3};
use tokio_postgres::types::{BorrowToSql, FromSqlOwned, ToSql, Type};
use tokio_postgres::{
    Client, CopyInSink, CopyOutStream, Error, Row, RowStream, SimpleQueryMessage, Statement,
};

use crate::commit::Commit;
use crate::missing::missing;
use crate::statement::ToBemiStatement;
use crate::tracking::Tracking;
use crate::{BemiRowStream, BemiSimpleQueryStream, BemiStatement};

/// A connection: the library's client, and what is known of it.
#[derive(Clone, Copy)]
pub struct Calls<'a> {
    pub(crate) client: &'a Client,
    pub(crate) tracking: &'a Tracking,
}

/// A statement that is ready to run.
pub(crate) struct Ready<'s> {
    pub(crate) sql: &'s str,
    pub(crate) statement: Statement,
}

impl Calls<'_> {
    /// Runs `write`, the statement `sql`, with what it needs around it. What comes of the COMMIT is not waited for.
    ///
    /// The first error in the order of sending is the one that tells the cause: after an emission that failed, the
    /// write says only that the transaction is aborted, and after a write that failed, COMMIT is answered as if all
    /// were well.
    async fn send<T, W>(self, sql: &str, write: W) -> Result<(T, Commit), Error>
    where
        W: Future<Output = Result<T, Error>>,
    {
        let Self { client, tracking } = self;
        let queued = async {
            let around = match tracking.around(sql) {
                Ok(around) => around,
                Err(error) => return Err(missing(client, error).await),
            };
            if around.is_nothing() {
                return Ok((write.await?, Commit::new(None)));
            }
            let before = around.before.as_deref().map(|before| client.batch_execute(before));
            let after = around.after.map(|after| client.simple_query_raw(after));
            let (before, written, after) =
                join3(OptionFuture::from(before), write, OptionFuture::from(after)).await;
            if let Some(watch) = around.watch {
                watch.answered(usize::from(written.is_ok()), written.as_ref().err());
            }
            let mut commit = Commit::new(after.transpose()?);
            match before.transpose().and(written) {
                Ok(written) => Ok((written, commit)),
                Err(error) => {
                    // What the write has locked is free when its caller learns that it failed.
                    let _ = commit.done().await;
                    if !commit.is_in_step() {
                        close(client).await;
                    }
                    Err(error)
                }
            }
        };
        tracking.gate.pass(queued).await
    }

    /// Runs `write`, the statement `sql`, until it is committed.
    pub(crate) async fn run<T, W>(self, sql: &str, write: W) -> Result<T, Error>
    where
        W: Future<Output = Result<T, Error>>,
    {
        let (written, mut commit) = self.send(sql, write).await?;
        commit.done().await?;
        Ok(written)
    }

    pub(crate) async fn ready<'s, T>(self, statement: &'s T) -> Result<Ready<'s>, Error>
    where
        T: ?Sized + ToBemiStatement,
    {
        match statement.runnable() {
            Ok(statement) => {
                Ok(Ready { sql: statement.sql(), statement: statement.untracked().clone() })
            }
            Err(sql) => {
                let statement = self.tracking.gate.pass(self.client.prepare(sql)).await?;
                Ok(Ready { sql, statement })
            }
        }
    }

    pub(crate) async fn prepare(self, sql: &str, types: &[Type]) -> Result<BemiStatement, Error> {
        let prepared = self.client.prepare_typed(sql, types);
        Ok(BemiStatement::new(sql, self.tracking.gate.pass(prepared).await?))
    }

    #[cfg(feature = "deadpool")]
    pub(crate) async fn prepare_cached(
        self,
        sql: &str,
        types: &[Type],
    ) -> Result<BemiStatement, Error> {
        let Some(cache) = &self.tracking.cache else { return self.prepare(sql, types).await };
        let prepared = cache.prepare_typed(self.client, sql, types);
        Ok(BemiStatement::new(sql, self.tracking.gate.pass(prepared).await?))
    }

    pub(crate) async fn query<T>(
        self,
        statement: &T,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error>
    where
        T: ?Sized + ToBemiStatement,
    {
        let Ready { sql, statement } = self.ready(statement).await?;
        self.run(sql, self.client.query(&statement, params)).await
    }

    pub(crate) async fn query_scalar<R, T>(
        self,
        statement: &T,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<R>, Error>
    where
        R: FromSqlOwned,
        T: ?Sized + ToBemiStatement,
    {
        let Ready { sql, statement } = self.ready(statement).await?;
        self.run(sql, self.client.query_scalar(&statement, params)).await
    }

    pub(crate) async fn query_one<T>(
        self,
        statement: &T,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, Error>
    where
        T: ?Sized + ToBemiStatement,
    {
        let Ready { sql, statement } = self.ready(statement).await?;
        self.run(sql, self.client.query_one(&statement, params)).await
    }

    pub(crate) async fn query_one_scalar<R, T>(
        self,
        statement: &T,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<R, Error>
    where
        R: FromSqlOwned,
        T: ?Sized + ToBemiStatement,
    {
        let Ready { sql, statement } = self.ready(statement).await?;
        self.run(sql, self.client.query_one_scalar(&statement, params)).await
    }

    pub(crate) async fn query_opt<T>(
        self,
        statement: &T,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, Error>
    where
        T: ?Sized + ToBemiStatement,
    {
        let Ready { sql, statement } = self.ready(statement).await?;
        self.run(sql, self.client.query_opt(&statement, params)).await
    }

    pub(crate) async fn query_opt_scalar<R, T>(
        self,
        statement: &T,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<R>, Error>
    where
        R: FromSqlOwned,
        T: ?Sized + ToBemiStatement,
    {
        let Ready { sql, statement } = self.ready(statement).await?;
        self.run(sql, self.client.query_opt_scalar(&statement, params)).await
    }

    pub(crate) async fn query_raw<T, P, I>(
        self,
        statement: &T,
        params: I,
    ) -> Result<BemiRowStream, Error>
    where
        T: ?Sized + ToBemiStatement,
        P: BorrowToSql,
        I: IntoIterator<Item = P>,
        I::IntoIter: ExactSizeIterator,
    {
        let Ready { sql, statement } = self.ready(statement).await?;
        self.stream(sql, self.client.query_raw(&statement, params)).await
    }

    pub(crate) async fn query_typed(
        self,
        sql: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, Error> {
        self.run(sql, self.client.query_typed(sql, params)).await
    }

    pub(crate) async fn query_typed_one(
        self,
        sql: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Row, Error> {
        self.run(sql, self.client.query_typed_one(sql, params)).await
    }

    pub(crate) async fn query_typed_opt(
        self,
        sql: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Option<Row>, Error> {
        self.run(sql, self.client.query_typed_opt(sql, params)).await
    }

    pub(crate) async fn query_typed_raw<P, I>(
        self,
        sql: &str,
        params: I,
    ) -> Result<BemiRowStream, Error>
    where
        P: BorrowToSql,
        I: IntoIterator<Item = (P, Type)>,
    {
        self.stream(sql, self.client.query_typed_raw(sql, params)).await
    }

    pub(crate) async fn execute<T>(
        self,
        statement: &T,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, Error>
    where
        T: ?Sized + ToBemiStatement,
    {
        let Ready { sql, statement } = self.ready(statement).await?;
        self.run(sql, self.client.execute(&statement, params)).await
    }

    pub(crate) async fn execute_raw<T, P, I>(self, statement: &T, params: I) -> Result<u64, Error>
    where
        T: ?Sized + ToBemiStatement,
        P: BorrowToSql,
        I: IntoIterator<Item = P>,
        I::IntoIter: ExactSizeIterator,
    {
        let Ready { sql, statement } = self.ready(statement).await?;
        self.run(sql, self.client.execute_raw(&statement, params)).await
    }

    pub(crate) async fn execute_typed(
        self,
        sql: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<u64, Error> {
        self.run(sql, self.client.execute_typed(sql, params)).await
    }

    /// Runs `rows`, the statement `sql`, to its first row.
    pub(crate) async fn stream<W>(self, sql: &str, rows: W) -> Result<BemiRowStream, Error>
    where
        W: Future<Output = Result<RowStream, Error>>,
    {
        let (rows, commit) = self.send(sql, rows).await?;
        Ok(BemiRowStream::new(rows, commit))
    }

    /// COPY … FROM STDIN. The COMMIT waits behind it in the library's queue until the data is complete or given up.
    pub(crate) async fn copy_in<T, U>(self, statement: &T) -> Result<(CopyInSink<U>, Commit), Error>
    where
        T: ?Sized + ToBemiStatement,
        U: Buf + 'static + Send,
    {
        let Ready { sql, statement } = self.ready(statement).await?;
        self.send(sql, self.client.copy_in(&statement)).await
    }

    /// COPY … TO STDOUT. Its end is its last data, with the library as here; what comes of the COMMIT of a COPY (DELETE
    /// …) is not told by either.
    pub(crate) async fn copy_out<T>(self, statement: &T) -> Result<CopyOutStream, Error>
    where
        T: ?Sized + ToBemiStatement,
    {
        let Ready { sql, statement } = self.ready(statement).await?;
        let (data, _) = self.send(sql, self.client.copy_out(&statement)).await?;
        Ok(data)
    }

    pub(crate) async fn simple_query_raw(self, sql: &str) -> Result<BemiSimpleQueryStream, Error> {
        let Self { client, tracking } = self;
        let queued = async {
            let text = match tracking.text(sql) {
                Ok(text) => text,
                Err(error) => return Err(missing(client, error).await),
            };
            let answer = client.simple_query_raw(text.rewritten.as_deref().unwrap_or(sql)).await?;
            Ok(BemiSimpleQueryStream::new(answer, text.watch))
        };
        tracking.gate.pass(queued).await
    }

    pub(crate) async fn simple_query(self, sql: &str) -> Result<Vec<SimpleQueryMessage>, Error> {
        self.simple_query_raw(sql).await?.try_collect().await
    }

    pub(crate) async fn batch_execute(self, sql: &str) -> Result<(), Error> {
        self.simple_query_raw(sql).await?.try_for_each(|_| ready(Ok(()))).await
    }

    pub(crate) async fn check_connection(self) -> Result<(), Error> {
        self.tracking.gate.pass(self.client.check_connection()).await
    }
}

/// Has the server close the connection, because its answers are out of step with what was sent: each would be taken for
/// that of the statement after. It happens where the server refuses a COPY … FROM STDIN at once, because the library
/// then asks for one more answer than it expects (rust-postgres #789).
async fn close(client: &Client) {
    // Queued before the caller can queue anything else. If it fails, the connection is closed already.
    let _ = client.simple_query_raw("SELECT pg_terminate_backend(pg_backend_pid())").await;
}

impl fmt::Debug for Calls<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").finish_non_exhaustive()
    }
}
