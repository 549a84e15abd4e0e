//! The truth, written by triggers, and whether `changes` is it.
//!
//! ```text
//!  tracked tables ──triggers──▶ truth.log   (same transaction, not tracked)
//!        │                          │
//!        └──WAL──▶ worker ──▶ changes ──┴─▶ Truth::compare
//! ```
//!
//! Triggers see what happens in the transaction itself. What is rolled back, they have not written either. So what they wrote and
//! what is stored must be the same, row by row: the rows, their keys, contexts and transactions, the order inside of each
//! transaction, and of each key between transactions.
//!
//! What it asks of the tables: keys are of integers or texts; an index that is the replica identity is the key; UPDATE and DELETE
//! of a table without an identity are not tracked, and not looked for.
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking, as the type says"
)]

mod compare;
mod told;

use std::fmt;

use tokio_postgres::Client;

use self::compare::compare;
use self::told::{Stored, Told};

const DEFINITIONS: &str = include_str!("truth/truth.sql");

/// How many differences are told one by one.
const DIFFERENCES_TOLD_MAX: usize = 12;

/// Tables whose changes are written down by triggers, in `truth.log` of their own database.
///
/// The schema `truth` must not be tracked: name the tables to `setup`, or say `--exclude 'truth.*'`.
///
/// # Examples
/// ```no_run
/// # async fn example() {
/// use bemi_tests::faults::Truth;
/// use bemi_tests::{Tracked, shared_cluster};
///
/// let tracked = Tracked::untracked(shared_cluster(), "CREATE TABLE todo (id int PRIMARY KEY)").await;
/// let truth = Truth::install(&tracked.client, &["todo"]).await;
/// tracked.setup(&["--tables", "todo"]).await;
/// tracked.sql("BEGIN; SELECT truth.say('{\"user\": 1}'); INSERT INTO todo VALUES (1); COMMIT").await;
/// tracked.store().await;
/// assert_eq!(truth.require(&tracked.client, &tracked.client).await, 1);
/// # }
/// ```
///
/// # Panics
/// Every method does, where a statement fails: a test is over then.
#[derive(Debug)]
pub struct Truth {
    changes_schema: String,
}

/// What a comparison has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Comparison {
    /// How many changes there are in truth.
    pub changes: usize,
    /// How many transactions they are in.
    pub transactions: usize,
    /// What is not as it should be, in words. Empty: `changes` is the truth.
    pub differences: Vec<String>,
}

impl Truth {
    /// Begins to write down what happens to `tables`. What they hold already is not looked at.
    pub async fn install(source: &Client, tables: &[&str]) -> Self {
        source.batch_execute(DEFINITIONS).await.unwrap();
        let truth = Self { changes_schema: "public".to_owned() };
        for table in tables {
            truth.watch(source, table).await;
        }
        truth
    }

    /// Looks for `changes` in another schema than `public`.
    #[must_use]
    pub fn changes_in(mut self, schema: &str) -> Self {
        schema.clone_into(&mut self.changes_schema);
        self
    }

    /// Begins to write down what happens to one more table.
    pub async fn watch(&self, source: &Client, table: &str) {
        source.execute("SELECT truth.watch($1::text::regclass)", &[&table]).await.unwrap();
    }

    /// How many changes there are in truth by now.
    pub async fn count(&self, source: &Client) -> i64 {
        source.query_one("SELECT count(*) FROM truth.log", &[]).await.unwrap().get(0)
    }

    /// Compares `changes` with the truth. Everything must be stored by now: what is not is a difference.
    pub async fn compare(&self, source: &Client, destination: &Client) -> Comparison {
        let told = Told::read(source).await;
        let stored = Stored::read(source, destination, &self.changes_schema).await;
        compare(&told, &stored)
    }

    /// Requires that `changes` is the truth. Returns how many changes there are.
    ///
    /// # Panics
    /// When it is not; the message has the first differences.
    pub async fn require(&self, source: &Client, destination: &Client) -> usize {
        let comparison = self.compare(source, destination).await;
        assert!(comparison.differences.is_empty(), "{comparison}");
        comparison.changes
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { changes, transactions, differences } = self;
        if differences.is_empty() {
            return write!(f, "{changes} changes in {transactions} transactions, as in truth");
        }
        write!(f, "of {changes} changes, {} differ from the truth:", differences.len())?;
        for difference in differences.iter().take(DIFFERENCES_TOLD_MAX) {
            write!(f, "\n  - {difference}")?;
        }
        if differences.len() > DIFFERENCES_TOLD_MAX {
            write!(f, "\n  - … and {} more", differences.len() - DIFFERENCES_TOLD_MAX)?;
        }
        Ok(())
    }
}
