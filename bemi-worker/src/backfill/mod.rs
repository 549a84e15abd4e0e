//! The baseline: rows that were there before tracking began, as changes of the operation SNAPSHOT.
//!
//! ```text
//!              ┌─ cut: a snapshot and its position S ─┐
//!  source ─────┤                                      ├─▶ chunk: COPY rows, move progress, COMMIT ─▶ changes
//!              └─ tables: what, and by which key ─────┘         ▲                          │
//!                                                               └── next key ── progress ◀─┘
//! ```
//!
//! Each row is stored with the commit position S - 1: behind every transaction that the snapshot
//! has, and before every other one. So whoever replays `changes` in their order, taking SNAPSHOT for
//! "the row is so now", has the state of the source: what committed before S is in the row, what
//! committed behind it comes after the row.
//!
//! A table is read in the order of its key, in chunks; each is stored with the key that it reached in one
//! transaction. So after any crash the next chunk is the one that follows, and nothing is stored
//! twice. It is read from another snapshot S', then, as it is when a snapshot was held for long enough.
//! That is right, too: of the rows behind the key reached, S' has all. A row whose key moved from
//! behind it to before it has no SNAPSHOT, but has its UPDATE, which is in the stream behind S and
//! before S'; one that moved the other way has a SNAPSHOT, its UPDATE, and another SNAPSHOT that says
//! the same as the UPDATE. A table without a key that orders is stored from one snapshot, in one
//! transaction: its rows of one commit position are all of it.
//!
//! Invariant: rows and the progress that covers them are committed in one transaction, and by one
//! backfill of a slot at a time.

mod chunk;
mod copy_text;
mod cut;
mod key;
mod options;
mod pace;
mod progress;
mod session;
mod status;
mod tables;
mod work;

use tokio::sync::watch;
use tracing::warn;

pub use self::options::{
    BackfillEvent, BackfillOptions, BackfillPreview, BackfillReport, PlannedTable, StoredTable,
};
pub use self::status::BaselineStatus;
pub(crate) use self::status::read_baselines;

use self::progress::Progress;
use self::tables::{Shape, TrackedTable};
use self::work::Work;
use crate::config::Config;
use crate::error::WorkerError;
use crate::pipeline::backoff::Backoff;
use crate::pipeline::readiness;

/// Stores the rows of tables that are tracked, as they are now, until `shutdown` is `true` or its
/// sender is gone. What was stored before, by a run that was interrupted or killed, is gone on with.
///
/// The worker may run meanwhile, and need not. A connection that is lost later is opened again, for as
/// long as it takes; one that cannot be opened at the start is an error.
///
/// # Errors
/// [`WorkerError::NotSetUp`], [`WorkerError::Gap`] and [`WorkerError::Unready`] when something must
/// be mended first; [`WorkerError::BackfillRunning`] when another one is at work; [`WorkerError`]
/// otherwise. What was stored until then stays, and another run goes on from there.
///
/// # Cancellation
/// Dropping the future ends it like a crash does: nothing is lost or stored twice.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use bemi_worker::backfill::{self, BackfillOptions};
/// use bemi_worker::config::Config;
///
/// let config = Config::new("postgres://postgres@localhost/shop".parse()?);
/// let options = BackfillOptions::new().tables("todo")?;
/// let (stop, shutdown) = tokio::sync::watch::channel(false);
/// let report = backfill::run(&config, &options, shutdown, |_event| {}).await?;
/// println!("stored {} rows", report.rows);
/// # drop(stop);
/// # Ok(())
/// # }
/// ```
pub async fn run(
    config: &Config,
    options: &BackfillOptions,
    mut shutdown: watch::Receiver<bool>,
    tell: impl FnMut(BackfillEvent) + Send,
) -> Result<BackfillReport, WorkerError> {
    let mut work = Work::new(config, options, tell);
    let mut backoff = Backoff::default();
    loop {
        let stored_before = work.report.rows;
        let error = match work.attempt(&mut shutdown).await {
            Ok(()) => return Ok(work.report),
            Err(error) if work.is_begun() && error.is_transient() => error,
            // A backfill of hours outlasts a transaction of one.
            Err(error @ WorkerError::TransactionsRunning { .. }) if work.report.rows > 0 => error,
            Err(error) => return Err(error),
        };
        if work.report.rows > stored_before {
            backoff = Backoff::default();
        }
        let wait = backoff.next_wait();
        warn!(cause = %error, retry_in_ms = wait.as_millis(), "interrupted; going on when it works again");
        tokio::select! {
            _ = shutdown.wait_for(|told| *told) => {
                work.report.is_interrupted = true;
                return Ok(work.report);
            }
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// What [`run`] would do, which stores nothing.
///
/// # Errors
/// As [`run`].
///
/// # Cancellation
/// Safe.
pub async fn preview(
    config: &Config,
    options: &BackfillOptions,
) -> Result<BackfillPreview, WorkerError> {
    let source = config.source.connect().await?;
    let destination = config.destination.connect().await?;
    readiness::check(&source, &destination, config).await?;
    let tracked = TrackedTable::read_all(&source, config).await?;
    let mut preview = BackfillPreview::default();
    for table in tables::select(tracked, &options.tables, config)? {
        let progress = Progress::read(&destination, config, &table).await?;
        let shape = Shape::read(&source, table.oid, config).await?;
        let key = shape.map(|shape| shape.key).unwrap_or_default();
        let is_finished = progress.is_finished && !options.again;
        preview.tables.push(PlannedTable {
            name: table.name(),
            estimated_rows: table.estimated_rows,
            key: key.into_iter().map(|column| column.name).collect(),
            rows: if progress.is_finished && options.again { 0 } else { progress.rows },
            is_finished,
        });
    }
    Ok(preview)
}
