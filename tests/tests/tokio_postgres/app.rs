//! A database with a client of ours and a view of the WAL.

use bemi_tests::{TestDatabase, shared_cluster};
use bemi_tokio_postgres::{BemiClient, Context, Settings};
use serde_json::Value;
use tokio_postgres::Client;

pub(crate) const INSERT: &str = "INSERT INTO todo VALUES ($1, $2)";

/// Everything that a test needs.
pub(crate) struct App {
    /// Ours, without the statement's text.
    pub(crate) client: BemiClient,
    /// tokio-postgres's own, also for looking on.
    pub(crate) plain: Client,
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
        let database = TestDatabase::create(shared_cluster()).await.unwrap();
        let plain = database.connect().await.unwrap();
        plain.batch_execute("CREATE TABLE todo (id int PRIMARY KEY, task text)").await.unwrap();
        let slot = database.slot_name();
        plain
            .execute("SELECT pg_create_logical_replication_slot($1, 'test_decoding')", &[&slot])
            .await
            .unwrap();
        let client = connect(&database).await;
        Self { client, plain, database, slot }
    }

    /// Another client of ours.
    pub(crate) async fn another(&self) -> BemiClient {
        connect(&self.database).await
    }

    /// Another client of ours, with the statement's text.
    pub(crate) async fn with_sql(&self) -> BemiClient {
        self.another().await.with_settings(Settings::new())
    }

    pub(crate) async fn run(&self, sql: &str) {
        self.plain.batch_execute(sql).await.unwrap();
    }

    pub(crate) async fn count(&self, table: &str) -> i64 {
        self.plain.query_one_scalar(&format!("SELECT count(*) FROM {table}"), &[]).await.unwrap()
    }

    /// What committed since the last look, transaction by transaction.
    pub(crate) async fn journal(&self) -> Vec<Transaction> {
        let rows = self
            .plain
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

    /// A client of ours and a plain one, whose statements the server logs; see [`sent`](Self::sent).
    pub(crate) async fn logged(&self) -> (BemiClient, Client) {
        self.run(&format!("ALTER DATABASE {} SET log_statement = 'all'", self.database.name()))
            .await;
        (connect(&self.database).await, self.database.connect().await.unwrap())
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
        self.plain.query_one_scalar(sql, &[]).await.unwrap()
    }
}

async fn connect(database: &TestDatabase) -> BemiClient {
    BemiClient::new(database.connect().await.unwrap()).with_settings(Settings::new().without_sql())
}

fn without_emission(sql: &str) -> String {
    const END: &str = " AS \"bemi context emitted\"";
    match (sql.find("SELECT (SELECT pg_logical_emit_message("), sql.find(END)) {
        (Some(start), Some(end)) => {
            format!("{}<emit>{}", &sql[..start], without_emission(&sql[end + END.len()..]))
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
