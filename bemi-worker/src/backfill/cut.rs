//! The cut: a snapshot of the source, and the position in its WAL that it belongs to.
//!
//! Making a logical slot is the one operation of PostgreSQL that gives both: the snapshot has exactly
//! the transactions whose commit record lies before the position S. The slot is temporary and gone
//! at once; the snapshot lives on in the transaction that imported it.
//!
//! Two things make the cut exact for the *other* slot, the worker's:
//!
//! - It streams transactions by the position of their commit record, so it has everything from S on,
//!   as soon as it is at S or before. It is, where it exists when the cut is made.
//! - A transaction that wrote to a table before it was published, and commits after S, would be
//!   neither in the snapshot nor in the stream. There is none: making the slot waits for every
//!   transaction that runs. So tables count as published if they are *before* the cut is begun.
//!
//! A commit record is in the WAL a moment before the transaction is marked as committed. Reading in
//! between would not see it. So that moment is waited for, too.

use std::time::{Duration, Instant};

use bemi_core::{CommitPosition, Lsn, Origin, Sequence, TransactionId};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio_postgres::Client;

use super::session::prepare_session;
use crate::config::{Config, SlotName};
use crate::error::WorkerError;
use crate::rate_limited::RateLimited;
use crate::render::ChangeWriter;
use crate::sink::Checkpoint;
use crate::source::{ExportedSnapshot, SlotState, Stream, check_gap, settings};
use crate::stitch::{Place, Transaction};

/// How long transactions that run may keep a snapshot waiting.
const RUNNING_MAX: Duration = Duration::from_secs(300);

/// How long to wait before looking again for transactions that are about to be seen.
const VISIBLE_PAUSE: Duration = Duration::from_millis(10);

/// What the context of a row is that nobody wrote just now.
const NO_CONTEXT: &str = "{}";

/// A snapshot, and where it belongs.
pub(super) struct Cut {
    /// Its transaction is open, and reads the snapshot.
    pub(super) reader: Client,
    /// Everything that committed before is in the snapshot.
    pub(super) position: Lsn,
    pub(super) writer: ChangeWriter,
    /// What cannot be written.
    pub(super) quarantine_log: RateLimited,
    taken_at: Instant,
    committed_at: Timestamp,
    rows: i64,
}

impl Cut {
    /// Takes a snapshot; `None` when told to stop meanwhile. `slot` and `checkpoint` are those of
    /// the worker, read before.
    ///
    /// # Errors
    ///
    /// [`WorkerError::Gap`] where changes were lost, so that the stream may not go on;
    /// [`WorkerError::TransactionsRunning`] when transactions do not end; [`WorkerError`] when the
    /// source fails.
    pub(super) async fn take(
        config: &Config,
        catalog: &Client,
        slot: Option<&SlotState>,
        checkpoint: &Checkpoint,
        shutdown: &mut watch::Receiver<bool>,
    ) -> Result<Option<Self>, WorkerError> {
        let mut stream = Stream::connect(config, Lsn::ZERO).await?;
        let system = stream.identify().await?;
        let fork = stream.fork_of(checkpoint.timeline, system.timeline).await?;
        if let Some(gap) = check_gap(checkpoint, slot, &system, fork) {
            return Err(WorkerError::Gap { reason: gap.reason });
        }
        let Some(snapshot) = export(&mut stream, catalog, shutdown).await? else { return Ok(None) };
        let reader = config.source.connect().await?;
        let (committed_at, visible) = import(&reader, &snapshot)
            .await
            .map_err(WorkerError::database("read a snapshot of the source"))?;
        // Its slot goes with it.
        drop(stream);
        tokio::select! {
            waited = wait_until_visible(catalog, &visible) => waited?,
            _ = shutdown.wait_for(|told| *told) => return Ok(None),
        }
        // Only a server that is not PostgreSQL has another kind of identifier.
        let identifier = system.identifier.parse().unwrap_or(0);
        let database = config.source.database();
        let origin = Origin::new(identifier, system.timeline, database);
        Ok(Some(Self {
            reader,
            position: snapshot.position,
            writer: ChangeWriter::new(origin, database.to_owned()),
            quarantine_log: RateLimited::default(),
            taken_at: Instant::now(),
            committed_at,
            rows: 0,
        }))
    }

    /// Where its rows are in the order of changes: behind every transaction that is in the snapshot,
    /// and before every other one. No transaction commits there: records begin at multiples of
    /// eight, S among them.
    pub(super) fn commit_position(&self) -> CommitPosition {
        CommitPosition(Lsn::new(self.position.get().saturating_sub(1)))
    }

    /// For how long the source has kept what was deleted since.
    pub(super) fn age(&self) -> Duration {
        self.taken_at.elapsed()
    }

    /// The place of the next row.
    pub(super) fn next_place(&mut self, queued_at: Timestamp) -> Place<'static> {
        self.rows += 1;
        let transaction = Transaction {
            // No transaction wrote it.
            id: TransactionId(0),
            position: self.commit_position(),
            committed_at: self.committed_at,
            queued_at,
        };
        Place { transaction, sequence: Sequence(self.rows), context: NO_CONTEXT }
    }
}

/// Exports a snapshot; `None` when told to stop meanwhile.
async fn export(
    stream: &mut Stream,
    catalog: &Client,
    shutdown: &mut watch::Receiver<bool>,
) -> Result<Option<ExportedSnapshot>, WorkerError> {
    let process = stream.process().await?;
    // No other session of the cluster has this process while it lasts.
    let slot: SlotName = format!("bemi_backfill_{process}").parse()?;
    let ended = tokio::select! {
        exported = stream.export_snapshot(&slot) => return exported.map(Some),
        _ = shutdown.wait_for(|told| *told) => Ok(None),
        () = tokio::time::sleep(RUNNING_MAX) => {
            Err(WorkerError::TransactionsRunning { slot: slot.to_string() })
        }
    };
    // It waits for transactions, and would not notice that nobody waits for it.
    catalog
        .execute("SELECT pg_catalog.pg_terminate_backend($1)", &[&process])
        .await
        .map_err(WorkerError::database("stop waiting for a snapshot of the source"))?;
    ended
}

/// The transactions that a snapshot has: those with an id before `end` that were not running.
struct Visible {
    end: i64,
    running: Vec<i64>,
}

/// Imports a snapshot. Returns the time in the source, which is behind every commit that is in it,
/// and what it has.
async fn import(
    reader: &Client,
    snapshot: &ExportedSnapshot,
) -> Result<(Timestamp, Visible), tokio_postgres::Error> {
    let name = postgres_protocol::escape::escape_literal(&snapshot.name);
    prepare_session(reader).await?;
    // What row-level security would leave out is an error.
    reader
        .batch_execute(&format!(
            "{}; {}; SET row_security = off",
            settings::set_statement(),
            settings::SEND_TEXTS_AS_THEY_ARE
        ))
        .await?;
    reader
        .batch_execute(&format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {name}"
        ))
        .await?;
    let row = reader.query_one(VISIBLE, &[]).await?;
    let visible = Visible { end: row.try_get(1)?, running: row.try_get(2)? };
    Ok((row.try_get(0)?, visible))
}

/// Of a snapshot that was exported by a slot, `xmax` may be before `xmin`: everything before either is
/// in it then.
const VISIBLE: &str = "\
SELECT pg_catalog.clock_timestamp(),
       greatest(pg_catalog.pg_snapshot_xmin(s), pg_catalog.pg_snapshot_xmax(s))::text::bigint,
       ARRAY(SELECT running::text::bigint FROM pg_catalog.pg_snapshot_xip(s) AS running)
FROM pg_catalog.pg_current_snapshot() AS s";

/// Waits until everything that is in the snapshot is marked as committed.
async fn wait_until_visible(catalog: &Client, visible: &Visible) -> Result<(), WorkerError> {
    let failed = || WorkerError::database("look for transactions in the source");
    loop {
        let row = catalog
            .query_one(IS_VISIBLE, &[&visible.end, &visible.running])
            .await
            .map_err(failed())?;
        if row.try_get(0).map_err(failed())? {
            return Ok(());
        }
        tokio::time::sleep(VISIBLE_PAUSE).await;
    }
}

/// Whether everybody sees what has an id before $1 and is not in $2.
const IS_VISIBLE: &str = "\
SELECT pg_catalog.pg_snapshot_xmax(s)::text::bigint >= $1
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_snapshot_xip(s) AS running
                       WHERE running::text::bigint < $1 AND running::text::bigint <> ALL ($2))
FROM pg_catalog.pg_current_snapshot() AS s";
