//! How long a partition of `changes` is.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::Deserialize;

use super::ConfigError;

/// How long a partition of `changes` is. All begin and end at midnight in UTC.
///
/// ```
/// use bemi_worker::config::PartitionBy;
///
/// let by: PartitionBy = "week".parse()?;
/// assert_eq!(by, PartitionBy::Week);
/// # Ok::<(), bemi_worker::config::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
#[non_exhaustive]
pub enum PartitionBy {
    /// A day.
    Day,
    /// A week, from Monday on.
    Week,
    /// A month of the calendar.
    Month,
}

impl PartitionBy {
    /// As it is said.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// How many are made ahead: for longer than anybody leaves a worker stopped without looking.
    pub(crate) const fn ahead(self) -> usize {
        match self {
            Self::Day => 7,
            Self::Week | Self::Month => 2,
        }
    }

    /// The midnight at which the partition of an instant begins.
    pub(crate) fn start(self, instant: Timestamp) -> Timestamp {
        let date = instant.to_zoned(TimeZone::UTC).date();
        let date = match self {
            Self::Day => date,
            Self::Week => {
                let days = i64::from(date.weekday().to_monday_zero_offset());
                date.saturating_sub(days.days())
            }
            Self::Month => date.first_of_month(),
        };
        midnight(date)
    }

    /// The midnight at which the partition of an instant ends: later than the instant.
    pub(crate) fn end(self, instant: Timestamp) -> Timestamp {
        let start = self.start(instant).to_zoned(TimeZone::UTC).date();
        midnight(match self {
            Self::Day => start.saturating_add(1.day()),
            Self::Week => start.saturating_add(7.days()),
            Self::Month => start.saturating_add(1.month()),
        })
    }
}

/// The midnight with which a day begins in UTC.
fn midnight(date: Date) -> Timestamp {
    // Of a date beyond what a timestamp can say.
    date.to_zoned(TimeZone::UTC).map_or(Timestamp::MAX, |zoned| zoned.timestamp())
}

impl FromStr for PartitionBy {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        [Self::Day, Self::Week, Self::Month]
            .into_iter()
            .find(|by| by.text() == text)
            .ok_or_else(|| ConfigError::PartitionBy(text.to_owned()))
    }
}

impl TryFrom<String> for PartitionBy {
    type Error = ConfigError;

    fn try_from(text: String) -> Result<Self, ConfigError> {
        text.parse()
    }
}

impl fmt::Display for PartitionBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_partition_begins_and_ends_at_midnight_in_utc() {
        let around = |by: PartitionBy, text| (by.start(at(text)), by.end(at(text)));
        let days =
            |from: &str, to: &str| (at(&format!("{from}T00:00Z")), at(&format!("{to}T00:00Z")));
        let late = "2026-11-22T23:59:59.999999Z";
        assert_eq!(around(PartitionBy::Day, late), days("2026-11-22", "2026-11-23"));
        assert_eq!(around(PartitionBy::Week, late), days("2026-11-16", "2026-11-23"));
        assert_eq!(around(PartitionBy::Month, late), days("2026-11-01", "2026-12-01"));
        let monday = "2026-11-23T00:00:00Z";
        assert_eq!(around(PartitionBy::Week, monday), days("2026-11-23", "2026-11-30"));
        let leap = "2028-02-29T12:00:00Z";
        assert_eq!(around(PartitionBy::Month, leap), days("2028-02-01", "2028-03-01"));
        let before_1970 = "1969-12-31T23:00:00Z";
        assert_eq!(around(PartitionBy::Day, before_1970), days("1969-12-31", "1970-01-01"));
    }

    #[test]
    fn the_end_of_one_is_the_start_of_the_next() {
        for by in [PartitionBy::Day, PartitionBy::Week, PartitionBy::Month] {
            let mut start = by.start(at("2026-01-31T10:00:00Z"));
            for _ in 0..40 {
                let end = by.end(start);
                assert!(end > start);
                assert_eq!(by.start(end), end);
                start = end;
            }
        }
    }
}
