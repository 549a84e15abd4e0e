//! `bemi-diesel`'s async connection, in a pool of deadpool's.

use std::sync::Arc;

use bemi_diesel::{BemiAsyncPgConnection, BemiAsyncPool, BemiAsyncPoolConnection};
use diesel::connection::CacheSize;
use diesel::query_builder::BoxedSqlQuery;
use diesel::result::Error;
use diesel::sql_types::{Integer, Nullable, Text};
use diesel::{ConnectionError, ConnectionResult, QueryableByName};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, RecyclingMethod};
use diesel_async::{
    AnsiTransactionManager, AsyncConnection, AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection,
    TransactionManager,
};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, TryStreamExt};
use tokio_postgres::NoTls;

use super::diesel::failure as failure_of;
use crate::driver::{Begin, Bind, Driver, Failure, Opened, Opening, Transaction, Values};

type Query<'a> = BoxedSqlQuery<'a, diesel::pg::Pg, diesel::query_builder::SqlQuery>;

struct Pool {
    pool: BemiAsyncPool,
}

/// diesel-async has transactions only as closures; what they are made of is public as well.
struct Open<C> {
    connection: C,
    /// 1 is the transaction, more are savepoints.
    depth: u32,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Nullable<Text>)]
    value: Option<String>,
}

pub(crate) fn open(opening: Opening) -> Opened {
    Box::pin(async move {
        let mut config = BemiAsyncPgConnection::manager_config(opening.settings.clone());
        // Else a read goes before each use.
        config.recycling_method = RecyclingMethod::Fast;
        if !opening.named_statements {
            let settings = opening.settings;
            config.custom_setup = Box::new(move |url| {
                let settings = settings.clone();
                async move { Ok(forgetful(url).await?.with_settings(settings)) }.boxed()
            });
        }
        let manager = AsyncDieselConnectionManager::new_with_config(opening.url, config);
        let connections = usize::try_from(opening.connections).unwrap();
        let pool = BemiAsyncPool::builder(manager).max_size(connections).build().unwrap();
        if !opening.named_statements {
            // diesel-async sets a connection up by statements that it prepares: connections that are made side by side would
            // look for them on each other's servers.
            let mut made = Vec::new();
            for _ in 0..connections {
                made.push(pool.get().await.map_err(|error| Failure::new(None, &error))?);
            }
        }
        let driver: Arc<dyn Driver> = Arc::new(Pool { pool });
        Ok(driver)
    })
}

/// A connection that prepares anew each time, and all that it does before its first use in one transaction: what is prepared is known
/// only to the server that the transaction runs on.
async fn forgetful(url: &str) -> ConnectionResult<BemiAsyncPgConnection> {
    let bad = |error: tokio_postgres::Error| ConnectionError::BadConnection(error.to_string());
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.map_err(bad)?;
    tokio::spawn(connection);
    client.batch_execute("BEGIN").await.map_err(bad)?;
    let mut raw = AsyncPgConnection::try_from(client).await?;
    raw.set_prepared_statement_cache_size(CacheSize::Disabled);
    raw.batch_execute("COMMIT").await.map_err(ConnectionError::CouldntSetupConfiguration)?;
    Ok(BemiAsyncPgConnection::new(raw))
}

impl Pool {
    async fn get(&self) -> Result<BemiAsyncPoolConnection, Failure> {
        self.pool.get().await.map_err(|error| Failure::new(None, &error))
    }
}

impl Driver for Pool {
    fn execute<'a>(
        &'a self,
        sql: &'a str,
        binds: &'a [Bind<'a>],
    ) -> BoxFuture<'a, Result<u64, Failure>> {
        Box::pin(async move { execute(&mut *self.get().await?, sql, binds).await })
    }

    fn query<'a>(
        &'a self,
        sql: &'a str,
        binds: &'a [Bind<'a>],
    ) -> BoxFuture<'a, Result<Values, Failure>> {
        Box::pin(async move { fetch(&mut *self.get().await?, sql, binds).await })
    }

    fn script<'a>(&'a self, sql: &'a str) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move { self.get().await?.batch_execute(sql).await.map_err(failure) })
    }

    fn first<'a>(&'a self, sql: &'a str) -> BoxFuture<'a, Result<Option<String>, Failure>> {
        Box::pin(async move {
            let mut connection = self.get().await?;
            let rows = query(sql, &[]).load_stream::<Row>(&mut connection).await;
            let row = rows.map_err(failure)?.try_next().await.map_err(failure)?;
            Ok(row.and_then(|row| row.value))
        })
    }

    fn copy_in<'a>(&'a self, _: &'a str, _: &'a str) -> BoxFuture<'a, Result<u64, Failure>> {
        unreachable!("diesel-async cannot copy")
    }

    fn begin(&self, begin: Begin) -> BoxFuture<'_, Result<Box<dyn Transaction + '_>, Failure>> {
        Box::pin(async move {
            let mut connection = self.get().await?;
            let sql = match begin {
                Begin::Default => "BEGIN",
                Begin::Serializable => "BEGIN ISOLATION LEVEL SERIALIZABLE",
                Begin::ReadOnly => "BEGIN READ ONLY",
            };
            AnsiTransactionManager::begin_transaction_sql(&mut *connection, sql)
                .await
                .map_err(failure)?;
            let open: Box<dyn Transaction> = Box::new(Open { connection, depth: 1 });
            Ok(open)
        })
    }
}

impl<C> Open<C>
where
    C: std::ops::DerefMut<Target = BemiAsyncPgConnection> + Send,
{
    /// The connection, without what a savepoint that was dropped has left open.
    async fn connection(&mut self) -> Result<&mut BemiAsyncPgConnection, Failure> {
        let connection = &mut *self.connection;
        loop {
            let status = AnsiTransactionManager::transaction_manager_status_mut(connection);
            match status.transaction_depth() {
                Ok(Some(depth)) if depth.get() > self.depth => {
                    AnsiTransactionManager::rollback_transaction(connection)
                        .await
                        .map_err(failure)?;
                }
                _ => return Ok(connection),
            }
        }
    }
}

impl<C> Transaction for Open<C>
where
    C: std::ops::DerefMut<Target = BemiAsyncPgConnection> + Send,
{
    fn execute<'a>(
        &'a mut self,
        sql: &'a str,
        binds: &'a [Bind<'a>],
    ) -> BoxFuture<'a, Result<u64, Failure>> {
        Box::pin(async move { execute(self.connection().await?, sql, binds).await })
    }

    fn query<'a>(
        &'a mut self,
        sql: &'a str,
        binds: &'a [Bind<'a>],
    ) -> BoxFuture<'a, Result<Values, Failure>> {
        Box::pin(async move { fetch(self.connection().await?, sql, binds).await })
    }

    fn script<'a>(&'a mut self, sql: &'a str) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move { self.connection().await?.batch_execute(sql).await.map_err(failure) })
    }

    fn begin(&mut self) -> BoxFuture<'_, Result<Box<dyn Transaction + '_>, Failure>> {
        Box::pin(async move {
            let depth = self.depth + 1;
            let connection = self.connection().await?;
            AnsiTransactionManager::begin_transaction(connection).await.map_err(failure)?;
            let open: Box<dyn Transaction + '_> = Box::new(Open { connection, depth });
            Ok(open)
        })
    }

    fn commit<'a>(mut self: Box<Self>) -> BoxFuture<'a, Result<(), Failure>>
    where
        Self: 'a,
    {
        Box::pin(async move {
            let connection = self.connection().await?;
            AnsiTransactionManager::commit_transaction(connection).await.map_err(failure)
        })
    }

    fn rollback<'a>(mut self: Box<Self>) -> BoxFuture<'a, Result<(), Failure>>
    where
        Self: 'a,
    {
        Box::pin(async move {
            let connection = self.connection().await?;
            AnsiTransactionManager::rollback_transaction(connection).await.map_err(failure)
        })
    }
}

fn query<'a>(sql: &str, binds: &[Bind<'a>]) -> Query<'a> {
    binds.iter().fold(diesel::sql_query(sql).into_boxed(), |query, bind| match *bind {
        Bind::Int(int) => query.bind::<Integer, _>(int),
        Bind::Text(text) => query.bind::<Text, _>(text),
    })
}

async fn execute(
    connection: &mut BemiAsyncPgConnection,
    sql: &str,
    binds: &[Bind<'_>],
) -> Result<u64, Failure> {
    let affected = query(sql, binds).execute(connection).await.map_err(failure)?;
    Ok(u64::try_from(affected).unwrap())
}

async fn fetch(
    connection: &mut BemiAsyncPgConnection,
    sql: &str,
    binds: &[Bind<'_>],
) -> Result<Values, Failure> {
    let rows: Vec<Row> = query(sql, binds).load(connection).await.map_err(failure)?;
    Ok(rows.into_iter().map(|row| row.value).collect())
}

fn failure(error: Error) -> Failure {
    failure_of(&error)
}
