//! What is measured: four operations on one table, alike for all libraries.

use std::fmt;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use crate::Result;

/// Rows that the table begins with, and that are updated and read in turn.
pub(crate) const ROWS: i64 = 1000;

/// Writes in one transaction.
pub(crate) const WRITES: u32 = 10;

/// What goes into the column `task`.
pub(crate) const TASK: &str = "Write down who changed what";

/// What goes into the column `note`: about 200 bytes.
pub(crate) const NOTE: &str = "Who changed it, where and how, is asked when something looks wrong, which is seldom soon \
    after: so it has to be there for every row, and in a place where nobody who writes has to think of it.";

/// The statements of those libraries that take them as text.
pub(crate) const INSERT: &str = "INSERT INTO todo (task, note) VALUES ($1, $2)";
pub(crate) const UPDATE: &str = "UPDATE todo SET is_completed = $1 WHERE id = $2";
pub(crate) const READ: &str = "SELECT id, task, note, is_completed FROM todo WHERE id = $1";

/// One of the things that are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Operation {
    /// A row is inserted, in autocommit mode.
    Insert,
    /// A row is updated by its key, in autocommit mode.
    Update,
    /// Ten rows are inserted and updated in turn, in one transaction.
    ///
    /// Each statement is another one than the one before: where the context has the statement's text, it changes with each of them.
    Transaction,
    /// A row is read by its key.
    Read,
}

impl Operation {
    /// How many of them there are in a batch of `statements`: the longer one less often.
    pub(crate) fn count(self, statements: u32) -> u32 {
        match self {
            Self::Transaction => statements.div_ceil(5),
            _ => statements,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Insert => f.write_str("INSERT"),
            Self::Update => f.write_str("UPDATE"),
            Self::Transaction => write!(f, "{WRITES} writes in a transaction"),
            Self::Read => f.write_str("read"),
        }
    }
}

/// A connection that does the operations, by the means of its library.
pub(crate) trait Work {
    async fn insert(&mut self) -> Result<()>;

    /// Updates the row with the key `id`, which is there.
    async fn update(&mut self, id: i64) -> Result<()>;

    /// Inserts and updates in turn, [`WRITES`] rows together, from the row with the key `id` on.
    async fn transaction(&mut self, id: i64) -> Result<()>;

    /// Reads the row with the key `id`, which is there.
    async fn read(&mut self, id: i64) -> Result<()>;
}

/// Does the operation `count` times, after `done` times before, and says how long it took.
///
/// # Errors
/// The first that there is.
pub(crate) async fn batch(
    work: &mut impl Work,
    operation: Operation,
    done: u32,
    count: u32,
) -> Result<Duration> {
    // In turn, so that no row gets more versions than another.
    let step = if operation == Operation::Transaction { WRITES / 2 } else { 1 };
    let ids = (done..done + count).map(|number| 1 + i64::from(number) * i64::from(step) % ROWS);
    let started = Instant::now();
    match operation {
        Operation::Insert => {
            for _ in ids {
                work.insert().await?;
            }
        }
        Operation::Update => {
            for id in ids {
                work.update(id).await?;
            }
        }
        Operation::Transaction => {
            for id in ids {
                work.transaction(id).await?;
            }
        }
        Operation::Read => {
            for id in ids {
                work.read(id).await?;
            }
        }
    }
    Ok(started.elapsed())
}
