//! What is known of the worker, and what follows from it.

use std::time::{Duration, Instant};

use bemi_core::Lsn;
use jiff::{SignedDuration, Timestamp};
use prometheus_client::metrics::histogram::Histogram;

use super::{Side, Tally};
use crate::pipeline::IDLE_WAL_BYTES_MAX;

/// The bounds of the histogram of commit-to-stored, in seconds.
const LATENCY_BOUNDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0];

/// What the worker is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It has not streamed yet.
    Starting,
    Streaming,
    /// It waits to try again, or is about to.
    Interrupted(Side),
}

/// What the source said of its WAL and the slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SourceReading {
    /// Up to where WAL is written and safe.
    pub(crate) flushed: Lsn,
    /// The slot; `None` where there is none.
    pub(crate) slot: Option<SlotReading>,
}

/// What the source said of the slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlotReading {
    /// WAL that is kept for it, in bytes.
    pub(crate) held_bytes: u64,
    /// How much more can be written before the server may give it up; `None` without a limit.
    pub(crate) safe_bytes: Option<u64>,
    /// As `pg_replication_slots` has it.
    pub(crate) wal_status: String,
}

/// What the destination said of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DestinationReading {
    /// Stretches that were lost.
    pub(crate) gaps: u64,
    /// Changes in quarantine.
    pub(crate) quarantined: u64,
    /// When the last transaction that is stored was committed.
    pub(crate) last_commit: Option<Timestamp>,
}

/// What is known of the worker.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) started: Instant,
    pub(super) started_at: Timestamp,
    pub(super) phase: Phase,
    pub(super) phase_since: Instant,
    pub(super) turned_at: Instant,
    /// Who is at fault, should the worker be interrupted.
    pub(super) blamed: Option<Side>,

    pub(super) received_bytes: u64,
    /// What is durable, all in all. Its position is the last one; it has no commits.
    pub(super) stored: Tally,
    pub(super) transactions: u64,
    pub(super) latency: Histogram,
    /// How many transactions were stored before they were committed, if one believes the clocks.
    pub(super) negative_latencies: u64,
    pub(super) retries_of_source: u64,
    pub(super) retries_of_destination: u64,

    /// When the last stored transaction was committed.
    pub(super) last_commit: Option<Timestamp>,
    /// What may be durable or not.
    pub(super) committing: Option<Tally>,
    pub(super) at_sink: usize,
    pub(super) sink_answered_at: Instant,

    pub(super) source: Option<(SourceReading, Instant)>,
    pub(super) source_is_up: Option<bool>,
    pub(super) destination: Option<DestinationReading>,
    pub(super) destination_is_up: Option<bool>,
    /// Whether the log says that it is behind.
    pub(super) is_behind: bool,
    /// When everything that had been committed was stored, as far as that was seen.
    pub(super) caught_up_at: Option<Instant>,
}

impl State {
    pub(super) fn new(now: Instant, started_at: Timestamp) -> Self {
        Self {
            started: now,
            started_at,
            phase: Phase::Starting,
            phase_since: now,
            turned_at: now,
            blamed: None,
            received_bytes: 0,
            stored: Tally::default(),
            transactions: 0,
            latency: Histogram::new(LATENCY_BOUNDS),
            negative_latencies: 0,
            retries_of_source: 0,
            retries_of_destination: 0,
            last_commit: None,
            committing: None,
            at_sink: 0,
            sink_answered_at: now,
            source: None,
            source_is_up: None,
            destination: None,
            destination_is_up: None,
            is_behind: false,
            caught_up_at: None,
        }
    }

    /// Goes over to another phase. Since when counts from the first of several that are the same.
    pub(super) fn enter(&mut self, phase: Phase, now: Instant) {
        if self.phase != phase {
            self.phase = phase;
            self.phase_since = now;
        }
    }

    /// Goes on from a position: what was being committed when the connection broke is stored, if the
    /// checkpoint is where it would have moved it.
    pub(super) fn resume(&mut self, position: Lsn, now: Timestamp) {
        if let Some(tally) = self.committing.take()
            && tally.position == position
        {
            self.add(&tally, now);
        }
        self.stored.position = position;
    }

    /// Adds what is durable now.
    pub(super) fn add(&mut self, tally: &Tally, now: Timestamp) {
        let stored = &mut self.stored;
        stored.position = tally.position;
        stored.matched += tally.matched;
        stored.missing += tally.missing;
        stored.quarantined += tally.quarantined;
        stored.ignored += tally.ignored;
        stored.unreadable_contexts += tally.unreadable_contexts;
        stored.contexts_without_transaction += tally.contexts_without_transaction;
        stored.bytes += tally.bytes;
        self.transactions += u64::try_from(tally.commits.len()).unwrap_or(u64::MAX);
        for commit in &tally.commits {
            let latency = now.duration_since(*commit);
            if latency.is_negative() {
                self.negative_latencies += 1;
            }
            self.latency.observe(latency.max(SignedDuration::ZERO).as_secs_f64());
        }
        self.last_commit = tally.commits.last().copied().or(self.last_commit);
    }

    pub(super) fn note_source(&mut self, reading: Option<SourceReading>, now: Instant) {
        self.source_is_up = Some(reading.is_some());
        let Some(reading) = reading else { return };
        let lag = reading.flushed.bytes_since(self.stored.position);
        let is_idle = self.phase == Phase::Streaming && self.at_sink == 0;
        if self.phase != Phase::Starting && (lag == 0 || (is_idle && lag < IDLE_WAL_BYTES_MAX)) {
            self.caught_up_at = Some(now);
        }
        self.source = Some((reading, now));
    }

    pub(super) fn note_destination(&mut self, reading: Option<DestinationReading>) {
        self.destination_is_up = Some(reading.is_some());
        self.destination = reading;
        self.last_commit = self.last_commit.or(reading.and_then(|reading| reading.last_commit));
    }

    /// WAL between what is stored and what the source has, in bytes.
    pub(super) fn lag_bytes(&self) -> Option<u64> {
        let (reading, _) = self.source.as_ref().filter(|_| self.source_is_up == Some(true))?;
        Some(reading.flushed.bytes_since(self.stored.position))
    }

    /// How old the oldest change that is not stored may be, at most; zero where there is none, as far as
    /// can be told. Two moments bound it: when everything was stored, which needs no clock but ours, and
    /// when the last stored transaction was committed.
    pub(super) fn lag(&self, now: Instant, clock: Timestamp) -> Option<Duration> {
        let is_idle = self.phase == Phase::Streaming && self.at_sink == 0;
        if is_idle && self.lag_bytes().is_some_and(|bytes| bytes < IDLE_WAL_BYTES_MAX) {
            return Some(Duration::ZERO);
        }
        let since_caught_up = self.caught_up_at.map(|at| now.saturating_duration_since(at));
        let since_last_commit = self.last_commit.map(|at| {
            let since = clock.duration_since(at).max(SignedDuration::ZERO);
            since.unsigned_abs()
        });
        match (since_caught_up, since_last_commit) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// For how long the sink has not answered for the batches that it has.
    pub(super) fn sink_silence(&self, now: Instant) -> Duration {
        match self.at_sink {
            0 => Duration::ZERO,
            _ => now.saturating_duration_since(self.sink_answered_at),
        }
    }
}
