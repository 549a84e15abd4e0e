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
mod status;
mod tables;

use tokio::sync::watch;
use tokio_postgres::Client;
use tracing::{info, warn};

pub use self::options::{
    BackfillEvent, BackfillOptions, BackfillPreview, BackfillReport, PlannedTable, StoredTable,
};
pub use self::status::BaselineStatus;
pub(crate) use self::status::read_baselines;

use self::chunk::{ChunkEnd, Ends, Reading};
use self::cut::Cut;
use self::pace::Pace;
use self::progress::Progress;
use self::tables::{Shape, TrackedTable};
use crate::config::Config;
use crate::error::WorkerError;
use crate::pipeline::backoff::Backoff;
use crate::pipeline::readiness;
use crate::sink::{self, RowSink};
use crate::source::Catalog;

/// How sessions of a backfill show in `pg_stat_activity`: by another name than the worker's, whose open
/// transactions say that it is storing.
const APPLICATION_NAME: &str = "bemi-worker backfill";

/// How often in a row a table may have changed when its rows were read.
const CHANGED_MAX: u32 = 5;

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
    let mut work = Work {
        config,
        options,
        tell,
        selected: None,
        report: BackfillReport::default(),
        pace: Pace::new(options.rows_per_second_max),
    };
    let mut backoff = Backoff::default();
    loop {
        let stored_before = work.report.rows;
        let error = match work.attempt(&mut shutdown).await {
            Ok(()) => return Ok(work.report),
            Err(error) if work.selected.is_some() && error.is_transient() => error,
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
        let progress = read_progress(&destination, config, &table).await?;
        let shape = read_shape(&source, config, &table).await?;
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

/// A backfill at work, over as many attempts as it takes.
struct Work<'a, T> {
    config: &'a Config,
    options: &'a BackfillOptions,
    tell: T,
    /// The tables that were asked for, once they are known: those that come later are tracked from their
    /// first row on.
    selected: Option<Vec<TrackedTable>>,
    report: BackfillReport,
    pace: Pace,
}

/// Why no more chunks are stored from a snapshot.
enum CutEnd {
    /// There are none.
    Done,
    /// The snapshot is too old, or does not have the table as it is.
    Renew,
    Stopped,
}

impl<T: FnMut(BackfillEvent) + Send> Work<'_, T> {
    /// Opens everything, and stores what is left.
    async fn attempt(&mut self, shutdown: &mut watch::Receiver<bool>) -> Result<(), WorkerError> {
        let config = self.config;
        let source = config.source.connect().await?;
        let destination = config.destination.connect().await?;
        sink::prepare_session(&destination).await?;
        for client in [&source, &destination] {
            prepare_session(client)
                .await
                .map_err(WorkerError::database("prepare the sessions of the backfill"))?;
        }
        readiness::check(&source, &destination, config).await?;
        progress::lock(&destination, config.slot.as_str()).await?;
        let selected = self.select(&source, &destination).await?;
        let mut left = Vec::new();
        self.report.tables.clear();
        for table in selected {
            let progress = read_progress(&destination, config, &table).await?;
            let is_finished = progress.is_finished;
            self.report.note(&table, &progress);
            if !is_finished {
                left.push(Reading::new(table, progress));
            }
        }
        let rows_left =
            |reading: &Reading| reading.table.estimated_rows.saturating_sub(reading.progress.rows);
        (self.tell)(BackfillEvent::Planned {
            tables: u64::try_from(left.len()).unwrap_or(u64::MAX),
            estimated_rows: left.iter().map(rows_left).sum(),
        });
        let mut catalog =
            Catalog::open(source, config.slot.clone(), config.mask_key.clone()).await?;
        let changes_schema = &config.changes_schema;
        let mut sink =
            RowSink::prepare(destination, changes_schema, config.slot.to_string()).await?;
        let mut changed = 0;
        left.reverse();
        while let Some(reading) = left.last() {
            let first = reading.table.name();
            let stored_before = self.report.rows;
            (self.tell)(BackfillEvent::Waiting);
            let (slot, checkpoint) =
                readiness::check(catalog.client(), sink.client(), config).await?;
            let cut =
                Cut::take(config, catalog.client(), slot.as_ref(), &checkpoint, shutdown).await?;
            let Some(mut cut) = cut else {
                self.report.is_interrupted = true;
                return Ok(());
            };
            (self.tell)(BackfillEvent::SnapshotTaken { position: cut.position });
            let pace = &mut self.pace;
            let mut ends = Ends {
                config,
                catalog: &mut catalog,
                cut: &mut cut,
                sink: &mut sink,
                pace,
                shutdown,
            };
            match store(&mut ends, &mut left, self.options, &mut self.report, &mut self.tell)
                .await?
            {
                CutEnd::Done => {}
                CutEnd::Renew if self.report.rows > stored_before => changed = 0,
                CutEnd::Renew => {
                    changed += 1;
                    if changed >= CHANGED_MAX {
                        return Err(WorkerError::TableChanging { table: first });
                    }
                }
                CutEnd::Stopped => {
                    self.report.is_interrupted = true;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The tables that were asked for, as far as they are still there. The first time, those that are to
    /// be stored again lose their progress.
    async fn select(
        &mut self,
        source: &Client,
        destination: &Client,
    ) -> Result<Vec<TrackedTable>, WorkerError> {
        let tracked = TrackedTable::read_all(source, self.config).await?;
        if let Some(selected) = &self.selected {
            let is_selected =
                |table: &TrackedTable| selected.iter().any(|selected| selected.oid == table.oid);
            return Ok(tracked.into_iter().filter(is_selected).collect());
        }
        let selected = tables::select(tracked, &self.options.tables, self.config)?;
        for table in &selected {
            let progress = read_progress(destination, self.config, table).await?;
            if self.options.again && progress.is_finished {
                Progress::none_of(table)
                    .write(destination, self.config.slot.as_str(), table)
                    .await
                    .map_err(WorkerError::database("store the progress in the destination"))?;
            }
        }
        self.selected = Some(selected.clone());
        Ok(selected)
    }
}

/// Stores tables from one snapshot, the last of `left` first.
async fn store(
    ends: &mut Ends<'_>,
    left: &mut Vec<Reading>,
    options: &BackfillOptions,
    report: &mut BackfillReport,
    tell: &mut (impl FnMut(BackfillEvent) + Send),
) -> Result<CutEnd, WorkerError> {
    while let Some(reading) = left.last_mut() {
        let name = reading.table.name();
        let Some(shape) = read_shape(&ends.cut.reader, ends.config, &reading.table).await? else {
            warn!(table = name, "the table is gone; it is left out");
            left.pop();
            continue;
        };
        loop {
            if *ends.shutdown.borrow() {
                return Ok(CutEnd::Stopped);
            }
            let rows_max = u64::from(options.chunk_rows.max(1));
            match reading.store_chunk(&shape, rows_max, ends).await? {
                ChunkEnd::Stored(rows) => {
                    report.rows += rows;
                    report.note(&reading.table, &reading.progress);
                    let rows_of_table = reading.progress.rows;
                    tell(BackfillEvent::Stored { table: name.clone(), rows, rows_of_table });
                    if reading.progress.is_finished {
                        tell(BackfillEvent::Finished { table: name, rows: rows_of_table });
                        left.pop();
                        break;
                    }
                    if ends.pause(rows).await {
                        return Ok(CutEnd::Stopped);
                    }
                    if ends.cut.age() >= options.snapshot_max {
                        return Ok(CutEnd::Renew);
                    }
                }
                ChunkEnd::Changed => {
                    info!(table = name, "the table is another one since; taking a new snapshot");
                    return Ok(CutEnd::Renew);
                }
                ChunkEnd::Stopped => return Ok(CutEnd::Stopped),
            }
        }
    }
    Ok(CutEnd::Done)
}

impl BackfillReport {
    fn note(&mut self, table: &TrackedTable, progress: &Progress) {
        let name = table.name();
        let is_stored = progress.position != bemi_core::Lsn::ZERO;
        let stored = StoredTable {
            rows: progress.rows,
            position: is_stored.then_some(progress.position),
            is_finished: progress.is_finished,
            name,
        };
        match self.tables.iter_mut().find(|table| table.name == stored.name) {
            Some(table) => *table = stored,
            None => self.tables.push(stored),
        }
    }
}

/// Lets a session take its time, whatever database and role say. Not every version has every limit.
async fn prepare_session(client: &Client) -> Result<(), tokio_postgres::Error> {
    client
        .batch_execute(&format!(
            "SET application_name = '{APPLICATION_NAME}'; \
             SELECT pg_catalog.set_config(name, '0', false) \
             FROM unnest(ARRAY['statement_timeout', 'idle_in_transaction_session_timeout', \
                               'idle_session_timeout', 'transaction_timeout']) AS name \
             WHERE pg_catalog.current_setting(name, true) IS NOT NULL"
        ))
        .await
}

async fn read_progress(
    destination: &Client,
    config: &Config,
    table: &TrackedTable,
) -> Result<Progress, WorkerError> {
    Progress::read(destination, config.slot.as_str(), table).await.map_err(|error| {
        if error.code().is_some_and(|code| code.code() == "42P01") {
            let what = format!("{} has no table bemi.backfill", config.destination);
            return WorkerError::NotSetUp { what };
        }
        WorkerError::database("read the progress in the destination")(error)
    })
}

async fn read_shape(
    client: &Client,
    config: &Config,
    table: &TrackedTable,
) -> Result<Option<Shape>, WorkerError> {
    Shape::read(client, table.oid, config)
        .await
        .map_err(WorkerError::database("read a table in the catalog of the source"))
}
