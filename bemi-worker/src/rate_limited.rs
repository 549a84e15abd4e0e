//! Says what is wrong without flooding the log: once, and then at most once a minute, with a count of
//! what was held back.
//!
//! One for each thing that can go wrong again and again. What is *well* again is said by whoever knows
//! it, once: see [`RateLimited::over`].
//!
//! Invariant: however often something goes wrong, and in however many ways, it takes one line a minute.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long to be silent after a line.
const SILENT_FOR: Duration = Duration::from_secs(60);

/// What may go wrong again and again.
///
/// ```ignore
/// match ask().await {
///     Err(error) => {
///         if let Some(held_back) = self.asking.say() {
///             warn!(cause = %error, held_back, "cannot ask the source; trying again until it works");
///         }
///     }
///     Ok(_) => {
///         if let Some(ended) = self.asking.over() {
///             info!(lasted_s = ended.lasted.as_secs(), held_back = ended.held_back, "the source answers again");
///         }
///     }
/// }
/// ```
#[derive(Debug, Default)]
pub(crate) struct RateLimited(Mutex<Option<Ill>>);

/// Something is wrong.
#[derive(Debug)]
struct Ill {
    since: Instant,
    told_at: Instant,
    held_back: u64,
}

/// Something was wrong, and is not any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// For how long it was.
    pub(crate) lasted: Duration,
    /// How many lines were held back since the last one that was said.
    pub(crate) held_back: u64,
}

impl RateLimited {
    /// Nothing went wrong yet.
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Whether to say now that it went wrong, with the number of lines that were held back since the
    /// last one; `None` where this one is held back.
    pub(crate) fn say(&self) -> Option<u64> {
        self.say_at(Instant::now())
    }

    /// Takes note that it is well. `None` where it was before, which is not worth a line.
    pub(crate) fn over(&self) -> Option<Ended> {
        self.over_at(Instant::now())
    }

    fn say_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.as_mut() {
            None => {
                *state = Some(Ill { since: now, told_at: now, held_back: 0 });
                Some(0)
            }
            Some(ill) if now.saturating_duration_since(ill.told_at) >= SILENT_FOR => {
                ill.told_at = now;
                Some(std::mem::take(&mut ill.held_back))
            }
            Some(ill) => {
                ill.held_back += 1;
                None
            }
        }
    }

    fn over_at(&self, now: Instant) -> Option<Ended> {
        let ill = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let lasted = now.saturating_duration_since(ill.since);
        Some(Ended { lasted, held_back: ill.held_back })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_said_at_once_and_the_next_after_a_minute_with_what_was_held_back() {
        let limited = RateLimited::default();
        let start = Instant::now();
        let at = |seconds| limited.say_at(start + Duration::from_secs(seconds));
        assert_eq!(at(0), Some(0));
        assert_eq!((at(1), at(30), at(59)), (None, None, None));
        assert_eq!(at(60), Some(3));
        assert_eq!((at(61), at(120)), (None, Some(1)));
    }

    #[test]
    fn what_is_over_is_said_once_and_what_begins_anew_is_said_at_once() {
        let limited = RateLimited::default();
        let start = Instant::now();
        assert_eq!(limited.over_at(start), None);
        limited.say_at(start);
        limited.say_at(start + Duration::from_secs(1));
        let ended = Ended { lasted: Duration::from_secs(5), held_back: 1 };
        assert_eq!(limited.over_at(start + Duration::from_secs(5)), Some(ended));
        assert_eq!(limited.over_at(start + Duration::from_secs(6)), None);
        assert_eq!(limited.say_at(start + Duration::from_secs(7)), Some(0));
    }

    #[test]
    fn a_thousand_failures_a_second_are_one_line_a_minute() {
        let limited = RateLimited::default();
        let start = Instant::now();
        let lines = (0..600_000)
            .filter(|ms| limited.say_at(start + Duration::from_millis(*ms)).is_some())
            .count();
        assert_eq!(lines, 10);
    }
}
