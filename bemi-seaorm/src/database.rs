//! The record through SeaORM: connections and transactions that it can be asked over, and transactions that a revert can run in.
//!
//! Statements run as the application's own do: a write by them has the context of the scope that it runs in.

use std::time::Duration;

use bemi_core::record::{Database, Sql};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, RuntimeErr, Statement};

use crate::{BemiDatabaseConnection, BemiDatabaseTransaction};

/// Also for references, since all methods want no more.
macro_rules! by_its_statements {
    ($($type:ty)*) => {$(
        impl Database for $type {
            type Error = DbErr;

            const EMITS_CONTEXT: bool = true;

            async fn query(&mut self, sql: &Sql) -> Result<Vec<String>, DbErr> {
                let rows = self.query_all_raw(bound(sql)).await?;
                rows.iter().map(|row| row.try_get_by_index(0)).collect()
            }

            async fn execute(&mut self, sql: &Sql) -> Result<u64, DbErr> {
                Ok(self.execute_raw(bound(sql)).await?.rows_affected())
            }

            fn sqlstate(error: &DbErr) -> Option<String> {
                sqlstate(error)
            }

            async fn pause(&mut self, time: Duration) {
                tokio::time::sleep(time).await;
            }
        }
    )*};
}

by_its_statements! {
    BemiDatabaseConnection &BemiDatabaseConnection
    BemiDatabaseTransaction &BemiDatabaseTransaction
}

fn bound(sql: &Sql) -> Statement {
    let parameters = sql.parameters().iter().cloned().map(Into::into);
    Statement::from_sql_and_values(DbBackend::Postgres, sql.text(), parameters)
}

fn sqlstate(error: &DbErr) -> Option<String> {
    let (DbErr::Exec(error) | DbErr::Query(error) | DbErr::Conn(error)) = error else {
        return None;
    };
    let RuntimeErr::SqlxError(error) = error else { return None };
    Some(error.as_database_error()?.code()?.into_owned())
}
