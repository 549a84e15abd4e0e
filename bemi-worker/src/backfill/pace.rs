//! How fast rows are stored at most.

use std::time::Duration;

use tokio::time::Instant;

/// Spreads rows over time.
#[derive(Debug)]
pub(super) struct Pace {
    rows_per_second_max: u32,
    /// When the rows stored so far may have taken their time.
    due: Instant,
}

impl Pace {
    /// At most that many rows in a second; any number, if 0.
    pub(super) fn new(rows_per_second_max: u32) -> Self {
        Self { rows_per_second_max, due: Instant::now() }
    }

    /// Notes that rows were stored. The next ones may be when the returned moment has come. What
    /// was slower than it might be is not made up for.
    pub(super) fn note(&mut self, rows: u64) -> Instant {
        let now = Instant::now();
        if self.rows_per_second_max > 0 {
            let microseconds = rows.saturating_mul(1_000_000) / u64::from(self.rows_per_second_max);
            self.due += Duration::from_micros(microseconds);
        }
        self.due = self.due.max(now);
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn rows_take_the_time_that_the_rate_gives_them() {
        let start = Instant::now();
        let mut pace = Pace::new(1_000);
        assert_eq!(pace.note(500) - start, Duration::from_millis(500));
        tokio::time::advance(Duration::from_millis(500)).await;
        assert_eq!(pace.note(1_000) - start, Duration::from_millis(1_500));
    }

    #[tokio::test(start_paused = true)]
    async fn time_that_was_lost_is_not_made_up_for() {
        let mut pace = Pace::new(1_000);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(pace.note(10), Instant::now());
        let now = Instant::now();
        assert_eq!(pace.note(10) - now, Duration::from_millis(10));
    }

    #[tokio::test(start_paused = true)]
    async fn zero_is_no_limit() {
        assert_eq!(Pace::new(0).note(u64::MAX), Instant::now());
    }
}
