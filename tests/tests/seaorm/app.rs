//! A database with a connection of ours, a plain one beside it, and a view of the WAL.

use std::time::Duration;

use bemi_seaorm::{BemiDatabaseConnection, Context, Settings};
use bemi_tests::{TestDatabase, shared_cluster};
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ConnectionTrait, DatabaseConnection, DbErr};
use sea_orm::{DbBackend, Statement};
use serde_json::Value;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio_postgres::Client;

use crate::entities::todo;

/// Everything that a test needs.
pub(crate) struct App {
    /// Ours, without the statement's text, of five connections.
    pub(crate) db: BemiDatabaseConnection,
    /// sea-orm's own.
    pub(crate) plain: DatabaseConnection,
    /// For looking on.
    pub(crate) client: Client,
    pub(crate) database: TestDatabase,
    slot: String,
}

/// What the WAL has of one transaction.
pub(crate) type Transaction = Vec<Event>;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    Message(Value),
    Change(String),
}

/// A change with the user under whose context it stands; none under `{}` or no message at all.
pub(crate) type Stitched = (Option<i64>, String);

impl App {
    /// With a table `todo (id int PRIMARY KEY, task text)`.
    pub(crate) async fn new() -> Self {
        Self::with_connections(5).await
    }

    pub(crate) async fn with_connections(connections: u32) -> Self {
        let database = TestDatabase::create(shared_cluster()).await.unwrap();
        let client = database.connect().await.unwrap();
        client.batch_execute("CREATE TABLE todo (id int PRIMARY KEY, task text)").await.unwrap();
        let slot = database.slot_name();
        client
            .execute("SELECT pg_create_logical_replication_slot($1, 'test_decoding')", &[&slot])
            .await
            .unwrap();
        let pool = || {
            PgPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(Duration::from_secs(20))
                .connect_lazy(&database.url())
                .unwrap()
        };
        Self {
            db: ours(pool()).with_settings(Settings::new().without_sql()),
            plain: pool().into(),
            client,
            database,
            slot,
        }
    }

    /// Ours with the statement's text, over the same connections.
    pub(crate) fn with_sql(&self) -> BemiDatabaseConnection {
        self.db.clone().with_settings(Settings::new())
    }

    pub(crate) async fn run(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap();
    }

    /// What committed since the last look, transaction by transaction.
    pub(crate) async fn journal(&self) -> Vec<Transaction> {
        let rows = self
            .client
            .query("SELECT data FROM pg_logical_slot_get_changes($1, NULL, NULL)", &[&self.slot])
            .await
            .unwrap();
        let mut transactions = Vec::<Transaction>::new();
        for row in rows {
            let line: &str = row.get(0);
            if line.starts_with("BEGIN") {
                transactions.push(Vec::new());
            } else if let Some((head, content)) = line.split_once(" content:") {
                assert!(head.starts_with("message: transactional: 1 prefix: _bemi,"), "{line}");
                let message = serde_json::from_str(content).unwrap();
                transactions.last_mut().unwrap().push(Event::Message(message));
            } else if let Some(change) = line.strip_prefix("table public.") {
                let change = change.replace("[integer]", "").replace("[text]", "");
                transactions.last_mut().unwrap().push(Event::Change(change));
            }
        }
        // Those that only defined something.
        transactions.retain(|events| !events.is_empty());
        transactions
    }

    /// The same, each change with its user: the message before it in its transaction governs it.
    pub(crate) async fn changes(&self) -> Vec<Vec<Stitched>> {
        self.journal().await.into_iter().map(stitch).collect()
    }

    /// From here on the server logs what new connections send; see [`sent`](Self::sent). Ours, and sea-orm's own.
    pub(crate) async fn log_statements(&self) -> (BemiDatabaseConnection, DatabaseConnection) {
        self.run(&format!("ALTER DATABASE {} SET log_statement = 'all'", self.database.name()))
            .await;
        let options = PgPoolOptions::new().max_connections(1);
        let pool = options.clone().connect(&self.database.url()).await.unwrap();
        let plain = options.connect(&self.database.url()).await.unwrap();
        (ours(pool).with_settings(Settings::new().without_sql()), plain.into())
    }

    /// The statements that the server has logged of this database, in order, emissions as `<emit>`.
    pub(crate) fn sent(&self) -> Vec<String> {
        let log = shared_cluster().log();
        let of_this_database =
            log.lines().filter(|line| line.contains(&format!(" {} ", self.database.name())));
        of_this_database
            .filter_map(|line| {
                let statement = line.split("LOG:  ").nth(1)?;
                let (kind, sql) = statement.split_once(": ")?;
                (kind == "statement" || kind.starts_with("execute")).then(|| without_emission(sql))
            })
            .collect()
    }

    /// How many sessions of this database stand idle in a transaction.
    pub(crate) async fn idle_in_transaction(&self) -> i64 {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'";
        self.client.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// How many rows `todo` has for others.
    pub(crate) async fn count(&self) -> i64 {
        self.client.query_one("SELECT count(*) FROM todo", &[]).await.unwrap().get(0)
    }
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

fn without_emission(sql: &str) -> String {
    match (
        sql.find("SELECT (SELECT pg_logical_emit_message("),
        sql.find(" AS \"bemi context emitted\""),
    ) {
        (Some(start), Some(end)) => {
            format!("{}<emit>{}", &sql[..start], &sql[end + " AS \"bemi context emitted\"".len()..])
        }
        _ => sql.to_owned(),
    }
}

/// Each change of a transaction with the user of the message before it.
pub(crate) fn stitch(transaction: Transaction) -> Vec<Stitched> {
    let mut user = None;
    let mut changes = Vec::new();
    for event in transaction {
        match event {
            Event::Message(context) => user = context.get("user_id").and_then(Value::as_i64),
            Event::Change(change) => changes.push((user, change)),
        }
    }
    changes
}

pub(crate) fn user(id: i64) -> Context {
    Context::new().with("user_id", id)
}

pub(crate) fn inserted(id: i32, task: &str) -> String {
    format!("todo: INSERT: id:{id} task:'{task}'")
}

/// A change that stands under this user's context.
pub(crate) fn by(user: i64, change: impl Into<String>) -> Stitched {
    (Some(user), change.into())
}

/// A change without context.
pub(crate) fn by_nobody(change: impl Into<String>) -> Stitched {
    (None, change.into())
}

pub(crate) fn messages(transaction: &Transaction) -> usize {
    transaction.iter().filter(|event| matches!(event, Event::Message(_))).count()
}
