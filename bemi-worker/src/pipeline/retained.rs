//! Watches how much WAL the source keeps for the slot, and gives the slot up where it is told to.
//!
//! It has a session of its own with the source, so it goes on while the destination is down, the sink
//! hangs, or no stream can be started.
//!
//! Invariant: nothing is given up without being written down in the source first, and no slot that
//! another process streams from is touched.

use std::time::{Duration, Instant};

use bemi_core::{HEARTBEAT_PREFIX, Lsn};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};
use tracing::{debug, error, info, warn};

use super::flow::IDLE_WAL_BYTES_MAX;
use crate::config::{ByteSize, Config, OnMaxRetainedWal, RetainedWal, RunOptions};
use crate::error::WorkerError;
use crate::metrics::{Metrics, SlotReading, SourceReading};
use crate::rate_limited::RateLimited;
use crate::source::{GivenUp, SlotState, drop_slot};

/// How often to look.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// How long a look may take.
const LOOK_MAX: Duration = Duration::from_secs(10);

/// A worker that catches up is left to it, as long as there is less to store than ever since the limit was
/// reached, and once in this time at least.
const WITHOUT_PROGRESS_MAX: Duration = Duration::from_secs(30);

/// The same where the worker has stored most of what the slot holds. The server lets go of it some time later,
/// as transactions end that are open.
const RELEASE_WITHOUT_PROGRESS_MAX: Duration = Duration::from_secs(300);

/// From this much on, in bytes, a slot that holds what is stored already is worth a heartbeat.
const PINNED_BYTES_MIN: u64 = 256 * 1024 * 1024;

/// How often that is sent. The server looks which transactions are open as often.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

/// How long our own server process may take to let go of the slot.
const RELEASE_MAX: Duration = Duration::from_secs(30);
/// A stream of ours that was being opened when the slot was to be given up is unknown here, and ends by itself in
/// this time. Whoever streams for longer is somebody else.
const ABANDONED_MAX: Duration = Duration::from_secs(5);
const RELEASE_PAUSE: Duration = Duration::from_millis(200);

/// What the source keeps for the slot.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    /// WAL on its disk, in bytes.
    bytes: u64,
    /// The part of it that was not acknowledged.
    unstored_bytes: u64,
    /// How much more can be written before the server may give the slot up; `None` without a limit.
    safe_bytes: Option<u64>,
    /// As `pg_replication_slots` has it.
    wal_status: String,
}

/// What was seen in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    /// Up to where WAL is written and safe; `None` on a standby, which has none of its own.
    flushed: Option<Lsn>,
    /// What is kept for the slot; `None` where there is none.
    held: Option<Held>,
}

/// A watch over the slot. It ends when this is dropped.
pub(super) struct RetainedWatch {
    excesses: mpsc::Receiver<()>,
    limit: RetainedWal,
    /// The server process that we stream from.
    process: Option<i32>,
    _task: JoinSet<()>,
}

impl RetainedWatch {
    /// Starts to look.
    pub(super) fn start(config: &Config, options: RunOptions, metrics: &Metrics) -> Self {
        let limit = options.retained_wal;
        // One: while the slot is being given up nobody needs to hear of it again.
        let (tell, excesses) = mpsc::channel(1);
        let mut task = JoinSet::new();
        // One that ends by itself, soon, has nothing to watch.
        if !options.once {
            task.spawn(watch(config.clone(), limit, tell, metrics.clone()));
        }
        Self { excesses, limit, process: None, _task: task }
    }

    /// The server process that a stream of ours has.
    pub(super) fn streams_from(&mut self, process: Option<i32>) {
        self.process = process;
    }

    /// Waits until the slot is to be given up.
    ///
    /// # Cancellation safety
    ///
    /// Nothing is lost.
    pub(super) async fn exceeded(&mut self) {
        if self.excesses.recv().await.is_none() {
            // It looks as long as there is somebody to tell.
            std::future::pending::<()>().await;
        }
    }

    /// Drops the slot, with what is lost written down before, if it still holds too much. Our own stream
    /// must have ended. What goes wrong is logged, and the next [`Self::exceeded`] tries again.
    pub(super) async fn give_up(&mut self, config: &Config) {
        match give_up(config, self.limit, self.process).await {
            Ok(Some(reason)) => error!(
                slot = %config.slot,
                reason,
                "gave up the replication slot: what was not stored is lost, and is recorded as a gap once the destination is there"
            ),
            Ok(None) => {}
            Err(error) => error!(
                slot = %config.slot,
                cause = %error,
                "the replication slot holds too much WAL and cannot be given up; trying again"
            ),
        }
    }
}

/// Returns the reason that was written down, if the slot was given up.
async fn give_up(
    config: &Config,
    limit: RetainedWal,
    ours: Option<i32>,
) -> Result<Option<String>, WorkerError> {
    // Anew: it may have become less, or another slot, since somebody asked for this.
    let (source, seen) = look(None, config).await?;
    let Some(held) = seen.held.filter(|held| held.bytes > limit.max.bytes()) else {
        return Ok(None);
    };
    let end = Instant::now() + ABANDONED_MAX;
    loop {
        let read = WorkerError::database("read the replication slot in the source");
        let Some(slot) = SlotState::read(&source, &config.slot).await.map_err(read)? else {
            return Ok(None);
        };
        let stranger = slot.active_process.filter(|process| ours != Some(*process));
        let Some(process) = stranger else { break };
        if Instant::now() >= end {
            let slot = config.slot.to_string();
            return Err(WorkerError::SlotInUse { slot, process: process.to_string() });
        }
        tokio::time::sleep(RELEASE_PAUSE).await;
    }
    let reason = format!(
        "the slot held {} of WAL, more than the {} of --max-retained-wal, and was given up at {}",
        ByteSize::new(held.bytes).rounded(),
        limit.max,
        Timestamp::now().strftime("%Y-%m-%d %H:%M:%S UTC")
    );
    GivenUp::record(&source, &config.slot, &reason)
        .await
        .map_err(WorkerError::database("write down in the source that the slot is given up"))?;
    release(&source, config, ours).await.map_err(WorkerError::database("end our own stream"))?;
    let end = Instant::now() + RELEASE_MAX;
    loop {
        match drop_slot(&source, &config.slot).await {
            Ok(()) => return Ok(Some(reason)),
            // Our own server process takes a moment to end.
            Err(error)
                if error.code() == Some(&SqlState::OBJECT_IN_USE) && Instant::now() < end =>
            {
                tokio::time::sleep(RELEASE_PAUSE).await;
            }
            Err(error) => {
                return Err(WorkerError::database("drop the replication slot in the source")(
                    error,
                ));
            }
        }
    }
}

/// Ends our own server process, should it still stream: the network to it may be cut, or it may wait to send.
async fn release(source: &Client, config: &Config, ours: Option<i32>) -> Result<(), Error> {
    source
        .execute(
            "SELECT pg_catalog.pg_terminate_backend(active_pid) \
             FROM pg_catalog.pg_replication_slots WHERE slot_name = $1 AND active_pid = $2",
            &[&config.slot.as_str(), &ours],
        )
        .await?;
    Ok(())
}

/// Looks, as long as somebody may be told.
async fn watch(config: Config, limit: RetainedWal, tell: mpsc::Sender<()>, metrics: Metrics) {
    let mut session = None;
    let log = Log::default();
    let mut patience = Patience::default();
    let mut heartbeat_at = None;
    loop {
        let asked = tokio::time::timeout(LOOK_MAX, look(session.take(), &config)).await;
        match asked {
            Ok(Ok((client, seen))) => {
                let is_due =
                    heartbeat_at.is_none_or(|at: Instant| at.elapsed() >= HEARTBEAT_INTERVAL);
                if is_due && seen.held.as_ref().is_some_and(|held| held.is_pinned(limit)) {
                    heartbeat_at = Some(Instant::now());
                    beat(&client).await;
                }
                session = Some(client);
                metrics.source_asked(seen.reading());
                let held = seen.held.as_ref();
                log.tell(&config, limit, held);
                let is_over = patience.ends(limit, held, Instant::now());
                if is_over && limit.on_max == OnMaxRetainedWal::GiveUp {
                    // Full: that was not heard yet.
                    let _ = tell.try_send(());
                }
            }
            // The worker itself will have met it, and says so.
            Ok(Err(error)) => {
                metrics.source_asked(None);
                debug!(%error, "cannot see how much WAL the slot holds");
            }
            Err(_) => {
                metrics.source_asked(None);
                debug!("the source does not say how much WAL the slot holds");
            }
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

async fn connect(config: &Config) -> Result<Client, WorkerError> {
    let client = config.source.connect().await?;
    client
        .batch_execute("SET statement_timeout = '10s'; SET lock_timeout = '5s'")
        .await
        .map_err(WorkerError::database("prepare a session with the source"))?;
    Ok(client)
}

async fn look(session: Option<Client>, config: &Config) -> Result<(Client, Seen), WorkerError> {
    let client = match session {
        Some(client) => client,
        None => connect(config).await?,
    };
    let seen = Seen::read(&client, config)
        .await
        .map_err(WorkerError::database("see how much WAL the slot holds"))?;
    Ok((client, seen))
}

impl Seen {
    async fn read(client: &Client, config: &Config) -> Result<Self, Error> {
        let row = client
            .query_opt(
                "SELECT (pg_current_wal_flush_lsn() - '0/0')::int8, s.slot_name IS NOT NULL, \
                        coalesce(pg_current_wal_lsn() - s.restart_lsn, 0)::int8, \
                        coalesce(pg_current_wal_lsn() - s.confirmed_flush_lsn, 0)::int8, \
                        s.safe_wal_size, coalesce(s.wal_status, 'unknown')::text \
                 FROM (VALUES (1)) AS one \
                 LEFT JOIN pg_catalog.pg_replication_slots s ON s.slot_name = $1 \
                 WHERE NOT pg_catalog.pg_is_in_recovery()",
                &[&config.slot.as_str()],
            )
            .await?;
        let Some(row) = row else { return Ok(Self { flushed: None, held: None }) };
        let bytes = |value: i64| u64::try_from(value).unwrap_or(0);
        let held = if row.try_get(1)? {
            Some(Held {
                bytes: bytes(row.try_get(2)?),
                unstored_bytes: bytes(row.try_get(3)?),
                safe_bytes: row.try_get::<_, Option<i64>>(4)?.map(bytes),
                wal_status: row.try_get(5)?,
            })
        } else {
            None
        };
        Ok(Self { flushed: Some(Lsn::from_bigint(row.try_get(0)?)), held })
    }

    /// For the metrics, where it tells how far behind the worker is.
    fn reading(&self) -> Option<SourceReading> {
        let slot = self.held.as_ref().map(|held| SlotReading {
            held_bytes: held.bytes,
            safe_bytes: held.safe_bytes,
            wal_status: held.wal_status.clone(),
        });
        Some(SourceReading { flushed: self.flushed?, slot })
    }
}

/// Has the worker acknowledge where it is, on a server that gives it no other reason to: only then does the
/// server look what the slot needs no longer.
async fn beat(client: &Client) {
    let emit = format!("SELECT pg_catalog.pg_logical_emit_message(true, '{HEARTBEAT_PREFIX}', '')");
    let beaten = tokio::time::timeout(LOOK_MAX, client.batch_execute(&emit)).await;
    if let Ok(Err(error)) = beaten {
        debug!(%error, "cannot send a heartbeat");
    }
}

impl Held {
    /// Whether it is stored but for what is on its way: an idle worker leaves a little, and the server has
    /// not let go of the rest.
    fn is_stored(&self) -> bool {
        self.unstored_bytes < (self.bytes / 10).max(2 * IDLE_WAL_BYTES_MAX)
    }

    /// Whether it is much, and stored.
    fn is_pinned(&self, limit: RetainedWal) -> bool {
        self.is_stored() && self.bytes > PINNED_BYTES_MIN.min(limit.max.bytes() / 2)
    }
}

/// How long a slot may hold too much.
#[derive(Debug, Default)]
struct Patience {
    least: Option<Least>,
}

/// The least that the slot held since the limit was reached, and that was to be stored, in bytes.
#[derive(Clone, Copy, Debug)]
struct Least {
    bytes: u64,
    unstored_bytes: u64,
    /// Since when neither has become less.
    since: Instant,
}

impl Patience {
    /// Whether the slot holds too much, and nothing got better for too long.
    fn ends(&mut self, limit: RetainedWal, held: Option<&Held>, now: Instant) -> bool {
        let Some(held) = held.filter(|held| held.bytes > limit.max.bytes()) else {
            self.least = None;
            return false;
        };
        let (bytes, unstored_bytes) = (held.bytes, held.unstored_bytes);
        match &mut self.least {
            Some(least) if bytes >= least.bytes && unstored_bytes >= least.unstored_bytes => {
                let max = if held.is_stored() {
                    RELEASE_WITHOUT_PROGRESS_MAX
                } else {
                    WITHOUT_PROGRESS_MAX
                };
                now.saturating_duration_since(least.since) >= max
            }
            least => {
                *least = Some(Least { bytes, unstored_bytes, since: now });
                false
            }
        }
    }
}

/// Says how it is: when it becomes worse or better, and once a minute while it is ill.
#[derive(Debug, Default)]
struct Log {
    near: RateLimited,
    over: RateLimited,
    server: RateLimited,
}

impl Log {
    fn tell(&self, config: &Config, limit: RetainedWal, held: Option<&Held>) {
        let Some(held) = held else { return };
        let (slot, max) = (config.slot.as_str(), limit.max);
        let bytes = ByteSize::new(held.bytes).rounded();
        let unstored = ByteSize::new(held.unstored_bytes).rounded();
        if held.bytes > max.bytes() {
            let what = if held.is_stored() {
                "the slot holds too much WAL, most of it for transactions that are open in the source: end them, see pg_stat_activity and pg_prepared_xacts"
            } else {
                "the slot holds too much WAL that is not stored, on the disk of the source: see what keeps the worker or the destination"
            };
            if self.over.say().is_some() {
                error!(slot, held = bytes, unstored, limit = %max, "{what}");
            }
        } else if let Some(ended) = self.over.over() {
            let lasted_s = ended.lasted.as_secs();
            info!(slot, held = bytes, limit = %max, lasted_s, "the slot holds less WAL than the limit again");
        } else if held.bytes <= max.bytes() / 2 {
            self.near.over();
        } else if self.near.say().is_some() {
            warn!(slot, held = bytes, unstored, limit = %max, "the slot holds more than half of the WAL that it may");
        }
        match held.wal_status.as_str() {
            status @ ("unreserved" | "lost") => {
                if self.server.say().is_some() {
                    error!(
                        slot,
                        wal_status = status,
                        held = bytes,
                        "the server itself gives up the slot, now or soon: see max_slot_wal_keep_size, and what keeps the worker"
                    );
                }
            }
            _ => {
                self.server.over();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1024 * 1024;
    const LIMIT: RetainedWal = RetainedWal::new(ByteSize::new(100 * MB), OnMaxRetainedWal::GiveUp);

    /// In megabytes.
    fn held(held: u64, unstored: u64) -> Option<Held> {
        let (bytes, unstored_bytes) = (held * MB, unstored * MB);
        let wal_status = "extended".to_owned();
        Some(Held { bytes, unstored_bytes, safe_bytes: None, wal_status })
    }

    /// After how many of these looks, one each 10 s, patience ends.
    fn ends_after(looks: &[Option<Held>]) -> Option<usize> {
        let mut patience = Patience::default();
        let start = Instant::now();
        let at = |look: usize| start + Duration::from_secs(10) * u32::try_from(look).unwrap();
        looks
            .iter()
            .enumerate()
            .position(|(look, held)| patience.ends(LIMIT, held.as_ref(), at(look)))
    }

    #[test]
    fn a_slot_that_holds_too_much_is_given_some_time() {
        let stuck: Vec<_> = (0..6).map(|look| held(200 + look, 200 + look)).collect();
        assert_eq!(ends_after(&stuck), Some(3));
    }

    #[test]
    fn a_worker_that_catches_up_is_left_to_it() {
        let catching_up: Vec<_> = (0..50).map(|look| held(900, 900 - look)).collect();
        assert_eq!(ends_after(&catching_up), None);
    }

    #[test]
    fn one_that_falls_behind_while_it_stores_is_not() {
        let falling_behind: Vec<_> = (0..50).map(|look| held(900 + look, 600 + look)).collect();
        assert_eq!(ends_after(&falling_behind), Some(3));
    }

    #[test]
    fn what_is_stored_the_server_may_hold_for_longer_and_not_for_ever() {
        let pinned: Vec<_> = (0..50).map(|look| held(900 + look, 1)).collect();
        assert_eq!(ends_after(&pinned), Some(30));
        assert!(
            held(900, 10).unwrap().is_pinned(LIMIT) && !held(900, 600).unwrap().is_pinned(LIMIT)
        );
    }

    #[test]
    fn a_slot_within_the_limit_and_one_that_is_gone_are_well() {
        let mut looks: Vec<_> = (0..9).map(|_| held(100, 100)).collect();
        looks.extend([held(200, 200), held(200, 200), None, held(200, 200), held(200, 200)]);
        assert_eq!(ends_after(&looks), None);
    }
}
