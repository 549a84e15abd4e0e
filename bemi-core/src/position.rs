//! Positions in the WAL and in the record, each a type of its own.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A log sequence number: a byte position in the WAL. Written as PostgreSQL writes it, `16/B374D848`.
///
/// ```
/// use bemi_core::Lsn;
///
/// let lsn: Lsn = "16/B374D848".parse()?;
/// assert_eq!(lsn, Lsn::new(0x16_B374_D848));
/// assert_eq!(lsn.to_string(), "16/B374D848");
/// # Ok::<(), bemi_core::InvalidLsn>(())
/// ```
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Lsn(u64);

/// The text is not a log sequence number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a log sequence number; one looks like 16/B374D848")]
pub struct InvalidLsn(String);

impl Lsn {
    /// The position that means none.
    pub const ZERO: Self = Self(0);

    /// The position of this byte of the WAL.
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The byte of the WAL.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// As a `bigint` column holds it. The WAL would have to exceed 8 EiB for this to saturate.
    #[must_use]
    pub fn to_bigint(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// From a `bigint` column; a negative number is no position, and becomes [`Lsn::ZERO`].
    #[must_use]
    pub fn from_bigint(value: i64) -> Self {
        Self(u64::try_from(value).unwrap_or(0))
    }

    /// How many bytes of WAL lie between `earlier` and this; 0 if it is not earlier.
    #[must_use]
    pub const fn bytes_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

impl FromStr for Lsn {
    type Err = InvalidLsn;

    fn from_str(text: &str) -> Result<Self, InvalidLsn> {
        let half = |digits: &str| {
            let plain = digits.len() <= 8 && digits.bytes().all(|b| b.is_ascii_hexdigit());
            plain.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
        };
        text.split_once('/')
            .and_then(|(high, low)| Some((half(high)?, half(low)?)))
            .map(|(high, low)| Self(u64::from(high) << 32 | u64::from(low)))
            .ok_or_else(|| InvalidLsn(text.to_owned()))
    }
}

/// Where a transaction committed: the LSN of its commit record. Orders transactions as the
/// database committed them, which the LSNs of their changes do not.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct CommitPosition(pub Lsn);

impl fmt::Display for CommitPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The order of a change inside its transaction, from 1. With the [`CommitPosition`], it is the
/// total order of changes and a change's identity.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Sequence(pub i64);

/// A transaction id, 32 bits as the WAL has it. It wraps: good for display and for grouping, not
/// an identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TransactionId(pub u32);

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_not_an_lsn_is_an_error() {
        for text in
            ["", "/", "0", "0/", "/0", "0/+1", "-1/0", "0/0/0", "123456789/0", "0/G", "0/ 1"]
        {
            assert_eq!(text.parse::<Lsn>(), Err(InvalidLsn(text.to_owned())));
        }
    }

    proptest! {
        #[test]
        fn text_and_bigint_give_the_position_back(bytes in 0..=i64::MAX as u64) {
            let lsn = Lsn::new(bytes);
            prop_assert_eq!(lsn.to_string().parse::<Lsn>().unwrap(), lsn);
            prop_assert_eq!(Lsn::from_bigint(lsn.to_bigint()), lsn);
        }
    }
}
