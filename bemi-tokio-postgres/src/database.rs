//! The record through tokio-postgres: clients and transactions that it can be asked over, and that a revert can run in.
//!
//! Statements run as the application's own do: a write by them has the context of the scope that it runs in. Nothing is
//! prepared, so a question is one round trip.

use std::time::Duration;

use bemi_core::record::{Database, Sql};
use tokio_postgres::Error;
use tokio_postgres::types::{ToSql, Type};

use crate::calls::Calls;
use crate::{BemiClient, BemiTransaction};

/// Also for references, since all methods want no more.
macro_rules! by_its_calls {
    ($($type:ty)*) => {$(
        impl Database for $type {
            type Error = Error;

            const EMITS_CONTEXT: bool = true;

            async fn query(&mut self, sql: &Sql) -> Result<Vec<String>, Error> {
                self.calls().ask(sql).await
            }

            async fn execute(&mut self, sql: &Sql) -> Result<u64, Error> {
                self.calls().execute_typed(sql.text(), &parameters(sql)).await
            }

            fn sqlstate(error: &Error) -> Option<String> {
                error.code().map(|code| code.code().to_owned())
            }

            async fn pause(&mut self, time: Duration) {
                tokio::time::sleep(time).await;
            }
        }
    )*};
}

by_its_calls!(BemiClient &BemiClient BemiTransaction<'_> &BemiTransaction<'_>);

impl Calls<'_> {
    async fn ask(self, sql: &Sql) -> Result<Vec<String>, Error> {
        let rows = self.query_typed(sql.text(), &parameters(sql)).await?;
        rows.iter().map(|row| row.try_get(0)).collect()
    }
}

fn parameters(sql: &Sql) -> Vec<(&(dyn ToSql + Sync), Type)> {
    let typed = |parameter| (parameter as &(dyn ToSql + Sync), Type::TEXT);
    sql.parameters().iter().map(typed).collect()
}
