//! Erases the data of a person from what is stored, and writes down that it did.
//!
//! ```text
//! selection ─▶ a page of changes ─▶ UPDATE: without the data ─▶ salts of their links go ─▶ a link of kind 'erased'
//!              └────────────────────────── one transaction ─────────────────────────────────────────┘
//! ```
//!
//! What stays of a change: that it happened, when, to which row of which table, by which operation, and in
//! which transaction. What goes is named: columns in `unavailable`, so that no answer about the past
//! invents a value; keys of the context in its `_bemi`.
//!
//! Keys stay. They say which changes are of one row; without them, or with others in their place, the
//! record would tell of rows that never were.
//!
//! Invariants: a change is erased and covered by the chain again in one transaction; what is recorded of
//! an erasure does not hold the data; cut off anywhere, running it again erases the rest.

mod columns;
mod pages;
mod record;
mod salts;
mod selection;
mod statement;

use serde::Serialize;
use tokio::sync::watch;
use tokio_postgres::Client;

pub use self::selection::{Columns, ContextKeys, Erasure, Subject, Target};
use self::statement::Statement;
use crate::chain::{Chained, HeadState};
use crate::error::WorkerError;

/// What would be erased, or was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ErasureReport {
    /// The record of it, in `bemi.erasures`; none of what only would be erased.
    pub id: Option<i64>,
    /// The keys that the record had, of which the changes are erased.
    pub keys: Vec<String>,
    /// The columns that stay, where all others go.
    pub kept_columns: Vec<String>,
    /// How many changes, by table and operation.
    pub changes: Vec<ErasedChanges>,
    /// Quarantined changes of the table, which may have the data, too.
    pub quarantined: i64,
    /// Changes of the table that do not tell their key, so that nobody knows whether they are of the record.
    pub without_key: i64,
    /// Whether it was told to stop before the end.
    pub is_interrupted: bool,
}

/// Changes of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ErasedChanges {
    /// The table, with its schema.
    pub table: String,
    /// The operation.
    pub operation: String,
    /// How many.
    pub count: i64,
}

/// What [`erase`] would erase.
///
/// # Errors
/// [`WorkerError::Usage`] where it cannot be told which columns are to go; [`WorkerError::Connect`] and
/// [`WorkerError::Database`] when the destination refuses.
///
/// # Cancellation
/// Safe: nothing is changed.
pub async fn preview(chained: &Chained, erasure: &Erasure) -> Result<ErasureReport, WorkerError> {
    let client = connect(chained).await?;
    let (statement, mut report) = prepare(&client, chained, erasure).await?;
    report.changes = statement.count(&client).await.map_err(failed)?;
    Ok(report)
}

/// Erases, page by page; `tell` hears how many changes were erased so far. Storing goes on meanwhile, and
/// what it stores from now on is stored as ever.
///
/// # Errors
/// Those of [`preview`], and [`WorkerError::ChainKey`] where changes are covered by a chain and its key is
/// not given. What was erased until then stays erased, and running it again erases the rest.
///
/// # Cancellation
/// A page is erased as a whole or not at all.
///
/// ```no_run
/// # async fn example(shutdown: tokio::sync::watch::Receiver<bool>) -> Result<(), Box<dyn std::error::Error>> {
/// use bemi_worker::chain::Chained;
/// use bemi_worker::erase::{Erasure, Target, erase};
///
/// let chained = Chained::new("postgres://postgres@localhost/audit".parse()?);
/// let target = Target::Record { table: "users".parse()?, key: 42.into() };
/// let report = erase(&chained, &Erasure::new(target), shutdown, |_| ()).await?;
/// println!("{} changes", report.changes.iter().map(|changes| changes.count).sum::<i64>());
/// # Ok(())
/// # }
/// ```
pub async fn erase(
    chained: &Chained,
    erasure: &Erasure,
    shutdown: watch::Receiver<bool>,
    tell: impl FnMut(i64) + Send,
) -> Result<ErasureReport, WorkerError> {
    let client = connect(chained).await?;
    let slot = chained.slot.as_str();
    let head = HeadState::read(&client, slot).await.map_err(failed)?;
    let head = head.filter(|head| head.number > 0);
    if let Some(head) = &head {
        head.check_key(slot, chained.key.as_ref())?;
    }
    let (statement, mut report) = prepare(&client, chained, erasure).await?;
    let key = chained.key.as_ref();
    let id = record::begin(&client, chained, erasure, head.is_some()).await?;
    report.id = Some(id);
    let work = pages::Pages { client: &client, slot, key, is_covered: head.is_some(), id };
    report.is_interrupted = work.erase(&statement, &mut report, shutdown, tell).await?;
    if !report.is_interrupted {
        let quarantined = if erasure.quarantine { statement.table() } else { None };
        record::finish(&client, slot, id, quarantined).await?;
    }
    Ok(report)
}

async fn connect(chained: &Chained) -> Result<Client, WorkerError> {
    let client = chained.destination.connect().await?;
    client
        .batch_execute(
            "SET application_name = 'bemi-worker erase'; SET statement_timeout = 0; \
             SET lock_timeout = '10s'; SET jit = off",
        )
        .await
        .map_err(failed)?;
    Ok(client)
}

/// Finds out what exactly is to go.
async fn prepare(
    client: &Client,
    chained: &Chained,
    erasure: &Erasure,
) -> Result<(Statement, ErasureReport), WorkerError> {
    let slot = chained.slot.as_str();
    let database = client
        .query_opt("SELECT database FROM bemi.checkpoint WHERE slot = $1", &[&slot])
        .await
        .map_err(failed)?
        .map(|row| row.try_get::<_, String>(0))
        .transpose()
        .map_err(failed)?;
    let Some(database) = database else {
        let what = format!("the destination has no checkpoint of slot {slot}");
        return Err(WorkerError::NotSetUp { what });
    };
    let mut report = ErasureReport::default();
    let kept = columns::kept(client, slot, erasure).await?;
    if erasure.columns == Columns::AllButKey {
        report.kept_columns.clone_from(&kept);
    }
    if let Target::Record { table, key } = &erasure.target {
        report.keys =
            columns::keys(client, chained, &database, table, key).await.map_err(failed)?;
        report.without_key =
            columns::count_without_key(client, chained, &database, table).await.map_err(failed)?;
    }
    if let Some(table) = erasure.target.table() {
        report.quarantined =
            record::count_quarantined(client, slot, table).await.map_err(failed)?;
    }
    let statement = Statement::new(chained, &database, erasure, kept, report.keys.clone());
    Ok((statement, report))
}

fn failed(error: tokio_postgres::Error) -> WorkerError {
    WorkerError::database("erase what is stored in the destination")(error)
}
