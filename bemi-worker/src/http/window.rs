//! How far one question looks.
//!
//! A filter that little fulfils would have the server look through all of the record for one page, which
//! may take longer than a question is given. So a question is about a stretch of the WAL, and how long
//! the last one took says how long the next one is.

use std::time::Duration;

use bemi_core::record::Cursor;
use bemi_core::{CommitPosition, Lsn};

const BYTES_FIRST: u64 = 64 * 1024 * 1024;
const BYTES_MIN: u64 = 64 * 1024;

/// A question that took less could have looked further, and one that took more should not have.
const TIME_MIN: Duration = Duration::from_millis(50);
const TIME_MAX: Duration = Duration::from_secs(1);

/// The length of the stretch that the next question is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    bytes: u64,
}

impl Window {
    pub(super) fn new() -> Self {
        Self { bytes: BYTES_FIRST }
    }

    /// Up to where to look from that place.
    pub(super) fn end(self, place: Cursor) -> CommitPosition {
        CommitPosition(Lsn::new(place.commit_position.0.get().saturating_add(self.bytes)))
    }

    /// Takes note of how long a question took.
    pub(super) fn took(&mut self, time: Duration) {
        if time < TIME_MIN {
            self.bytes = self.bytes.saturating_mul(4);
        } else if time > TIME_MAX {
            self.shrink(4);
        }
    }

    /// Takes note of a question that took too long to be answered.
    pub(super) fn took_too_long(&mut self) {
        self.shrink(64);
    }

    fn shrink(&mut self, times: u64) {
        self.bytes = (self.bytes / times).max(BYTES_MIN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_any_length_is_looked_through_in_few_questions_where_there_is_little_in_it() {
        let mut window = Window::new();
        let mut place = Cursor::START;
        for _ in 0..32 {
            place = Cursor::behind(window.end(place));
            window.took(Duration::ZERO);
        }
        assert!(place.commit_position.0 >= Lsn::new(i64::MAX.unsigned_abs()));
    }

    #[test]
    fn questions_that_take_long_become_short_and_still_look_at_something() {
        let mut window = Window::new();
        window.took(Duration::from_millis(500));
        assert_eq!(window.bytes, BYTES_FIRST);
        window.took(Duration::from_secs(2));
        assert_eq!(window.bytes, BYTES_FIRST / 4);
        for _ in 0..10 {
            window.took_too_long();
        }
        assert!(window.end(Cursor::START).0 > Lsn::ZERO);
    }
}
