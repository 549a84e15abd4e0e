//! For how long changes are kept.

use std::fmt;
use std::str::FromStr;

use jiff::{Timestamp, ToSpan};
use serde::Deserialize;

use super::{ConfigError, PartitionBy};

/// For how long changes are kept, in days: `90d`, `12w`.
///
/// ```
/// use bemi_worker::config::Retention;
///
/// let retention: Retention = "12w".parse()?;
/// assert_eq!(retention.days(), 84);
/// assert_eq!(retention.to_string(), "84d");
/// # Ok::<(), bemi_worker::config::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Retention {
    days: u16,
}

impl Retention {
    /// How many days.
    #[must_use]
    pub const fn days(self) -> u16 {
        self.days
    }

    /// Before this instant nothing need be kept.
    pub(crate) fn horizon(self, now: Timestamp) -> Timestamp {
        let hours = i64::from(self.days) * 24;
        now.checked_sub(hours.hours()).unwrap_or(Timestamp::MIN)
    }

    /// The last midnight in UTC that is not behind the [horizon](Self::horizon).
    pub(crate) fn midnight(self, now: Timestamp) -> Timestamp {
        PartitionBy::Day.start(self.horizon(now))
    }
}

impl FromStr for Retention {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let failed = || ConfigError::Retention(text.to_owned());
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: u16 = number.parse().map_err(|_| failed())?;
        let days = match unit {
            "d" => Some(number),
            "w" => number.checked_mul(7),
            _ => None,
        };
        days.filter(|days| *days > 0).map(|days| Self { days }).ok_or_else(failed)
    }
}

impl TryFrom<String> for Retention {
    type Error = ConfigError;

    fn try_from(text: String) -> Result<Self, ConfigError> {
        text.parse()
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}d", self.days)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_in_days_or_weeks_and_never_nothing() {
        let days = |text: &str| text.parse::<Retention>().map(Retention::days).ok();
        assert_eq!((days("90d"), days("1d"), days("12w")), (Some(90), Some(1), Some(84)));
        for text in ["", "d", "0d", "90", "-1d", "1.5d", "3 d", "90m", "99999w"] {
            assert_eq!(days(text), None, "{text}");
        }
    }

    #[test]
    fn whole_days_are_dropped_alone() {
        let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let retention: Retention = "1d".parse().unwrap();
        assert_eq!(retention.horizon(now), "2026-11-21T10:00:00Z".parse().unwrap());
        assert_eq!(retention.midnight(now), "2026-11-21T00:00:00Z".parse().unwrap());
    }
}
