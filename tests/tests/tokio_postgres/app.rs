//! A database with a client of ours and a plain one beside it.

use std::ops::Deref;

use bemi_tests::{ObservedDatabase, TestDatabase};
use bemi_tokio_postgres::{BemiClient, Settings};
use tokio_postgres::Client;

pub(crate) const INSERT: &str = "INSERT INTO todo VALUES ($1, $2)";

/// Everything that a test needs; what it sees of the database is the [`ObservedDatabase`]'s.
pub(crate) struct App {
    /// Ours, without the statement's text.
    pub(crate) client: BemiClient,
    /// tokio-postgres's own.
    pub(crate) plain: Client,
    observed: ObservedDatabase,
}

impl App {
    pub(crate) async fn new() -> Self {
        let observed = ObservedDatabase::create().await;
        let client = connect(&observed.database).await;
        let plain = observed.database.connect().await.unwrap();
        Self { client, plain, observed }
    }

    /// Another client of ours.
    pub(crate) async fn another(&self) -> BemiClient {
        connect(&self.database).await
    }

    /// Another client of ours, with the statement's text.
    pub(crate) async fn with_sql(&self) -> BemiClient {
        self.another().await.with_settings(Settings::new())
    }

    pub(crate) async fn count(&self, table: &str) -> i64 {
        self.plain.query_one_scalar(&format!("SELECT count(*) FROM {table}"), &[]).await.unwrap()
    }

    /// A client of ours and a plain one, whose statements the server logs.
    pub(crate) async fn logged(&self) -> (BemiClient, Client) {
        self.log_statements().await;
        (connect(&self.database).await, self.database.connect().await.unwrap())
    }
}

impl Deref for App {
    type Target = ObservedDatabase;

    fn deref(&self) -> &ObservedDatabase {
        &self.observed
    }
}

async fn connect(database: &TestDatabase) -> BemiClient {
    BemiClient::new(database.connect().await.unwrap()).with_settings(Settings::new().without_sql())
}
