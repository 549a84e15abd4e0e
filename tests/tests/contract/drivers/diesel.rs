//! `bemi-diesel`, the blocking connection, in a pool of r2d2.
//!
//! diesel makes the text of a COPY itself, from a table that it knows when it is compiled: those cases are not for it.

use std::sync::Arc;
use std::time::Duration;

use bemi_core::Settings;
use bemi_diesel::BemiPgConnection;
use diesel::connection::{
    AnsiTransactionManager, CacheSize, LoadConnection, SimpleConnection, TransactionManager,
};
use diesel::pg::{Pg, PgRowByRowLoadingMode};
use diesel::prelude::*;
use diesel::query_builder::{BoxedSqlQuery, SqlQuery};
use diesel::r2d2::{ConnectionManager, CustomizeConnection, PooledConnection};
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::{Integer, Nullable, Text};
use futures_util::future::BoxFuture;
use tokio::task::block_in_place;

use crate::driver::{Begin, Bind, Driver, Failure, Opened, Opening, Transaction, Values};

/// Longer than any case waits for a connection.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);

type Manager = ConnectionManager<BemiPgConnection>;

struct Pool(diesel::r2d2::Pool<Manager>);

/// A transaction with its connection, or a savepoint on that of another.
struct Open<C: AsMut<BemiPgConnection>> {
    connection: C,
    over: bool,
}

/// The connection of a pool.
struct Pooled(PooledConnection<Manager>);

#[derive(Debug)]
struct Customizer {
    settings: Settings,
    named_statements: bool,
}

impl CustomizeConnection<BemiPgConnection, diesel::r2d2::Error> for Customizer {
    fn on_acquire(&self, connection: &mut BemiPgConnection) -> Result<(), diesel::r2d2::Error> {
        connection.set_settings(self.settings.clone());
        if !self.named_statements {
            connection.set_prepared_statement_cache_size(CacheSize::Disabled);
        }
        Ok(())
    }
}

pub(crate) fn open(opening: Opening) -> Opened {
    Box::pin(async move {
        let Opening { url, connections, settings, named_statements } = opening;
        let pool = diesel::r2d2::Pool::builder()
            .max_size(connections)
            .min_idle(Some(0))
            .connection_timeout(CONNECTION_TIMEOUT)
            .connection_customizer(Box::new(Customizer { settings, named_statements }))
            .build_unchecked(Manager::new(url));
        let driver: Arc<dyn Driver> = Arc::new(Pool(pool));
        Ok(driver)
    })
}

impl Pool {
    /// Runs blocking code on a connection of the pool, in the scope that is current here.
    fn run<T>(
        &self,
        code: impl FnOnce(&mut BemiPgConnection) -> QueryResult<T>,
    ) -> Result<T, Failure> {
        block_in_place(|| code(&mut *self.connection()?).map_err(|error| failure(&error)))
    }

    fn connection(&self) -> Result<PooledConnection<Manager>, Failure> {
        self.0.get().map_err(|error| Failure::new(None, &error))
    }
}

impl Driver for Pool {
    fn execute<'a>(
        &'a self,
        sql: &'a str,
        binds: &'a [Bind<'a>],
    ) -> BoxFuture<'a, Result<u64, Failure>> {
        Box::pin(async move { self.run(|connection| execute(connection, sql, binds)) })
    }

    fn query<'a>(
        &'a self,
        sql: &'a str,
        binds: &'a [Bind<'a>],
    ) -> BoxFuture<'a, Result<Values, Failure>> {
        Box::pin(async move { self.run(|connection| fetch(connection, sql, binds)) })
    }

    fn script<'a>(&'a self, sql: &'a str) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move { self.run(|connection| connection.batch_execute(sql)) })
    }

    fn first<'a>(&'a self, sql: &'a str) -> BoxFuture<'a, Result<Option<String>, Failure>> {
        Box::pin(async move {
            self.run(|connection| {
                let query = query(sql, &[]);
                let mut rows = query.load_iter::<Row, PgRowByRowLoadingMode>(connection)?;
                Ok(rows.next().transpose()?.and_then(|row| row.value))
            })
        })
    }

    fn copy_in<'a>(&'a self, sql: &'a str, _: &'a str) -> BoxFuture<'a, Result<u64, Failure>> {
        panic!("a case that copies is not for this driver: {sql}")
    }

    fn begin(&self, begin: Begin) -> BoxFuture<'_, Result<Box<dyn Transaction + '_>, Failure>> {
        let sql = match begin {
            Begin::Default => "BEGIN",
            Begin::Serializable => "BEGIN ISOLATION LEVEL SERIALIZABLE",
            Begin::ReadOnly => "BEGIN READ ONLY",
        };
        Box::pin(async move {
            block_in_place(|| {
                let mut connection = self.connection()?;
                AnsiTransactionManager::begin_transaction_sql(&mut *connection, sql)
                    .map_err(|error| failure(&error))?;
                let open: Box<dyn Transaction> =
                    Box::new(Open { connection: Pooled(connection), over: false });
                Ok(open)
            })
        })
    }
}

impl<C: AsMut<BemiPgConnection> + Send> Open<C> {
    fn run<T>(
        &mut self,
        code: impl FnOnce(&mut BemiPgConnection) -> QueryResult<T>,
    ) -> Result<T, Failure> {
        block_in_place(|| code(self.connection.as_mut()).map_err(|error| failure(&error)))
    }
}

impl<C: AsMut<BemiPgConnection> + Send> Transaction for Open<C> {
    fn execute<'a>(
        &'a mut self,
        sql: &'a str,
        binds: &'a [Bind<'a>],
    ) -> BoxFuture<'a, Result<u64, Failure>> {
        Box::pin(async move { self.run(|connection| execute(connection, sql, binds)) })
    }

    fn query<'a>(
        &'a mut self,
        sql: &'a str,
        binds: &'a [Bind<'a>],
    ) -> BoxFuture<'a, Result<Values, Failure>> {
        Box::pin(async move { self.run(|connection| fetch(connection, sql, binds)) })
    }

    fn script<'a>(&'a mut self, sql: &'a str) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move { self.run(|connection| connection.batch_execute(sql)) })
    }

    fn begin(&mut self) -> BoxFuture<'_, Result<Box<dyn Transaction + '_>, Failure>> {
        Box::pin(async move {
            self.run(AnsiTransactionManager::begin_transaction)?;
            let connection = Nested(self.connection.as_mut());
            let nested: Box<dyn Transaction + '_> = Box::new(Open { connection, over: false });
            Ok(nested)
        })
    }

    fn commit<'a>(mut self: Box<Self>) -> BoxFuture<'a, Result<(), Failure>>
    where
        Self: 'a,
    {
        Box::pin(async move {
            self.over = true;
            self.run(AnsiTransactionManager::commit_transaction)
        })
    }

    fn rollback<'a>(mut self: Box<Self>) -> BoxFuture<'a, Result<(), Failure>>
    where
        Self: 'a,
    {
        Box::pin(async move {
            self.over = true;
            self.run(AnsiTransactionManager::rollback_transaction)
        })
    }
}

/// As diesel rolls back a transaction whose code fails.
impl<C: AsMut<BemiPgConnection>> Drop for Open<C> {
    fn drop(&mut self) {
        if !self.over {
            let connection = self.connection.as_mut();
            let _ = block_in_place(|| AnsiTransactionManager::rollback_transaction(connection));
        }
    }
}

impl AsMut<BemiPgConnection> for Pooled {
    fn as_mut(&mut self) -> &mut BemiPgConnection {
        &mut self.0
    }
}

/// The connection of the transaction around.
struct Nested<'c>(&'c mut BemiPgConnection);

impl AsMut<BemiPgConnection> for Nested<'_> {
    fn as_mut(&mut self) -> &mut BemiPgConnection {
        self.0
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Nullable<Text>)]
    value: Option<String>,
}

fn query<'a>(sql: &str, binds: &[Bind<'a>]) -> BoxedSqlQuery<'a, Pg, SqlQuery> {
    binds.iter().fold(diesel::sql_query(sql).into_boxed(), |query, bind| match *bind {
        Bind::Int(int) => query.bind::<Integer, _>(int),
        Bind::Text(text) => query.bind::<Text, _>(text),
    })
}

fn execute(connection: &mut BemiPgConnection, sql: &str, binds: &[Bind<'_>]) -> QueryResult<u64> {
    query(sql, binds).execute(connection).map(|count| count as u64)
}

fn fetch(
    connection: &mut impl LoadConnection<Backend = Pg>,
    sql: &str,
    binds: &[Bind<'_>],
) -> QueryResult<Values> {
    let rows: Vec<Row> = query(sql, binds).load(connection)?;
    Ok(rows.into_iter().map(|row| row.value).collect())
}

/// The failure that `error` is, with the server's code as far as diesel lets it be known.
pub(super) fn failure(error: &Error) -> Failure {
    Failure::new(sqlstate(error).map(str::to_owned), error)
}

/// diesel keeps kinds in place of the server's codes, and those only for some: the others are told by the server's words.
fn sqlstate(error: &Error) -> Option<&'static str> {
    const WORDS: [(&str, &str); 5] = [
        ("current transaction is aborted", "25P02"),
        ("invalid input syntax", "22P02"),
        ("syntax error", "42601"),
        ("column", "42703"),
        ("relation", "42P01"),
    ];
    let Error::DatabaseError(kind, info) = error else { return None };
    match kind {
        DatabaseErrorKind::UniqueViolation => Some("23505"),
        DatabaseErrorKind::ForeignKeyViolation => Some("23503"),
        DatabaseErrorKind::NotNullViolation => Some("23502"),
        DatabaseErrorKind::CheckViolation => Some("23514"),
        DatabaseErrorKind::SerializationFailure => Some("40001"),
        DatabaseErrorKind::ReadOnlyTransaction => Some("25006"),
        _ => {
            let mut words = WORDS.iter();
            words.find(|(words, _)| info.message().starts_with(words)).map(|(_, code)| *code)
        }
    }
}
