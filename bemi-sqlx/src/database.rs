//! The record through sqlx: pools, connections and transactions that it can be asked over, and transactions that a revert can
//! run in.
//!
//! Statements run as the application's own do: a write by them has the context of the scope that it runs in.

use std::time::Duration;

use bemi_core::record::{Database, Sql};
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Error, Postgres, Row};

use crate::{BemiConnection, BemiPool, BemiPoolConnection, BemiTransaction};

/// sqlx has a connection by `&mut`, a pool by `&`.
macro_rules! by_executor {
    ($($type:ty: |$database:ident| $executor:expr;)*) => {$(
        impl Database for $type {
            type Error = Error;

            const EMITS_CONTEXT: bool = true;

            async fn query(&mut self, sql: &Sql) -> Result<Vec<String>, Error> {
                let $database = self;
                let rows = bound(sql).fetch_all($executor).await?;
                rows.iter().map(|row| row.try_get(0)).collect()
            }

            async fn execute(&mut self, sql: &Sql) -> Result<u64, Error> {
                let $database = self;
                Ok(bound(sql).execute($executor).await?.rows_affected())
            }

            fn sqlstate(error: &Error) -> Option<String> {
                Some(error.as_database_error()?.code()?.into_owned())
            }

            async fn pause(&mut self, time: Duration) {
                tokio::time::sleep(time).await;
            }
        }
    )*};
}

by_executor! {
    BemiConnection: |connection| connection;
    BemiPoolConnection: |connection| &mut **connection;
    BemiTransaction<'_>: |transaction| &mut **transaction;
    BemiPool: |pool| &*pool;
    &BemiPool: |pool| *pool;
}

/// The statement with its parameters. Its text is made of pieces of the record's own; it is not kept among the prepared
/// statements of the application.
fn bound(sql: &Sql) -> Query<'_, Postgres, PgArguments> {
    let query = sqlx::query(AssertSqlSafe(sql.text())).persistent(false);
    sql.parameters().iter().fold(query, |query, parameter| query.bind(parameter.as_deref()))
}
