//! What the WAL has of each transaction, in order: context messages and changes, as the worker is sent them.
//!
//! It is read from a slot with `test_decoding`, which shows both as text. Nothing of the worker takes part, so that a test of an
//! adapter fails for the adapter's faults alone.
//!
//! Invariant: each look shows what was committed since the last one, and nothing twice.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use bemi_core::Context;
use serde_json::Value;
use tokio_postgres::Client;

use crate::TestDatabase;

/// What the WAL has of one transaction.
pub type Transaction = Vec<Event>;

/// An entry of the WAL. There are no others, and a test says what each means.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A context message, by its content.
    Message(Value),
    /// A change of a row as `test_decoding` shows it, without the schema and without the types `integer` and `text`:
    /// `todo: INSERT: id:1 task:'Sleep'`.
    Change(String),
}

/// A change with the user under whose context it stands; none under `{}` or no message at all.
pub type Stitched = (Option<i64>, String);

/// A view of what is committed to one schema of a database.
///
/// # Examples
/// ```no_run
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bemi_tests::journal::{Journal, by_nobody, inserted, stitch};
/// use bemi_tests::{TestDatabase, shared_cluster};
///
/// let database = TestDatabase::create(shared_cluster()).await?;
/// let client = database.connect().await?;
/// client.batch_execute("CREATE TABLE todo (id int PRIMARY KEY, task text)").await?;
/// let journal = Journal::open(&client, &database, "public").await;
/// client.batch_execute("INSERT INTO todo VALUES (1, 'Sleep')").await?;
/// let transactions = journal.transactions(&client).await;
/// let changes: Vec<_> = transactions.into_iter().map(stitch).collect();
/// assert_eq!(changes, [[by_nobody(inserted(1, "Sleep"))]]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Journal {
    slot: String,
    table_prefix: String,
}

impl Journal {
    /// Looks at what is committed from now on. A database has one journal, which goes with it.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn open(client: &Client, database: &TestDatabase, schema: &str) -> Self {
        let slot = database.slot_name();
        let create = "SELECT pg_create_logical_replication_slot($1, 'test_decoding')";
        client.execute(create, &[&slot]).await.unwrap();
        Self { slot, table_prefix: format!("table {schema}.") }
    }

    /// What was committed since the last look, transaction by transaction. Those that only defined something are left out.
    ///
    /// # Panics
    /// When the server refuses, or a message is not one of ours inside of a transaction.
    pub async fn transactions(&self, client: &Client) -> Vec<Transaction> {
        let look = "SELECT data FROM pg_logical_slot_get_changes($1, NULL, NULL)";
        let rows = client.query(look, &[&self.slot]).await.unwrap();
        let mut transactions = Vec::<Transaction>::new();
        for row in rows {
            let line: &str = row.get(0);
            if line.starts_with("BEGIN") {
                transactions.push(Vec::new());
            } else if let Some(event) = self.event(line) {
                transactions.last_mut().unwrap().push(event);
            }
        }
        transactions.retain(|events| !events.is_empty());
        transactions
    }

    fn event(&self, line: &str) -> Option<Event> {
        if let Some(change) = line.strip_prefix(&self.table_prefix) {
            return Some(Event::Change(change.replace("[integer]", "").replace("[text]", "")));
        }
        let (head, content) = line.strip_prefix("message: ")?.split_once(" content:").unwrap();
        if head.starts_with("transactional: 1 prefix: _bemi_spacer,") {
            return None;
        }
        assert!(head.starts_with("transactional: 1 prefix: _bemi,"), "{line}");
        Some(Event::Message(serde_json::from_str(content).unwrap()))
    }
}

/// Each change of a transaction with the user of the message before it, which governs it.
#[must_use]
pub fn stitch(transaction: Transaction) -> Vec<Stitched> {
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

/// How many messages a transaction has.
#[must_use]
pub fn messages(transaction: &[Event]) -> usize {
    transaction.iter().filter(|event| matches!(event, Event::Message(_))).count()
}

/// The context that most tests write under.
#[must_use]
pub fn user(id: impl Into<i64>) -> Context {
    Context::new().with("user_id", id.into())
}

/// A change that stands under the context of [`user`]`(id)`.
#[must_use]
pub fn by(id: i64, change: impl Into<String>) -> Stitched {
    (Some(id), change.into())
}

/// A change without context.
#[must_use]
pub fn by_nobody(change: impl Into<String>) -> Stitched {
    (None, change.into())
}

/// A new row of a table `todo (id int, task text)`.
#[must_use]
pub fn inserted(id: i32, task: &str) -> String {
    format!("todo: INSERT: id:{id} task:'{task}'")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_governs_until_the_next_one() {
        let message = |context| Event::Message(context);
        let change = |id| Event::Change(inserted(id, "x"));
        let transaction = vec![
            change(1),
            message(json!({ "user_id": 7 })),
            change(2),
            change(3),
            message(json!({})),
            change(4),
        ];
        assert_eq!(messages(&transaction), 2);
        assert_eq!(
            stitch(transaction),
            [
                by_nobody(inserted(1, "x")),
                by(7, inserted(2, "x")),
                by(7, inserted(3, "x")),
                by_nobody(inserted(4, "x"))
            ]
        );
    }

    #[test]
    fn a_row_that_looks_like_a_message_is_a_change() {
        let journal = Journal { slot: "none".to_owned(), table_prefix: "table public.".to_owned() };
        let line = "table public.todo: INSERT: id[integer]:1 task[text]:'message: x content:y'";
        let change = Event::Change(inserted(1, "message: x content:y"));
        assert_eq!(journal.event(line), Some(change));
    }
}
