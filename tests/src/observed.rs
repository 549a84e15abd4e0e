//! A database of which a test sees what others do: what they commit, what they send, and what they leave open.
//!
//! Invariant: looking on changes nothing that can be seen: what is looked at is another connection's.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use tokio_postgres::Client;

use crate::journal::{Journal, Stitched, Transaction, stitch};
use crate::{TestDatabase, shared_cluster, statements_sent};

/// A database in the [shared cluster](shared_cluster) with an empty table `todo (id int PRIMARY KEY, task text)`.
///
/// # Examples
/// ```no_run
/// # #[tokio::main]
/// # async fn main() {
/// use bemi_tests::ObservedDatabase;
/// use bemi_tests::journal::{by_nobody, inserted};
///
/// let database = ObservedDatabase::create().await;
/// database.run("INSERT INTO todo VALUES (1, 'Sleep')").await;
/// assert_eq!(database.changes().await, [[by_nobody(inserted(1, "Sleep"))]]);
/// # }
/// ```
#[derive(Debug)]
pub struct ObservedDatabase {
    /// A connection of the superuser's, for looking on.
    pub client: Client,
    /// The database itself.
    pub database: TestDatabase,
    journal: Journal,
}

/// A statement that sets the task of row 2 to `d` and inserts the row 3, `e`: MERGE, where the [shared cluster](shared_cluster)
/// has it, from 15 on.
#[must_use]
pub fn merge_into_todo() -> &'static str {
    if shared_cluster().binaries().major() >= 15 {
        "MERGE INTO todo USING (VALUES (2), (3)) AS new (id) ON todo.id = new.id \
         WHEN MATCHED THEN UPDATE SET task = 'd' WHEN NOT MATCHED THEN INSERT VALUES (new.id, 'e')"
    } else {
        "WITH inserted AS (INSERT INTO todo VALUES (3, 'e')) UPDATE todo SET task = 'd' WHERE id = 2"
    }
}

impl ObservedDatabase {
    /// Makes it.
    ///
    /// # Panics
    /// Here and in all that follows: when the server refuses.
    pub async fn create() -> Self {
        let database = TestDatabase::create(shared_cluster()).await.unwrap();
        let client = database.connect().await.unwrap();
        client.batch_execute("CREATE TABLE todo (id int PRIMARY KEY, task text)").await.unwrap();
        let journal = Journal::open(&client, &database, "public").await;
        Self { client, database, journal }
    }

    /// Runs a text as somebody who knows nothing of contexts.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn run(&self, sql: &str) {
        self.client.batch_execute(sql).await.unwrap();
    }

    /// Takes from everybody but superusers the right to emit messages.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn refuse_messages(&self) {
        // From 17 on the function has one more parameter.
        self.run(
            "DO $$ BEGIN EXECUTE (SELECT string_agg(format( \
                 'REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', oid::regprocedure), '; ') \
             FROM pg_proc WHERE proname = 'pg_logical_emit_message'); END $$",
        )
        .await;
    }

    /// What was committed since the last look, transaction by transaction.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn journal(&self) -> Vec<Transaction> {
        self.journal.transactions(&self.client).await
    }

    /// The same, each change with its user: the message before it in its transaction governs it.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn changes(&self) -> Vec<Vec<Stitched>> {
        self.journal().await.into_iter().map(stitch).collect()
    }

    /// From here on the server logs what new connections send; see [`sent`](Self::sent).
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn log_statements(&self) {
        self.run(&format!("ALTER DATABASE {} SET log_statement = 'all'", self.database.name()))
            .await;
    }

    /// The [statements](statements_sent) that the server has logged of this database, in order, emissions as `<emit>`.
    #[must_use]
    pub fn sent(&self) -> Vec<String> {
        statements_sent(&shared_cluster().log(), self.database.name())
    }

    /// How many sessions of this database stand idle in a transaction.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn idle_in_transaction(&self) -> i64 {
        let sql = "SELECT count(*) FROM pg_stat_activity \
                   WHERE datname = current_database() AND state LIKE 'idle in%'";
        self.client.query_one(sql, &[]).await.unwrap().get(0)
    }
}
