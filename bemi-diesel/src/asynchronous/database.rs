//! The record through diesel-async.

use std::time::Duration;

use bemi_core::record::{Database, Sql};
use diesel::result::Error;
use diesel_async::RunQueryDsl;

use super::BemiAsyncPgConnection;
use crate::question::{self, Answer, bound, told};

impl Database for BemiAsyncPgConnection {
    type Error = Error;

    const EMITS_CONTEXT: bool = true;

    async fn query(&mut self, sql: &Sql) -> Result<Vec<String>, Error> {
        let rows = bound(sql).load::<Answer>(self).await?;
        Ok(rows.into_iter().map(|Answer(text)| text).collect())
    }

    async fn execute(&mut self, sql: &Sql) -> Result<u64, Error> {
        match bound(sql).execute(self).await {
            Ok(count) => Ok(count as u64),
            Err(error) => Err(told(error, sql, self.is_in_transaction())),
        }
    }

    fn sqlstate(error: &Error) -> Option<String> {
        question::sqlstate(error)
    }

    async fn pause(&mut self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}
