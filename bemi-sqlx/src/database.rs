//! The record through sqlx: connections and transactions that it can be asked over, and that a revert can run in.
//!
//! Statements run as the application's own do: a write by them has the context of the scope that it runs in.

use std::time::Duration;

use bemi_core::record::{Database, Sql};
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Error, Postgres, Row};

use crate::{BemiConnection, BemiPoolConnection, BemiTransaction};

impl Database for BemiConnection {
    type Error = Error;

    const EMITS_CONTEXT: bool = true;

    async fn query(&mut self, sql: &Sql) -> Result<Vec<String>, Error> {
        let rows = bound(sql).fetch_all(&mut *self).await?;
        rows.iter().map(|row| row.try_get(0)).collect()
    }

    async fn execute(&mut self, sql: &Sql) -> Result<u64, Error> {
        Ok(bound(sql).execute(&mut *self).await?.rows_affected())
    }

    fn sqlstate(error: &Error) -> Option<String> {
        Some(error.as_database_error()?.code()?.into_owned())
    }

    async fn pause(&mut self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

/// For those that have a connection: the same, by that one.
macro_rules! by_its_connection {
    ($($type:ty)*) => {$(
        impl Database for $type {
            type Error = Error;

            const EMITS_CONTEXT: bool = true;

            async fn query(&mut self, sql: &Sql) -> Result<Vec<String>, Error> {
                BemiConnection::query(self, sql).await
            }

            async fn execute(&mut self, sql: &Sql) -> Result<u64, Error> {
                BemiConnection::execute(self, sql).await
            }

            fn sqlstate(error: &Error) -> Option<String> {
                BemiConnection::sqlstate(error)
            }

            async fn pause(&mut self, time: Duration) {
                BemiConnection::pause(self, time).await;
            }
        }
    )*};
}

by_its_connection!(BemiPoolConnection BemiTransaction<'_>);

/// The statement with its parameters. Its text is made of pieces of the record's own; it is not kept among the prepared
/// statements of the application.
fn bound(sql: &Sql) -> Query<'_, Postgres, PgArguments> {
    let query = sqlx::query(AssertSqlSafe(sql.text())).persistent(false);
    sql.parameters().iter().fold(query, |query, parameter| query.bind(parameter.as_deref()))
}
