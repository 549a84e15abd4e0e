//! A database with connections of ours and plain ones beside them.

use std::ops::Deref;

use bemi_diesel::{BemiAsyncPgConnection, BemiAsyncPool, Settings};
use bemi_tests::{ObservedDatabase, Relay, shared_cluster};
use diesel::prelude::*;
use diesel_async::pooled_connection::AsyncDieselConnectionManager;
use diesel_async::{AsyncConnection, AsyncPgConnection};

diesel::table! {
    todo (id) {
        id -> Integer,
        task -> Nullable<Text>,
    }
}

/// A row of `todo`.
#[derive(
    Clone, Debug, PartialEq, Queryable, QueryableByName, Selectable, Insertable, AsChangeset,
)]
#[diesel(table_name = todo)]
pub(crate) struct Todo {
    pub(crate) id: i32,
    pub(crate) task: Option<String>,
}

/// Everything that a test needs; what it sees of the database is the [`ObservedDatabase`]'s.
pub(crate) struct App {
    observed: ObservedDatabase,
}

impl App {
    pub(crate) async fn new() -> Self {
        Self { observed: ObservedDatabase::create().await }
    }

    /// Ours, without the statement's text.
    pub(crate) async fn connection(&self) -> BemiAsyncPgConnection {
        self.with_sql().await.with_settings(Settings::new().without_sql())
    }

    /// Ours, with the statement's text.
    pub(crate) async fn with_sql(&self) -> BemiAsyncPgConnection {
        BemiAsyncPgConnection::establish(&self.database.url()).await.unwrap()
    }

    /// diesel-async's own.
    pub(crate) async fn plain(&self) -> AsyncPgConnection {
        AsyncPgConnection::establish(&self.database.url()).await.unwrap()
    }

    /// Ours, through a relay, and the relay.
    pub(crate) async fn relayed(&self) -> (BemiAsyncPgConnection, Relay) {
        let relay = Relay::start(shared_cluster()).await;
        (BemiAsyncPgConnection::establish(&relay.url(&self.database.url())).await.unwrap(), relay)
    }

    /// deadpool's, of ours, without the statement's text.
    pub(crate) fn pool(&self, connections: usize) -> BemiAsyncPool {
        pool(&self.database.url(), connections)
    }

    /// A connection of which the server logs what it sends.
    pub(crate) async fn logged(&self, settings: Settings) -> BemiAsyncPgConnection {
        self.log_statements().await;
        self.connection().await.with_settings(settings)
    }

    /// What the server has logged, without what diesel-async sends when it connects.
    pub(crate) fn sent(&self) -> Vec<String> {
        let mut sent = self.observed.sent();
        sent.retain(|sql| !sql.starts_with("SET "));
        sent
    }

    /// Ends the other sessions of this database, and waits until they are gone.
    pub(crate) async fn kill_others(&self) {
        let sql = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        self.client.query(sql, &[]).await.unwrap();
    }

    /// How many other sessions of this database are in a transaction.
    pub(crate) async fn in_transaction(&self) -> i64 {
        let sql = "SELECT count(*) FROM pg_stat_activity \
                   WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()";
        self.client.query_one(sql, &[]).await.unwrap().get(0)
    }
}

impl Deref for App {
    type Target = ObservedDatabase;

    fn deref(&self) -> &ObservedDatabase {
        &self.observed
    }
}

pub(crate) fn a_todo(id: i32, task: &str) -> Todo {
    Todo { id, task: Some(task.to_owned()) }
}

/// Inserts a row, by the query builder.
pub(crate) async fn insert(connection: &mut BemiAsyncPgConnection, id: i32) -> QueryResult<usize> {
    insert_task(connection, id, "x").await
}

/// The same, with a task.
pub(crate) async fn insert_task(
    connection: &mut BemiAsyncPgConnection,
    id: i32,
    task: &str,
) -> QueryResult<usize> {
    let query = diesel::insert_into(todo::table).values((todo::id.eq(id), todo::task.eq(task)));
    diesel_async::RunQueryDsl::execute(query, connection).await
}

pub(crate) fn pool(url: &str, connections: usize) -> BemiAsyncPool {
    let config = BemiAsyncPgConnection::manager_config(Settings::new().without_sql());
    let manager = AsyncDieselConnectionManager::new_with_config(url, config);
    BemiAsyncPool::builder(manager).max_size(connections).build().unwrap()
}
