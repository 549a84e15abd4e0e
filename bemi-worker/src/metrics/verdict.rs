//! Whether the worker is alive, and whether it is ready: for what supervises it.
//!
//! *Alive* is about the process alone: another one would not do better with a server that is down, so
//! no server's fault makes it fail. *Ready* is about the work: that what is committed is stored soon.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;

use super::BEHIND_FROM;
use super::state::{Phase, State};

/// The loop of the worker turns at least every second, whatever its servers do. One that has not for
/// this long is stuck.
const TURN_MAX: Duration = Duration::from_secs(60);

/// A sink that has batches and has answered for none in this time is stuck.
const SINK_SILENCE_MAX: Duration = Duration::from_secs(30);

/// A source that could not be asked for this long may have anything.
const READING_AGE_MAX: Duration = Duration::from_secs(60);

/// The answer to whether it is well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Verdict {
    /// `ok` or `failing`.
    status: &'static str,
    /// What is wrong.
    reasons: Vec<Reason>,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Reason {
    /// A word for programs, which keeps its meaning.
    code: &'static str,
    /// Since when it is so.
    since: Timestamp,
    /// For people.
    message: String,
}

impl Verdict {
    pub(super) fn is_ok(&self) -> bool {
        self.reasons.is_empty()
    }

    fn of(reasons: Vec<Reason>) -> Self {
        Self { status: if reasons.is_empty() { "ok" } else { "failing" }, reasons }
    }
}

/// Whether the process is alive.
pub(super) fn health(state: &State, now: Instant, clock: Timestamp) -> Verdict {
    let silence = now.saturating_duration_since(state.turned_at);
    let stuck = (silence > TURN_MAX).then(|| {
        let message = format!("the worker's loop has not turned for {} s", silence.as_secs());
        reason("stuck", silence, clock, message)
    });
    Verdict::of(stuck.into_iter().collect())
}

/// Whether what is committed is stored soon.
pub(super) fn readiness(state: &State, now: Instant, clock: Timestamp) -> Verdict {
    let reasons = [
        not_streaming(state, now, clock),
        sink_stuck(state, now, clock),
        source_silent(state, now, clock),
        behind(state, now, clock),
    ];
    Verdict::of(reasons.into_iter().flatten().collect())
}

fn not_streaming(state: &State, now: Instant, clock: Timestamp) -> Option<Reason> {
    let message = match state.phase {
        Phase::Streaming => return None,
        Phase::Starting => "it has not begun to stream".to_owned(),
        Phase::Interrupted(side) => {
            format!("it was interrupted by the {}, and tries again; the log says why", side.name())
        }
    };
    let lasting = now.saturating_duration_since(state.phase_since);
    Some(reason("not_streaming", lasting, clock, message))
}

fn sink_stuck(state: &State, now: Instant, clock: Timestamp) -> Option<Reason> {
    let silence = state.sink_silence(now);
    (silence > SINK_SILENCE_MAX).then(|| {
        let message = format!("the destination has stored nothing for {} s", silence.as_secs());
        reason("sink_stuck", silence, clock, message)
    })
}

fn source_silent(state: &State, now: Instant, clock: Timestamp) -> Option<Reason> {
    let asked_at = state.source.as_ref().map_or(state.started, |(_, at)| *at);
    let silence = now.saturating_duration_since(asked_at);
    (silence > READING_AGE_MAX).then(|| {
        let message = format!(
            "the source could not be asked how much there is to store for {} s",
            silence.as_secs()
        );
        reason("source_silent", silence, clock, message)
    })
}

fn behind(state: &State, now: Instant, clock: Timestamp) -> Option<Reason> {
    let Some(lag) = state.lag(now, clock) else {
        let lasting = now.saturating_duration_since(state.started);
        let message = "it is not known yet how far behind it is".to_owned();
        return Some(reason("lag_unknown", lasting, clock, message));
    };
    (lag > BEHIND_FROM).then(|| {
        let message = format!("it is {} s behind, or less", lag.as_secs());
        reason("behind", lag, clock, message)
    })
}

fn reason(code: &'static str, lasting: Duration, clock: Timestamp, message: String) -> Reason {
    // Only at the beginning of time itself could it be out of range.
    let since = clock.checked_sub(lasting).unwrap_or(clock);
    Reason { code, since, message }
}

#[cfg(test)]
mod tests {
    use bemi_core::Lsn;

    use super::super::Side;
    use super::super::state::SourceReading;
    use super::*;

    const CLOCK: Timestamp = Timestamp::UNIX_EPOCH;

    fn codes(verdict: &Verdict) -> Vec<&'static str> {
        verdict.reasons.iter().map(|reason| reason.code).collect()
    }

    /// A worker that streams and has stored everything up to 100 at `now`.
    fn well(now: Instant) -> State {
        let mut state = State::new(now, CLOCK);
        state.resume(Lsn::new(100), CLOCK);
        state.enter(Phase::Streaming, now);
        state.note_source(Some(SourceReading { flushed: Lsn::new(100), slot: None }), now);
        state
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_worker_that_streams_and_has_stored_everything_is_ready() {
        let now = Instant::now();
        let verdict = readiness(&well(now), now, CLOCK);
        assert!(verdict.is_ok(), "{verdict:?}");
        let json = serde_json::to_string(&verdict).unwrap();
        assert_eq!(json, r#"{"status":"ok","reasons":[]}"#);
    }

    #[test]
    fn one_that_starts_is_alive_and_not_ready() {
        let now = Instant::now();
        let state = State::new(now, CLOCK);
        assert!(health(&state, now, CLOCK).is_ok());
        assert_eq!(codes(&readiness(&state, now, CLOCK)), ["not_streaming", "lag_unknown"]);
    }

    #[test]
    fn an_interruption_is_told_with_its_side_and_since_when() {
        let start = Instant::now();
        let mut state = well(start);
        let broken = start + seconds(10);
        state.enter(Phase::Interrupted(Side::Destination), broken);
        state.enter(Phase::Interrupted(Side::Destination), broken + seconds(5));
        let later = readiness(&state, broken + seconds(20), CLOCK + seconds(30));
        assert_eq!(codes(&later), ["not_streaming"]);
        assert_eq!(later.reasons[0].since, CLOCK + seconds(10));
        assert!(later.reasons[0].message.contains("destination"), "{later:?}");
        assert!(health(&state, start, CLOCK).is_ok());
    }

    #[test]
    fn what_lasts_makes_it_behind_even_where_no_clock_can_be_trusted() {
        let start = Instant::now();
        let mut state = well(start);
        state.enter(Phase::Interrupted(Side::Destination), start);
        // As if the last commit were of the future.
        state.last_commit = Some(CLOCK + seconds(86_400));
        assert!(!codes(&readiness(&state, start + seconds(61), CLOCK)).contains(&"behind"));
        state.last_commit = None;
        assert!(codes(&readiness(&state, start + seconds(61), CLOCK)).contains(&"behind"));
    }

    #[test]
    fn a_sink_that_does_not_answer_is_stuck_and_one_without_batches_is_not() {
        let start = Instant::now();
        let mut state = well(start);
        let later = start + seconds(31);
        assert_eq!(codes(&readiness(&state, later, CLOCK)), [""; 0]);
        (state.at_sink, state.sink_answered_at) = (1, start);
        assert!(codes(&readiness(&state, later, CLOCK)).contains(&"sink_stuck"));
        assert!(health(&state, later, CLOCK).is_ok());
    }

    #[test]
    fn a_source_that_is_not_heard_of_is_told() {
        let start = Instant::now();
        let mut state = well(start);
        state.note_source(None, start + seconds(30));
        let reasons = codes(&readiness(&state, start + seconds(61), CLOCK));
        assert!(reasons.contains(&"source_silent"), "{reasons:?}");
    }

    #[test]
    fn a_loop_that_does_not_turn_is_the_one_thing_that_is_not_healthy() {
        let start = Instant::now();
        let state = well(start);
        assert!(health(&state, start + seconds(60), CLOCK).is_ok());
        assert_eq!(codes(&health(&state, start + seconds(61), CLOCK)), ["stuck"]);
    }
}
