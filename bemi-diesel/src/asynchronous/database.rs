//! The record through diesel-async.

use std::time::Duration;

use bemi_core::record::{Database, Sql};
use diesel::result::Error;
use diesel_async::RunQueryDsl;

use super::BemiAsyncPgConnection;
use crate::question::{self, Answer, bound, told};

/// A connection of a pool is one by its pool's wrapper.
macro_rules! by_its_connection {
    ($($(#[$feature:meta])? $type:ty: |$database:ident| $connection:expr;)*) => {$(
        $(#[$feature])?
        impl Database for $type {
            type Error = Error;

            const EMITS_CONTEXT: bool = true;

            async fn query(&mut self, sql: &Sql) -> Result<Vec<String>, Error> {
                let $database = self;
                let connection: &mut BemiAsyncPgConnection = $connection;
                let rows = bound(sql).load::<Answer>(connection).await?;
                Ok(rows.into_iter().map(|Answer(text)| text).collect())
            }

            async fn execute(&mut self, sql: &Sql) -> Result<u64, Error> {
                let $database = self;
                let connection: &mut BemiAsyncPgConnection = $connection;
                match bound(sql).execute(connection).await {
                    Ok(count) => Ok(count as u64),
                    Err(error) => Err(told(error, sql, connection.is_in_transaction())),
                }
            }

            fn sqlstate(error: &Error) -> Option<String> {
                question::sqlstate(error)
            }

            async fn pause(&mut self, time: Duration) {
                tokio::time::sleep(time).await;
            }
        }
    )*};
}

by_its_connection! {
    BemiAsyncPgConnection: |connection| connection;
    #[cfg(feature = "deadpool")]
    super::BemiAsyncPoolConnection: |connection| &mut *connection;
}
