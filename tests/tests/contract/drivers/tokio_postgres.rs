//! `bemi-tokio-postgres`, on a deadpool pool.
//!
//! A transaction of this library borrows its client, so no value can hold both. Here a future does, from BEGIN to COMMIT: it is
//! polled only inside calls, in their scope, and drops what it does for a call that was dropped.

use std::pin::pin;
use std::sync::Arc;

use bemi_tokio_postgres::{
    BemiGenericClient, BemiManager, BemiPool, BemiTransaction, BemiTransactionBuilder,
};
use bytes::Bytes;
use deadpool_postgres::{BuildError, Manager, ManagerConfig, PoolError, RecyclingMethod};
use futures_util::future::{BoxFuture, Either, select};
use futures_util::{SinkExt, TryStreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Config, Error, IsolationLevel, NoTls, Row};

use crate::driver::{Begin, Bind, Driver, Failure, Opened, Opening, Transaction, Values};

struct Pool {
    pool: BemiPool,
    named_statements: bool,
}

struct Open<'a> {
    holder: Holder<'a>,
    calls: mpsc::UnboundedSender<Call>,
    named_statements: bool,
}

/// The future that holds client and transaction; a savepoint borrows it.
enum Holder<'a> {
    Owned(BoxFuture<'static, ()>),
    Borrowed(&'a mut BoxFuture<'static, ()>),
}

type Work = Box<dyn for<'t> FnOnce(&'t BemiTransaction<'_>) -> BoxFuture<'t, ()> + Send>;

/// What the holder is to do.
enum Call {
    Run(Work),
    Begin(oneshot::Sender<Result<mpsc::UnboundedSender<Call>, Error>>),
    Commit(oneshot::Sender<Result<(), Error>>),
    Rollback(oneshot::Sender<Result<(), Error>>),
}

pub(crate) fn open(opening: Opening) -> Opened {
    Box::pin(async move {
        let config: Config = opening.url.parse().map_err(failure)?;
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Verified };
        let manager = BemiManager::new(Manager::from_config(config, NoTls, recycling))
            .with_settings(opening.settings);
        let connections = usize::try_from(opening.connections).expect("a number of connections");
        let pool = BemiPool::builder(manager).max_size(connections).build();
        let pool = pool.map_err(|error: BuildError| Failure::new(None, &error))?;
        let driver: Arc<dyn Driver> =
            Arc::new(Pool { pool, named_statements: opening.named_statements });
        Ok(driver)
    })
}

impl Driver for Pool {
    fn execute<'a>(
        &'a self,
        sql: &'a str,
        binds: &'a [Bind<'a>],
    ) -> BoxFuture<'a, Result<u64, Failure>> {
        Box::pin(async move {
            let client = self.pool.get().await.map_err(pool_failure)?;
            execute(&*client, sql, &owned(binds), self.named_statements).await.map_err(failure)
        })
    }

    fn query<'a>(
        &'a self,
        sql: &'a str,
        binds: &'a [Bind<'a>],
    ) -> BoxFuture<'a, Result<Values, Failure>> {
        Box::pin(async move {
            let client = self.pool.get().await.map_err(pool_failure)?;
            query(&*client, sql, &owned(binds), self.named_statements).await.map_err(failure)
        })
    }

    fn script<'a>(&'a self, sql: &'a str) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let client = self.pool.get().await.map_err(pool_failure)?;
            client.batch_execute(sql).await.map_err(failure)
        })
    }

    fn first<'a>(&'a self, sql: &'a str) -> BoxFuture<'a, Result<Option<String>, Failure>> {
        Box::pin(async move {
            let client = self.pool.get().await.map_err(pool_failure)?;
            let parameters: [i32; 0] = [];
            let mut rows = pin!(client.query_raw(sql, parameters).await.map_err(failure)?);
            match rows.try_next().await.map_err(failure)? {
                Some(row) => value(&row).map_err(failure),
                None => Ok(None),
            }
        })
    }

    fn copy_in<'a>(&'a self, sql: &'a str, data: &'a str) -> BoxFuture<'a, Result<u64, Failure>> {
        Box::pin(async move {
            let client = self.pool.get().await.map_err(pool_failure)?;
            let mut sink = pin!(client.copy_in(sql).await.map_err(failure)?);
            sink.send(Bytes::copy_from_slice(data.as_bytes())).await.map_err(failure)?;
            sink.finish().await.map_err(failure)
        })
    }

    fn begin(&self, begin: Begin) -> BoxFuture<'_, Result<Box<dyn Transaction + '_>, Failure>> {
        Box::pin(async move {
            let (calls, inbox) = mpsc::unbounded_channel();
            let (begun, answer) = oneshot::channel();
            let mut client = self.pool.get().await.map_err(pool_failure)?;
            let mut holder: BoxFuture<'static, ()> = Box::pin(async move {
                match with(client.build_transaction(), begin).start().await {
                    Ok(transaction) => {
                        let _ = begun.send(Ok(()));
                        serve(transaction, inbox).await;
                    }
                    Err(error) => drop(begun.send(Err(error))),
                }
            });
            answered(&mut holder, answer).await.map_err(failure)?;
            let named_statements = self.named_statements;
            let open = Open { holder: Holder::Owned(holder), calls, named_statements };
            Ok(Box::new(open) as Box<dyn Transaction + '_>)
        })
    }
}

fn with(builder: BemiTransactionBuilder<'_>, begin: Begin) -> BemiTransactionBuilder<'_> {
    match begin {
        Begin::Default => builder,
        Begin::Serializable => builder.isolation_level(IsolationLevel::Serializable),
        Begin::ReadOnly => builder.read_only(true),
    }
}

/// Holds `transaction` until it is ended or nobody has a call for it any more.
fn serve(
    mut transaction: BemiTransaction<'_>,
    mut inbox: mpsc::UnboundedReceiver<Call>,
) -> BoxFuture<'_, ()> {
    Box::pin(async move {
        while let Some(call) = inbox.recv().await {
            match call {
                Call::Run(run) => run(&transaction).await,
                Call::Begin(mut begun) => {
                    let nested = tokio::select! {
                        biased;
                        nested = transaction.transaction() => nested,
                        () = begun.closed() => continue,
                    };
                    match nested {
                        Ok(nested) => {
                            let (calls, inbox) = mpsc::unbounded_channel();
                            let _ = begun.send(Ok(calls));
                            serve(nested, inbox).await;
                        }
                        Err(error) => drop(begun.send(Err(error))),
                    }
                }
                Call::Commit(done) => return drop(done.send(transaction.commit().await)),
                Call::Rollback(done) => return drop(done.send(transaction.rollback().await)),
            }
        }
    })
}

/// Polls `holder` until it has answered.
async fn answered<T>(holder: &mut BoxFuture<'static, ()>, answer: oneshot::Receiver<T>) -> T {
    match select(holder, answer).await {
        Either::Right((answer, _)) => answer,
        Either::Left(((), answer)) => answer.await,
    }
    .expect("the holder answers")
}

impl Transaction for Open<'_> {
    fn execute<'a>(
        &'a mut self,
        sql: &'a str,
        binds: &'a [Bind<'a>],
    ) -> BoxFuture<'a, Result<u64, Failure>> {
        let (sql, binds, named) = (sql.to_owned(), owned(binds), self.named_statements);
        Box::pin(self.run(move |transaction| {
            Box::pin(async move { execute(transaction, &sql, &binds, named).await })
        }))
    }

    fn query<'a>(
        &'a mut self,
        sql: &'a str,
        binds: &'a [Bind<'a>],
    ) -> BoxFuture<'a, Result<Values, Failure>> {
        let (sql, binds, named) = (sql.to_owned(), owned(binds), self.named_statements);
        Box::pin(self.run(move |transaction| {
            Box::pin(async move { query(transaction, &sql, &binds, named).await })
        }))
    }

    fn script<'a>(&'a mut self, sql: &'a str) -> BoxFuture<'a, Result<(), Failure>> {
        let sql = sql.to_owned();
        Box::pin(
            self.run(move |transaction| {
                Box::pin(async move { transaction.batch_execute(&sql).await })
            }),
        )
    }

    fn begin(&mut self) -> BoxFuture<'_, Result<Box<dyn Transaction + '_>, Failure>> {
        Box::pin(async move {
            let calls = self.ask(Call::Begin).await.map_err(failure)?;
            let holder = Holder::Borrowed(self.holder.future());
            let nested = Open { holder, calls, named_statements: self.named_statements };
            Ok(Box::new(nested) as Box<dyn Transaction + '_>)
        })
    }

    fn commit<'a>(mut self: Box<Self>) -> BoxFuture<'a, Result<(), Failure>>
    where
        Self: 'a,
    {
        Box::pin(async move { self.ask(Call::Commit).await.map_err(failure) })
    }

    fn rollback<'a>(mut self: Box<Self>) -> BoxFuture<'a, Result<(), Failure>>
    where
        Self: 'a,
    {
        Box::pin(async move { self.ask(Call::Rollback).await.map_err(failure) })
    }
}

impl Open<'_> {
    async fn ask<T>(&mut self, call: impl FnOnce(oneshot::Sender<T>) -> Call) -> T {
        let (sender, answer) = oneshot::channel();
        assert!(self.calls.send(call(sender)).is_ok(), "the holder takes calls");
        answered(self.holder.future(), answer).await
    }

    /// Runs `work` on the transaction, unless this is dropped before.
    async fn run<T, W>(&mut self, work: W) -> Result<T, Failure>
    where
        T: Send + 'static,
        W: for<'t> FnOnce(&'t BemiTransaction<'_>) -> BoxFuture<'t, Result<T, Error>>,
        W: Send + 'static,
    {
        let outcome = self.ask(|mut done: oneshot::Sender<Result<T, Error>>| {
            Call::Run(Box::new(move |transaction| {
                Box::pin(async move {
                    let outcome = tokio::select! {
                        biased;
                        outcome = work(transaction) => outcome,
                        () = done.closed() => return,
                    };
                    let _ = done.send(outcome);
                })
            }))
        });
        outcome.await.map_err(failure)
    }
}

impl Holder<'_> {
    fn future(&mut self) -> &mut BoxFuture<'static, ()> {
        match self {
            Self::Owned(future) => future,
            Self::Borrowed(future) => future,
        }
    }
}

type Parameter = (Box<dyn ToSql + Sync + Send>, Type);

fn owned(binds: &[Bind<'_>]) -> Vec<Parameter> {
    let owned = |bind: &Bind<'_>| -> Parameter {
        match *bind {
            Bind::Int(int) => (Box::new(int), Type::INT4),
            Bind::Text(text) => (Box::new(text.to_owned()), Type::TEXT),
        }
    };
    binds.iter().map(owned).collect()
}

async fn execute(
    client: &impl BemiGenericClient,
    sql: &str,
    parameters: &[Parameter],
    named_statements: bool,
) -> Result<u64, Error> {
    if named_statements {
        let values: Vec<_> = parameters.iter().map(|(value, _)| &**value as _).collect();
        return client.execute(sql, &values).await;
    }
    let typed: Vec<_> =
        parameters.iter().map(|(value, type_)| (&**value as _, type_.clone())).collect();
    client.execute_typed(sql, &typed).await
}

async fn query(
    client: &impl BemiGenericClient,
    sql: &str,
    parameters: &[Parameter],
    named_statements: bool,
) -> Result<Values, Error> {
    let rows = if named_statements {
        let values: Vec<_> = parameters.iter().map(|(value, _)| &**value as _).collect();
        client.query(sql, &values).await?
    } else {
        let typed: Vec<_> =
            parameters.iter().map(|(value, type_)| (&**value as _, type_.clone())).collect();
        client.query_typed(sql, &typed).await?
    };
    rows.iter().map(value).collect()
}

fn value(row: &Row) -> Result<Option<String>, Error> {
    row.try_get("value")
}

fn failure(error: Error) -> Failure {
    let sqlstate = error.code().map(|code| code.code().to_owned());
    Failure::new(sqlstate, &error)
}

fn pool_failure(error: PoolError) -> Failure {
    match error {
        PoolError::Backend(error) => failure(error),
        error => Failure::new(None, &error),
    }
}
