//! `bemi-sqlx`.

use std::sync::Arc;
use std::time::Duration;

use bemi_sqlx::{BemiConnection, BemiPool, BemiTransaction};
use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;
use sqlx::error::DatabaseError;
use sqlx::postgres::{PgArguments, PgPoolOptions, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Error, PgExecutor, Postgres, Row};

use crate::driver::{Begin, Bind, Driver, Failure, Opened, Opening, Transaction, Values};

/// Longer than any case waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(60);

struct Pool {
    pool: BemiPool,
    named_statements: bool,
}

struct Open<'c> {
    transaction: BemiTransaction<'c>,
    named_statements: bool,
}

pub(crate) fn open(opening: Opening) -> Opened {
    Box::pin(async move {
        let pool = PgPoolOptions::new()
            .max_connections(opening.connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy(&opening.url)
            .map_err(failure)?;
        let pool = BemiPool::new(pool).with_settings(opening.settings);
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
        Box::pin(execute(&self.pool, query(sql, binds, self.named_statements)))
    }

    fn query<'a>(
        &'a self,
        sql: &'a str,
        binds: &'a [Bind<'a>],
    ) -> BoxFuture<'a, Result<Values, Failure>> {
        Box::pin(fetch(&self.pool, query(sql, binds, self.named_statements)))
    }

    fn script<'a>(&'a self, sql: &'a str) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(script(&self.pool, sql))
    }

    fn first<'a>(&'a self, sql: &'a str) -> BoxFuture<'a, Result<Option<String>, Failure>> {
        Box::pin(async move {
            let mut rows = query(sql, &[], self.named_statements).fetch(&self.pool);
            match rows.try_next().await.map_err(failure)? {
                Some(row) => value(&row),
                None => Ok(None),
            }
        })
    }

    fn copy_in<'a>(&'a self, sql: &'a str, data: &'a str) -> BoxFuture<'a, Result<u64, Failure>> {
        Box::pin(async move {
            let mut copy = self.pool.copy_in_raw(sql).await.map_err(failure)?;
            copy.send(data.as_bytes()).await.map_err(failure)?;
            copy.finish().await.map_err(failure)
        })
    }

    fn begin(&self, begin: Begin) -> BoxFuture<'_, Result<Box<dyn Transaction + '_>, Failure>> {
        Box::pin(async move {
            let transaction = match begin {
                Begin::Default => self.pool.begin().await,
                Begin::Serializable => {
                    self.pool.begin_with("BEGIN ISOLATION LEVEL SERIALIZABLE").await
                }
                Begin::ReadOnly => self.pool.begin_with("BEGIN READ ONLY").await,
            };
            Ok(boxed(transaction.map_err(failure)?, self.named_statements))
        })
    }
}

impl Transaction for Open<'_> {
    fn execute<'a>(
        &'a mut self,
        sql: &'a str,
        binds: &'a [Bind<'a>],
    ) -> BoxFuture<'a, Result<u64, Failure>> {
        let query = query(sql, binds, self.named_statements);
        Box::pin(execute(self.connection(), query))
    }

    fn query<'a>(
        &'a mut self,
        sql: &'a str,
        binds: &'a [Bind<'a>],
    ) -> BoxFuture<'a, Result<Values, Failure>> {
        let query = query(sql, binds, self.named_statements);
        Box::pin(fetch(self.connection(), query))
    }

    fn script<'a>(&'a mut self, sql: &'a str) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(script(self.connection(), sql))
    }

    fn begin(&mut self) -> BoxFuture<'_, Result<Box<dyn Transaction + '_>, Failure>> {
        Box::pin(async move {
            let nested = self.transaction.begin().await.map_err(failure)?;
            Ok(boxed(nested, self.named_statements))
        })
    }

    fn commit<'a>(self: Box<Self>) -> BoxFuture<'a, Result<(), Failure>>
    where
        Self: 'a,
    {
        Box::pin(async move { self.transaction.commit().await.map_err(failure) })
    }

    fn rollback<'a>(self: Box<Self>) -> BoxFuture<'a, Result<(), Failure>>
    where
        Self: 'a,
    {
        Box::pin(async move { self.transaction.rollback().await.map_err(failure) })
    }
}

impl Open<'_> {
    fn connection(&mut self) -> &mut BemiConnection {
        &mut self.transaction
    }
}

fn boxed(transaction: BemiTransaction<'_>, named_statements: bool) -> Box<dyn Transaction + '_> {
    Box::new(Open { transaction, named_statements })
}

fn query<'a>(
    sql: &str,
    binds: &[Bind<'a>],
    named_statements: bool,
) -> Query<'a, Postgres, PgArguments> {
    let query = sqlx::query(AssertSqlSafe(sql)).persistent(named_statements);
    binds.iter().fold(query, |query, bind| match *bind {
        Bind::Int(int) => query.bind(int),
        Bind::Text(text) => query.bind(text),
    })
}

async fn execute<'e>(
    executor: impl PgExecutor<'e>,
    query: Query<'_, Postgres, PgArguments>,
) -> Result<u64, Failure> {
    Ok(query.execute(executor).await.map_err(failure)?.rows_affected())
}

async fn fetch<'e>(
    executor: impl PgExecutor<'e>,
    query: Query<'_, Postgres, PgArguments>,
) -> Result<Values, Failure> {
    query.fetch_all(executor).await.map_err(failure)?.iter().map(value).collect()
}

async fn script<'e>(executor: impl PgExecutor<'e>, sql: &str) -> Result<(), Failure> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(executor).await.map_err(failure)?;
    Ok(())
}

fn value(row: &PgRow) -> Result<Option<String>, Failure> {
    row.try_get("value").map_err(failure)
}

fn failure(error: Error) -> Failure {
    let sqlstate = error.as_database_error().and_then(DatabaseError::code).map(Into::into);
    Failure::new(sqlstate, &error)
}
