//! A point in time, as people name it.

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};

use crate::{ChangeId, Lsn, TransactionId};

/// A moment of the past. It [resolves](super::Record) to a commit position: what it shows is always
/// a whole number of transactions, the first ones in the order of commits.
///
/// | text | means |
/// | --- | --- |
/// | `2026-11-21T10:00:00Z` | an instant, by the source's clock |
/// | `-2h`, `-90s`, `-1d12h`, `now` | as long ago |
/// | `@lsn:0/16B3748` | everything that had committed at that position of the WAL |
/// | `@tx:740` | after that transaction; the last one that had this id |
/// | `@change:01890a5d-…` | after the transaction of that change |
/// | `@before:tx:740`, `@before:change:…`, `@before:lsn:…` | just before it |
///
/// ```
/// use bemi_core::record::Point;
///
/// let point: Point = "@before:tx:740".parse()?;
/// assert_eq!(point.to_string(), "@before:tx:740");
/// assert!("-2h".parse::<Point>().is_ok());
/// assert!("yesterday".parse::<Point>().is_err());
/// # Ok::<(), bemi_core::record::InvalidPoint>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Point {
    /// An instant by the source's clock: after the last transaction that had committed then.
    At(Timestamp),
    /// As long before now.
    Ago(SignedDuration),
    /// After everything that had committed at that position.
    Lsn(Lsn),
    /// Just before the transaction that committed at that position, or behind it.
    BeforeLsn(Lsn),
    /// After that transaction.
    Transaction(TransactionId),
    /// Just before that transaction.
    BeforeTransaction(TransactionId),
    /// After the transaction of that change.
    Change(ChangeId),
    /// Just before the transaction of that change.
    BeforeChange(ChangeId),
}

/// The text is not a point in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not a point in time; one looks like 2026-11-21T10:00:00Z, -2h, now, @lsn:0/16B3748, @tx:740, @change:ID or @before:tx:740"
)]
pub struct InvalidPoint(String);

impl FromStr for Point {
    type Err = InvalidPoint;

    fn from_str(text: &str) -> Result<Self, InvalidPoint> {
        read(text.trim()).ok_or_else(|| InvalidPoint(text.to_owned()))
    }
}

fn read(text: &str) -> Option<Point> {
    if text.eq_ignore_ascii_case("now") {
        return Some(Point::Ago(SignedDuration::ZERO));
    }
    if let Some(place) = text.strip_prefix('@') {
        let (place, before) = match place.strip_prefix("before:") {
            Some(place) => (place, true),
            None => (place, false),
        };
        let (kind, value) = place.split_once(':')?;
        return Some(match (kind, before) {
            ("lsn", false) => Point::Lsn(value.parse().ok()?),
            ("lsn", true) => Point::BeforeLsn(value.parse().ok()?),
            ("tx", false) => Point::Transaction(TransactionId(value.parse().ok()?)),
            ("tx", true) => Point::BeforeTransaction(TransactionId(value.parse().ok()?)),
            ("change", false) => Point::Change(value.parse().ok()?),
            ("change", true) => Point::BeforeChange(value.parse().ok()?),
            _ => return None,
        });
    }
    if let Some(ago) = text.strip_prefix('-') {
        return duration(ago).map(Point::Ago);
    }
    text.parse().ok().map(Point::At)
}

/// `1d12h`: numbers with units, the largest first or not.
fn duration(text: &str) -> Option<SignedDuration> {
    let mut rest = text;
    let mut total = SignedDuration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, behind) = rest.split_at_checked(digits)?;
        let units = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at_checked(units)?;
        let seconds = match unit {
            "s" => 1,
            "m" | "min" => 60,
            "h" => 3_600,
            "d" => 86_400,
            "w" => 604_800,
            _ => return None,
        };
        let seconds = number.parse::<i64>().ok()?.checked_mul(seconds)?;
        total = total.checked_add(SignedDuration::from_secs(seconds))?;
        rest = behind;
    }
    (!text.is_empty()).then_some(total)
}

impl fmt::Display for Point {
    /// As it is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(instant) => instant.fmt(f),
            Self::Ago(time) if time.is_zero() => f.write_str("now"),
            Self::Ago(time) => write!(f, "-{}s", time.as_secs()),
            Self::Lsn(lsn) => write!(f, "@lsn:{lsn}"),
            Self::BeforeLsn(lsn) => write!(f, "@before:lsn:{lsn}"),
            Self::Transaction(id) => write!(f, "@tx:{id}"),
            Self::BeforeTransaction(id) => write!(f, "@before:tx:{id}"),
            Self::Change(id) => write!(f, "@change:{id}"),
            Self::BeforeChange(id) => write!(f, "@before:change:{id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for text in [
            "2026-11-21T10:00:00Z",
            "now",
            "-5400s",
            "@lsn:0/16B3748",
            "@before:lsn:0/16B3748",
            "@tx:740",
            "@before:tx:740",
            "@change:01890a5d-ac96-874b-bcce-b302099a8057",
            "@before:change:01890a5d-ac96-874b-bcce-b302099a8057",
        ] {
            assert_eq!(text.parse::<Point>().unwrap().to_string(), text);
        }
        assert_eq!("-1d12h".parse::<Point>().unwrap().to_string(), "-129600s");
        assert_eq!("-90min".parse(), "-1h30m".parse::<Point>());
    }

    #[test]
    fn what_is_no_point_is_an_error() {
        for text in [
            "",
            "-",
            "-2",
            "-h",
            "-2y",
            "2h",
            "--2h",
            "-9223372036854775807w",
            "@",
            "@tx",
            "@tx:",
            "@tx:-1",
            "@lsn:x",
            "@before:",
            "@before:before:tx:1",
            "@change:1",
            "yesterday",
            "10:00",
        ] {
            assert!(text.parse::<Point>().is_err(), "{text}");
        }
    }
}
