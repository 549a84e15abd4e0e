//! A place in the record, between two changes.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Change, CommitPosition, Lsn, Sequence};

/// The place of a change in the order of all changes: what to go on from.
///
/// It is written `<commit_position>.<sequence>`, both as decimal numbers, as the columns have them:
/// fit for a URL, for the `Last-Event-ID` of server-sent events, and for a file.
///
/// ```
/// use bemi_core::record::Cursor;
///
/// let cursor: Cursor = "23813016.2".parse()?;
/// assert_eq!(cursor.commit_position.to_string(), "0/16B5B98");
/// assert_eq!(cursor.to_string(), "23813016.2");
/// # Ok::<(), bemi_core::record::InvalidCursor>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor {
    /// Where the transaction committed.
    pub commit_position: CommitPosition,
    /// The order inside the transaction.
    pub sequence: Sequence,
}

/// The text is not a [`Cursor`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a place in the record; one looks like 23813016.2")]
pub struct InvalidCursor(String);

impl Cursor {
    /// The place of the first change there could be, and before it.
    pub const START: Self =
        Self { commit_position: CommitPosition(Lsn::ZERO), sequence: Sequence(0) };

    /// The place behind every change of the transaction that committed there.
    #[must_use]
    pub const fn behind(commit_position: CommitPosition) -> Self {
        Self { commit_position, sequence: Sequence(i64::MAX) }
    }
}

impl Change {
    /// Its place in the order of all changes.
    #[must_use]
    pub const fn cursor(&self) -> Cursor {
        Cursor { commit_position: self.commit_position, sequence: self.sequence }
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let number = |digits: &str| {
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| digits.parse::<i64>().ok()).flatten()
        };
        text.split_once('.')
            .and_then(|(position, sequence)| Some((number(position)?, number(sequence)?)))
            .map(|(position, sequence)| Self {
                commit_position: CommitPosition(Lsn::from_bigint(position)),
                sequence: Sequence(sequence),
            })
            .ok_or_else(|| InvalidCursor(text.to_owned()))
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.commit_position.0.to_bigint(), self.sequence.0)
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let end = Cursor::behind(CommitPosition(Lsn::from_bigint(i64::MAX)));
        for cursor in [Cursor::START, end] {
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
            let json = serde_json::to_string(&cursor).unwrap();
            assert_eq!(serde_json::from_str::<Cursor>(&json).unwrap(), cursor);
        }
    }

    #[test]
    fn the_order_is_that_of_commits_and_then_that_inside_the_transaction() {
        let at = |text: &str| text.parse::<Cursor>().unwrap();
        assert!(at("9.10") < at("10.1") && at("10.1") < at("10.2"));
        assert!(at("10.9") < Cursor::behind(at("10.1").commit_position));
    }

    #[test]
    fn what_is_no_place_is_an_error() {
        for text in ["", ".", "1", "1.", ".1", "-1.1", "1.-1", "+1.1", "1.1.1", "0/1.1", " 1.1"] {
            assert!(text.parse::<Cursor>().is_err(), "{text}");
        }
        assert!("9223372036854775808.1".parse::<Cursor>().is_err());
    }
}
