//! A backfill at work: from one snapshot after the other, until nothing is left.

use tokio::sync::watch;
use tokio_postgres::Client;
use tracing::{info, warn};

use super::chunk::{ChunkEnd, Ends, Reading};
use super::cut::Cut;
use super::pace::Pace;
use super::progress::{self, Progress};
use super::session::prepare_session;
use super::tables::{self, Shape, TrackedTable};
use super::{BackfillEvent, BackfillOptions, BackfillReport, StoredTable};
use crate::config::Config;
use crate::error::WorkerError;
use crate::pipeline::readiness;
use crate::sink::{self, RowSink};
use crate::source::Catalog;

/// How often in a row a table may have changed when its rows were read.
const CHANGED_MAX: u32 = 5;

/// A backfill at work, over as many attempts as it takes.
pub(super) struct Work<'a, T> {
    config: &'a Config,
    options: &'a BackfillOptions,
    tell: T,
    /// The tables that were asked for, once they are known: those that come later are tracked from their
    /// first row on.
    selected: Option<Vec<TrackedTable>>,
    pub(super) report: BackfillReport,
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

impl<'a, T: FnMut(BackfillEvent) + Send> Work<'a, T> {
    pub(super) fn new(config: &'a Config, options: &'a BackfillOptions, tell: T) -> Self {
        let pace = Pace::new(options.rows_per_second_max);
        Self { config, options, tell, selected: None, report: BackfillReport::default(), pace }
    }

    /// Whether an attempt has come so far that it was known what to do.
    pub(super) fn is_begun(&self) -> bool {
        self.selected.is_some()
    }

    /// Opens everything, and stores what is left.
    ///
    /// # Errors
    ///
    /// [`WorkerError`]. What was stored until then stays; another attempt goes on from there.
    pub(super) async fn attempt(
        &mut self,
        shutdown: &mut watch::Receiver<bool>,
    ) -> Result<(), WorkerError> {
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
            let progress = Progress::read(&destination, config, &table).await?;
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
        let mut sink = RowSink::prepare(destination, config).await?;
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
            let progress = Progress::read(destination, self.config, table).await?;
            if self.options.again && progress.is_finished {
                Progress::none_of(table).write(destination, self.config, table).await?;
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
        if let Some(end) = store_table(ends, reading, options, report, tell).await? {
            return Ok(end);
        }
        left.pop();
    }
    Ok(CutEnd::Done)
}

/// Stores what is left of a table; `None` when that is done.
async fn store_table(
    ends: &mut Ends<'_>,
    reading: &mut Reading,
    options: &BackfillOptions,
    report: &mut BackfillReport,
    tell: &mut (impl FnMut(BackfillEvent) + Send),
) -> Result<Option<CutEnd>, WorkerError> {
    let name = reading.table.name();
    let shape = Shape::read(&ends.cut.reader, reading.table.oid, ends.config).await?;
    let Some(shape) = shape.filter(|shape| shape.is_tracked) else {
        warn!(table = name, "the table is gone, or not tracked any more; it is left out");
        return Ok(None);
    };
    // At first, for the rows of the table before.
    let mut rows_to_pause = 0;
    loop {
        if ends.pause(rows_to_pause).await {
            return Ok(Some(CutEnd::Stopped));
        }
        if rows_to_pause > 0 && ends.cut.age() >= options.snapshot_max {
            return Ok(Some(CutEnd::Renew));
        }
        let rows_max = u64::from(options.chunk_rows.max(1));
        let rows = match reading.store_chunk(&shape, rows_max, ends).await? {
            ChunkEnd::Stored(rows) => rows,
            ChunkEnd::Changed => {
                info!(table = name, "the table is another one since; taking a new snapshot");
                return Ok(Some(CutEnd::Renew));
            }
            ChunkEnd::Stopped => return Ok(Some(CutEnd::Stopped)),
        };
        report.rows += rows;
        report.note(&reading.table, &reading.progress);
        let rows_of_table = reading.progress.rows;
        tell(BackfillEvent::Stored { table: name.clone(), rows, rows_of_table });
        if reading.progress.is_finished {
            // One that is a single chunk has taken its time in there.
            if !reading.progress.key.is_empty() {
                ends.pace.note(rows);
            }
            tell(BackfillEvent::Finished { table: name, rows: rows_of_table });
            return Ok(None);
        }
        rows_to_pause = rows;
    }
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
