//! A database with a pool of ours and a plain pool beside it.

use std::ops::Deref;
use std::time::Duration;

use bemi_sqlx::{BemiPool, Settings};
use bemi_tests::ObservedDatabase;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

/// Everything that a test needs; what it sees of the database is the [`ObservedDatabase`]'s.
pub(crate) struct App {
    /// Ours, without the statement's text, of five connections.
    pub(crate) pool: BemiPool,
    /// sqlx's own.
    pub(crate) plain: PgPool,
    observed: ObservedDatabase,
}

impl App {
    pub(crate) async fn new() -> Self {
        Self::with_connections(5).await
    }

    pub(crate) async fn with_connections(connections: u32) -> Self {
        let observed = ObservedDatabase::create().await;
        let url = observed.database.url();
        let options = || {
            PgPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(Duration::from_secs(20))
        };
        let pool = options().connect(&url).await.unwrap();
        let plain = options().connect_lazy(&url).unwrap();
        Self {
            pool: BemiPool::new(pool).with_settings(Settings::new().without_sql()),
            plain,
            observed,
        }
    }

    /// Ours with the statement's text, over the same connections.
    pub(crate) fn with_sql(&self) -> BemiPool {
        BemiPool::new(self.pool.untracked().clone())
    }

    /// A pool of one connection, whose statements the server logs.
    pub(crate) async fn logged(&self) -> BemiPool {
        self.log_statements().await;
        one_connection(&self.database.url()).await
    }
}

impl Deref for App {
    type Target = ObservedDatabase;

    fn deref(&self) -> &ObservedDatabase {
        &self.observed
    }
}

/// Ours, without the statement's text, of one connection.
pub(crate) async fn one_connection(url: &str) -> BemiPool {
    let pool = PgPoolOptions::new().max_connections(1).connect(url).await.unwrap();
    BemiPool::new(pool).with_settings(Settings::new().without_sql())
}
