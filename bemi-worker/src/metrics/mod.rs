//! How the worker does, counted while it works.
//!
//! ```text
//! flow, sink, session ─▶ Metrics ─▶ /metrics, /health, /ready
//! watch (asks the databases) ─┘
//! ```
//!
//! [`Metrics`] is a handle that all of them share. It is told what has happened, in batches and never
//! for each change, and works out the rest when somebody asks.
//!
//! Invariants: no count ever falls while the process lives, whatever is reconnected. What is counted as
//! stored was committed by this process; what was committed is counted, also where the answer to the
//! COMMIT got lost. Nothing that is told here holds a value, a name of a table or a secret.

mod exposition;
mod process;
mod server;
mod state;
mod tally;
mod verdict;
mod watch;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bemi_core::Lsn;
use jiff::Timestamp;
use tracing::info;

pub(crate) use self::server::MetricsServer;
pub(crate) use self::state::{DestinationReading, SlotReading, SourceReading};
use self::state::{Phase, State};
pub(crate) use self::tally::Tally;
pub(crate) use self::watch::watch_destination;

/// A worker that is further behind is told to be, and is not ready; one that is closer again has caught
/// up.
const BEHIND_FROM: Duration = Duration::from_secs(60);
const CAUGHT_UP_FROM: Duration = Duration::from_secs(10);

/// One of the two databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The one that is tracked.
    Source,
    /// The one that has `changes`.
    Destination,
}

impl Side {
    /// As metrics and answers have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Destination => "destination",
        }
    }
}

/// How a worker does. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Metrics(Arc<Mutex<State>>);

impl Default for Metrics {
    /// Of a worker that starts now.
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State::new(Instant::now(), Timestamp::now()))))
    }
}

impl Metrics {
    /// The worker streams, and everything before `position` is stored.
    pub(crate) fn streaming(&self, position: Lsn) {
        let mut state = self.state();
        state.resume(position, Timestamp::now());
        state.enter(Phase::Streaming, Instant::now());
        state.at_sink = 0;
    }

    /// What goes wrong next is the fault of that side. Without this it is the source's.
    pub(crate) fn blame(&self, side: Side) {
        self.state().blamed = Some(side);
    }

    /// The worker was interrupted, and tries again. Returns whose fault it was.
    pub(crate) fn interrupted(&self) -> Side {
        let mut state = self.state();
        let side = state.blamed.take().unwrap_or(Side::Source);
        match side {
            Side::Source => state.retries_of_source += 1,
            Side::Destination => state.retries_of_destination += 1,
        }
        state.at_sink = 0;
        state.enter(Phase::Interrupted(side), Instant::now());
        side
    }

    /// That many bytes of the stream were received.
    pub(crate) fn received(&self, bytes: u64) {
        self.state().received_bytes += bytes;
    }

    /// How many batches the sink has that it has not answered for. Whenever it answers, this is told.
    pub(crate) fn at_sink(&self, batches: usize) {
        let mut state = self.state();
        if batches < state.at_sink || state.at_sink == 0 {
            state.sink_answered_at = Instant::now();
        }
        state.at_sink = batches;
    }

    /// This is about to be committed. Where nothing is heard of it any more, [`Self::streaming`] tells
    /// whether it was.
    pub(crate) fn committing(&self, tally: Tally) {
        self.state().committing = Some(tally);
    }

    /// What was about to be committed is.
    pub(crate) fn committed(&self) {
        let mut state = self.state();
        if let Some(tally) = state.committing.take() {
            state.add(&tally, Timestamp::now());
        }
    }

    /// The loop of the worker turns.
    pub(crate) fn turned(&self) {
        self.state().turned_at = Instant::now();
    }

    /// The source was asked how much WAL there is, and how much of it is held; `None` where it did not
    /// answer.
    pub(crate) fn source_asked(&self, reading: Option<SourceReading>) {
        let mut state = self.state();
        let now = Instant::now();
        state.note_source(reading, now);
        let Some(lag) = state.lag(now, Timestamp::now()) else { return };
        let (lag_s, lag_bytes) = (lag.as_secs(), state.lag_bytes());
        // One line for each change, and none in between.
        if lag > BEHIND_FROM && !state.is_behind {
            state.is_behind = true;
            info!(lag_s, lag_bytes, "behind");
        } else if lag < CAUGHT_UP_FROM && state.is_behind && state.phase == Phase::Streaming {
            state.is_behind = false;
            info!(lag_bytes, "caught up");
        }
    }

    /// The destination was asked what is wrong with the record; `None` where it did not answer.
    pub(crate) fn destination_asked(&self, reading: Option<DestinationReading>) {
        self.state().note_destination(reading);
    }

    /// Whether the worker streams.
    pub(crate) fn is_streaming(&self) -> bool {
        self.state().phase == Phase::Streaming
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
