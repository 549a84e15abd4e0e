//! How long to wait before trying again.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

const FIRST_WAIT: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Waits that double up to a cap, each shortened by up to half at random, so that workers that
/// lost one server do not all come back at once.
#[derive(Debug)]
pub(crate) struct Backoff {
    wait: Duration,
    random: RandomState,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { wait: FIRST_WAIT, random: RandomState::new() }
    }
}

impl Backoff {
    pub(crate) fn next_wait(&mut self) -> Duration {
        let full = self.wait;
        self.wait = (full * 2).min(WAIT_MAX);
        // The standard library's one source of randomness: hash keys.
        let share = u32::try_from(self.random.hash_one(full) % 1000).unwrap_or(0);
        full - full / 2 * share / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_never_below_half() {
        let mut backoff = Backoff::default();
        for doublings in 0..20 {
            let full = (FIRST_WAIT * 2_u32.pow(doublings)).min(WAIT_MAX);
            let wait = backoff.next_wait();
            assert!(wait <= full && wait >= full / 2, "{wait:?} of {full:?}");
        }
    }
}
