//! `bemi-seaorm`.

use std::sync::Arc;
use std::time::Duration;

use bemi_seaorm::{BemiDatabaseConnection, BemiDatabaseTransaction};
use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;
use sea_orm::{
    AccessMode, ConnectOptions, ConnectionTrait, Database, DbBackend, DbErr, IsolationLevel,
    QueryResult, RuntimeErr, Statement, StreamTrait, TransactionTrait,
};
use sqlx::error::DatabaseError;

use crate::driver::{Begin, Bind, Driver, Failure, Opened, Opening, Transaction, Values};

/// Longer than any case waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(60);

struct Pool {
    db: BemiDatabaseConnection,
    named_statements: bool,
}

struct Open {
    transaction: BemiDatabaseTransaction,
    named_statements: bool,
}

pub(crate) fn open(opening: Opening) -> Opened {
    Box::pin(async move {
        let mut options = ConnectOptions::new(opening.url);
        options
            .max_connections(opening.connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy(true);
        let db = Database::connect(options).await.map_err(failure)?;
        let db = BemiDatabaseConnection::new(db).map_err(|error| failure(error.into()))?;
        let db = db.with_settings(opening.settings);
        let driver: Arc<dyn Driver> =
            Arc::new(Pool { db, named_statements: opening.named_statements });
        Ok(driver)
    })
}

impl Driver for Pool {
    fn execute<'a>(
        &'a self,
        sql: &'a str,
        binds: &'a [Bind<'a>],
    ) -> BoxFuture<'a, Result<u64, Failure>> {
        Box::pin(execute(&self.db, sql, binds, self.named_statements))
    }

    fn query<'a>(
        &'a self,
        sql: &'a str,
        binds: &'a [Bind<'a>],
    ) -> BoxFuture<'a, Result<Values, Failure>> {
        Box::pin(query(&self.db, sql, binds))
    }

    fn script<'a>(&'a self, sql: &'a str) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(script(&self.db, sql))
    }

    fn first<'a>(&'a self, sql: &'a str) -> BoxFuture<'a, Result<Option<String>, Failure>> {
        Box::pin(async move {
            let mut rows = self.db.stream_raw(statement(sql, &[])).await.map_err(failure)?;
            match rows.try_next().await.map_err(failure)? {
                Some(row) => value(&row),
                None => Ok(None),
            }
        })
    }

    fn copy_in<'a>(&'a self, _: &'a str, _: &'a str) -> BoxFuture<'a, Result<u64, Failure>> {
        unreachable!("sea-orm has no COPY")
    }

    fn begin(&self, begin: Begin) -> BoxFuture<'_, Result<Box<dyn Transaction + '_>, Failure>> {
        Box::pin(async move {
            let (isolation_level, access_mode) = match begin {
                Begin::Default => (None, None),
                Begin::Serializable => (Some(IsolationLevel::Serializable), None),
                Begin::ReadOnly => (None, Some(AccessMode::ReadOnly)),
            };
            let transaction = self.db.begin_with_config(isolation_level, access_mode).await;
            Ok(boxed(transaction.map_err(failure)?, self.named_statements))
        })
    }
}

impl Transaction for Open {
    fn execute<'a>(
        &'a mut self,
        sql: &'a str,
        binds: &'a [Bind<'a>],
    ) -> BoxFuture<'a, Result<u64, Failure>> {
        Box::pin(execute(&self.transaction, sql, binds, self.named_statements))
    }

    fn query<'a>(
        &'a mut self,
        sql: &'a str,
        binds: &'a [Bind<'a>],
    ) -> BoxFuture<'a, Result<Values, Failure>> {
        Box::pin(query(&self.transaction, sql, binds))
    }

    fn script<'a>(&'a mut self, sql: &'a str) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(script(&self.transaction, sql))
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

fn boxed<'a>(
    transaction: BemiDatabaseTransaction,
    named_statements: bool,
) -> Box<dyn Transaction + 'a> {
    Box::new(Open { transaction, named_statements })
}

fn statement(sql: &str, binds: &[Bind<'_>]) -> Statement {
    let values = binds.iter().map(|bind| match *bind {
        Bind::Int(int) => int.into(),
        Bind::Text(text) => text.into(),
    });
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
}

async fn execute(
    db: &impl ConnectionTrait,
    sql: &str,
    binds: &[Bind<'_>],
    named_statements: bool,
) -> Result<u64, Failure> {
    let statement = statement(sql, binds);
    let executed = if named_statements {
        db.execute_raw(statement).await
    } else {
        // sea-orm gives each statement a name; what can do without is a text.
        db.execute_unprepared(&statement.to_string()).await
    };
    Ok(executed.map_err(failure)?.rows_affected())
}

async fn query(
    db: &impl ConnectionTrait,
    sql: &str,
    binds: &[Bind<'_>],
) -> Result<Values, Failure> {
    db.query_all_raw(statement(sql, binds)).await.map_err(failure)?.iter().map(value).collect()
}

async fn script(db: &impl ConnectionTrait, sql: &str) -> Result<(), Failure> {
    db.execute_unprepared(sql).await.map_err(failure)?;
    Ok(())
}

fn value(row: &QueryResult) -> Result<Option<String>, Failure> {
    row.try_get("", "value").map_err(failure)
}

fn failure(error: DbErr) -> Failure {
    let sqlstate = match &error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => {
            error.as_database_error().and_then(DatabaseError::code).map(Into::into)
        }
        _ => None,
    };
    Failure::new(sqlstate, &error)
}
