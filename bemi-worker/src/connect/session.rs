//! A connection that can be asked about the record, and that a revert can be carried out on.

use std::time::Duration;

use bemi_core::record::{Database, Sql};
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

/// A connection of the worker's, as [`bemi_core::record`] wants one. It emits no contexts.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use bemi_core::record::Record;
/// use bemi_worker::config::ConnectionConfig;
/// use bemi_worker::connect::Session;
///
/// let config: ConnectionConfig = "postgres://postgres@localhost/shop".parse()?;
/// let record = Record::new(Session::new(config.connect().await?));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Session(Client);

impl Session {
    /// The same connection.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self(client)
    }

    /// The connection beneath.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.0
    }
}

/// The parameters with their types: said, so that one round trip does.
fn typed(sql: &Sql) -> Vec<(&(dyn ToSql + Sync), Type)> {
    sql.parameters().iter().map(|text| (text as &(dyn ToSql + Sync), Type::TEXT)).collect()
}

impl Database for Session {
    type Error = tokio_postgres::Error;

    const EMITS_CONTEXT: bool = false;

    async fn query(&mut self, sql: &Sql) -> Result<Vec<String>, Self::Error> {
        let rows = self.0.query_typed(sql.text(), &typed(sql)).await?;
        rows.iter().map(|row| row.try_get(0)).collect()
    }

    async fn execute(&mut self, sql: &Sql) -> Result<u64, Self::Error> {
        self.0.execute_typed(sql.text(), &typed(sql)).await
    }

    fn sqlstate(error: &Self::Error) -> Option<String> {
        error.code().map(|code| code.code().to_owned())
    }

    async fn pause(&mut self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}
