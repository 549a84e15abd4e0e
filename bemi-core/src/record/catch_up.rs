//! Waiting until the worker has stored what a question is about.
//!
//! Where nothing is written, the worker would have nothing to store for long, and nobody could tell a
//! record that is complete from one that lags behind. So a heartbeat is emitted in the source, a message
//! that changes nothing: the worker stores the position behind it at once.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Deserialize;

use super::slot::Slot;
use super::{Database, Record, RecordError, Sql};
use crate::{HEARTBEAT_PREFIX, Lsn};

/// How long to wait before looking again, at first and at most.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
const LOOK_AGAIN_MAX: Duration = Duration::from_millis(200);

/// Where a source is.
#[derive(Deserialize)]
struct Source {
    database: String,
    system_identifier: String,
    is_read_only: bool,
    version: u32,
    now: Timestamp,
}

/// Up to where everything must be stored, and when that was, by the source's clock.
struct End {
    position: Lsn,
    at: Timestamp,
}

const SOURCE: &str = "SELECT json_build_object('database', current_database(), \
     'system_identifier', (SELECT s.system_identifier::text FROM pg_control_system() AS s), \
     'is_read_only', pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean, \
     'version', current_setting('server_version_num')::int, \
     'now', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'))::text";

/// A standby has no end of its own: what it has replayed is what it can show.
const END: &str = "SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() \
     ELSE pg_current_wal_insert_lsn() END - '0/0')::text";

impl<D: Database> Record<D> {
    /// Waits until everything that had committed in the source when this was called is stored, and gives
    /// the position of that. It emits a heartbeat in the source, a message that changes nothing; where
    /// the session is read-only or the server a standby, it waits without.
    ///
    /// Questions do this themselves where the record is in the database that it is about.
    ///
    /// # Errors
    /// [`RecordError::NotStoredYet`] after the [time to wait](Self::waiting), also where the record's
    /// connection is in a transaction that sees one snapshot alone; [`RecordError::OtherSource`] where
    /// `source` is another database than that of the record.
    ///
    /// # Cancellation
    /// Safe.
    ///
    /// ```no_run
    /// # use bemi_core::record::{Database, Record, RecordError};
    /// # async fn example<D: Database>(audit: D, mut shop: D) -> Result<(), RecordError<D::Error>> {
    /// let mut record = Record::new(audit);
    /// let position = record.catch_up(&mut shop).await?;
    /// println!("everything up to {position} is stored");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn catch_up<S: Database<Error = D::Error>>(
        &mut self,
        source: &mut S,
    ) -> Result<Lsn, RecordError<D::Error>> {
        let slot = self.slot().await?;
        let end = heartbeat(source, &slot).await?;
        self.wait_until_stored(end.position).await?;
        self.caught_up_at = Some(end.at);
        Ok(end.position)
    }

    /// The same, where the record is in its source.
    pub(super) async fn catch_up_here(
        &mut self,
        slot: &Slot,
    ) -> Result<Lsn, RecordError<D::Error>> {
        let end = heartbeat(&mut self.database, slot).await?;
        self.wait_until_stored(end.position).await?;
        Ok(end.position)
    }

    /// Waits until everything before `end` is stored.
    pub(super) async fn wait_until_stored(
        &mut self,
        end: Lsn,
    ) -> Result<(), RecordError<D::Error>> {
        self.wait_for(|slot| slot.position >= end, || end.to_string()).await?;
        Ok(())
    }

    /// Waits until what is stored is as wanted.
    pub(super) async fn wait_for(
        &mut self,
        is_enough: impl Fn(&Slot) -> bool,
        asked: impl Fn() -> String,
    ) -> Result<Slot, RecordError<D::Error>> {
        let began = Instant::now();
        let mut pause = LOOK_AGAIN;
        loop {
            let slot = self.slot().await?;
            if is_enough(&slot) {
                return Ok(slot);
            }
            let left = self.wait.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Err(RecordError::NotStoredYet { asked: asked(), stored: slot.position });
            }
            self.database.pause(pause.min(left)).await;
            pause = (pause * 2).min(LOOK_AGAIN_MAX);
        }
    }
}

/// Has the worker store a position behind everything that has committed in the source so far; gives the
/// end of that.
async fn heartbeat<S: Database>(source: &mut S, slot: &Slot) -> Result<End, RecordError<S::Error>> {
    let found: Source = one(source, SOURCE).await?;
    if found.database != slot.database || found.system_identifier != slot.system_identifier {
        return Err(RecordError::OtherSource {
            found: format!("{} of cluster {}", found.database, found.system_identifier),
            wanted: format!("{} of cluster {}", slot.database, slot.system_identifier),
        });
    }
    let end: i64 = one(source, END).await?;
    if !found.is_read_only {
        let emit = emission(found.version);
        source
            .query(&Sql::new(emit))
            .await
            .map_err(|source| RecordError::Database { doing: "emit a heartbeat", source })?;
    }
    Ok(End { position: Lsn::from_bigint(end), at: found.now })
}

/// The statement that emits a heartbeat: one that no transaction holds back, and one that older workers
/// see.
///
/// A commit has it sent. Where the caller's transaction goes on, nothing would, on a server where
/// nobody else commits: what is not flushed is not decoded. From 17 on, the message itself is flushed.
/// Before, the server flushes by itself what lies in pages that are full, so the page is filled.
fn emission(version: u32) -> String {
    let transactional = format!("pg_logical_emit_message(true, '{HEARTBEAT_PREFIX}', '')::text");
    if version >= 170_000 {
        return format!(
            "SELECT pg_logical_emit_message(false, '{HEARTBEAT_PREFIX}', '', true)::text || {transactional}"
        );
    }
    format!(
        "SELECT concat(pg_logical_emit_message(false, '{HEARTBEAT_PREFIX}', ''), CASE WHEN now() < statement_timestamp() \
         THEN pg_logical_emit_message(false, '{HEARTBEAT_PREFIX}', repeat(' ', current_setting('wal_block_size')::int)) END, \
         {transactional})"
    )
}

/// The answer of one row.
async fn one<S: Database, T: serde::de::DeserializeOwned>(
    source: &mut S,
    sql: &str,
) -> Result<T, RecordError<S::Error>> {
    let rows = source
        .query(&Sql::new(sql))
        .await
        .map_err(|source| RecordError::Database { doing: "ask the source where it is", source })?;
    serde_json::from_str(rows.first().map_or("null", String::as_str))
        .map_err(|source| RecordError::Unreadable { what: "the source", source })
}
