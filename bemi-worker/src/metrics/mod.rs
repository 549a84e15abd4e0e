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
mod state;
mod tally;
mod verdict;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bemi_core::Lsn;
use jiff::Timestamp;

pub(crate) use self::state::{DestinationReading, SourceReading};
use self::state::{Phase, State};
pub(crate) use self::tally::Tally;

/// One of the two databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The one that is tracked.
    Source,
    /// The one that has `changes`.
    Destination,
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

    /// The worker was interrupted, and tries again.
    pub(crate) fn interrupted(&self) {
        let mut state = self.state();
        let side = state.blamed.take().unwrap_or(Side::Source);
        match side {
            Side::Source => state.retries_of_source += 1,
            Side::Destination => state.retries_of_destination += 1,
        }
        state.at_sink = 0;
        state.enter(Phase::Interrupted(side), Instant::now());
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
        self.state().note_source(reading, Instant::now());
    }

    /// The destination was asked what is wrong with the record; `None` where it did not answer.
    pub(crate) fn destination_asked(&self, reading: Option<DestinationReading>) {
        self.state().note_destination(reading);
    }

    /// How long ago the loop of the worker turned last.
    pub(crate) fn silent_for(&self) -> Duration {
        self.state().turned_at.elapsed()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
