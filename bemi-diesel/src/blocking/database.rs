//! The record through diesel's own connection. Nothing is waited for but the server, so each future is ready when it is first
//! polled.

use std::time::Duration;

use bemi_core::record::{Database, Sql};
use diesel::RunQueryDsl;
use diesel::result::Error;

use super::BemiPgConnection;
use crate::question::{self, Answer, bound, told};

/// Questions are asked by [`block_on`](bemi_core::record::block_on), in blocking code.
impl Database for BemiPgConnection {
    type Error = Error;

    const EMITS_CONTEXT: bool = true;

    async fn query(&mut self, sql: &Sql) -> Result<Vec<String>, Error> {
        let rows = bound(sql).load::<Answer>(self)?;
        Ok(rows.into_iter().map(|Answer(text)| text).collect())
    }

    async fn execute(&mut self, sql: &Sql) -> Result<u64, Error> {
        match bound(sql).execute(self) {
            Ok(count) => Ok(count as u64),
            Err(error) => Err(told(error, sql, self.is_in_transaction())),
        }
    }

    fn sqlstate(error: &Error) -> Option<String> {
        question::sqlstate(error)
    }

    async fn pause(&mut self, time: Duration) {
        std::thread::sleep(time);
    }
}
