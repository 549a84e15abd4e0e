//! A database with a connection of ours and a plain one beside it.

use std::ops::Deref;
use std::time::Duration;

use bemi_seaorm::{BemiDatabaseConnection, Settings};
use bemi_tests::ObservedDatabase;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ConnectionTrait, DatabaseConnection, DbErr};
use sea_orm::{DbBackend, Statement};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::entities::todo;

/// Everything that a test needs; what it sees of the database is the [`ObservedDatabase`]'s.
pub(crate) struct App {
    /// Ours, without the statement's text, of five connections.
    pub(crate) db: BemiDatabaseConnection,
    /// sea-orm's own.
    pub(crate) plain: DatabaseConnection,
    observed: ObservedDatabase,
}

impl App {
    pub(crate) async fn new() -> Self {
        Self::with_connections(5).await
    }

    pub(crate) async fn with_connections(connections: u32) -> Self {
        let observed = ObservedDatabase::create().await;
        let pool = || {
            PgPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(Duration::from_secs(20))
                .connect_lazy(&observed.database.url())
                .unwrap()
        };
        Self {
            db: ours(pool()).with_settings(Settings::new().without_sql()),
            plain: pool().into(),
            observed,
        }
    }

    /// Ours with the statement's text, over the same connections.
    pub(crate) fn with_sql(&self) -> BemiDatabaseConnection {
        self.db.clone().with_settings(Settings::new())
    }

    /// A connection of ours and one of sea-orm's own, whose statements the server logs.
    pub(crate) async fn logged(&self) -> (BemiDatabaseConnection, DatabaseConnection) {
        self.log_statements().await;
        let url = self.database.url();
        (one_connection(&url).await, plain_connection(&url).await)
    }

    /// How many rows `todo` has for others.
    pub(crate) async fn count(&self) -> i64 {
        self.client.query_one("SELECT count(*) FROM todo", &[]).await.unwrap().get(0)
    }
}

impl Deref for App {
    type Target = ObservedDatabase;

    fn deref(&self) -> &ObservedDatabase {
        &self.observed
    }
}

/// Ours, without the statement's text, on a pool of one connection.
pub(crate) async fn one_connection(url: &str) -> BemiDatabaseConnection {
    let db = BemiDatabaseConnection::new(plain_connection(url).await).unwrap();
    db.with_settings(Settings::new().without_sql())
}

async fn plain_connection(url: &str) -> DatabaseConnection {
    PgPoolOptions::new().max_connections(1).connect(url).await.unwrap().into()
}

/// A connection of ours over `pool`.
pub(crate) fn ours(pool: PgPool) -> BemiDatabaseConnection {
    BemiDatabaseConnection::new(pool.into()).unwrap()
}

/// A statement with values.
pub(crate) fn statement<const N: usize>(sql: &str, values: [sea_orm::Value; N]) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
}

/// Inserts a row by its active model.
pub(crate) async fn try_insert(
    db: &impl ConnectionTrait,
    id: i32,
    task: &str,
) -> Result<todo::Model, DbErr> {
    todo::ActiveModel { id: Set(id), task: Set(task.to_owned()) }.insert(db).await
}

pub(crate) async fn insert(db: &impl ConnectionTrait, id: i32) {
    try_insert(db, id, "x").await.unwrap();
}
