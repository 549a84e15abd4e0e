//! How much WAL the source may keep for the slot, and what is to happen then.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use super::ConfigError;

/// What a size may end in, as PostgreSQL's own settings do: the unit, and its power of two.
const UNITS: [(&str, u32); 5] = [("TB", 40), ("GB", 30), ("MB", 20), ("kB", 10), ("B", 0)];

/// A number of bytes, as `50GB` says it. Units are as those of PostgreSQL's settings: 1 kB is 1024 bytes.
///
/// ```
/// use bemi_worker::config::ByteSize;
///
/// let size: ByteSize = "64MB".parse()?;
/// assert_eq!(size, ByteSize::new(64 * 1024 * 1024));
/// assert_eq!(size.to_string(), "64MB");
/// # Ok::<(), bemi_worker::config::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct ByteSize(u64);

/// What happens when the source keeps more WAL for the slot than it should.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
#[non_exhaustive]
pub enum OnMaxRetainedWal {
    /// The slot keeps its WAL, and the log says so as long as that lasts. Nothing is lost, and the disk
    /// of the source may fill up.
    #[default]
    Keep,
    /// The slot is dropped, so that the source can remove the WAL. What was in it is lost, and recorded
    /// as a gap.
    GiveUp,
}

/// How much WAL the source may keep for the slot, and what happens then.
///
/// ```
/// use bemi_worker::config::{OnMaxRetainedWal, RetainedWal};
///
/// assert_eq!(RetainedWal::default().max.to_string(), "10GB");
/// let limit = RetainedWal::new("50GB".parse()?, OnMaxRetainedWal::GiveUp);
/// # Ok::<(), bemi_worker::config::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetainedWal {
    /// More than this is too much.
    pub max: ByteSize,
    /// What happens then.
    pub on_max: OnMaxRetainedWal,
}

impl ByteSize {
    /// That many bytes.
    #[must_use]
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// How many bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// For people: in the largest unit that leaves two digits, which its exact size may not be.
    pub(crate) fn rounded(self) -> String {
        let unit = UNITS.iter().find(|(_, shift)| self.0 >> shift >= 10).copied();
        let (unit, shift) = unit.unwrap_or(("B", 0));
        format!("{} {unit}", self.0 >> shift)
    }
}

impl FromStr for ByteSize {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let failed = || ConfigError::Size(text.to_owned());
        let trimmed = text.trim();
        let digits = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(digits);
        let unit = unit.trim();
        let (_, shift) =
            UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or_else(failed)?;
        let number: u64 = number.parse().map_err(|_| failed())?;
        number.checked_mul(1 << shift).filter(|bytes| *bytes > 0).map(Self).ok_or_else(failed)
    }
}

impl fmt::Display for ByteSize {
    /// In the largest unit of which it is a whole number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = UNITS.iter().find(|(_, shift)| self.0 > 0 && self.0.is_multiple_of(1 << shift));
        let (unit, shift) = whole.copied().unwrap_or(("B", 0));
        write!(f, "{}{unit}", self.0 >> shift)
    }
}

impl TryFrom<String> for ByteSize {
    type Error = ConfigError;

    fn try_from(text: String) -> Result<Self, ConfigError> {
        text.parse()
    }
}

impl FromStr for OnMaxRetainedWal {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match text {
            "keep" => Ok(Self::Keep),
            "give-up" => Ok(Self::GiveUp),
            _ => Err(ConfigError::OnMaxRetainedWal(text.to_owned())),
        }
    }
}

impl TryFrom<String> for OnMaxRetainedWal {
    type Error = ConfigError;

    fn try_from(text: String) -> Result<Self, ConfigError> {
        text.parse()
    }
}

impl RetainedWal {
    /// That much, and then that.
    #[must_use]
    pub const fn new(max: ByteSize, on_max: OnMaxRetainedWal) -> Self {
        Self { max, on_max }
    }

    /// What is not given is as [`Self::default`] has it. Nothing is given up at a limit that nobody has set.
    pub(crate) fn resolve(
        max: Option<ByteSize>,
        on_max: Option<OnMaxRetainedWal>,
    ) -> Result<Self, ConfigError> {
        let on_max = on_max.unwrap_or_default();
        if max.is_none() && on_max == OnMaxRetainedWal::GiveUp {
            return Err(ConfigError::GiveUpWithoutLimit);
        }
        Ok(Self::new(max.unwrap_or(Self::default().max), on_max))
    }
}

impl Default for RetainedWal {
    /// 10 GB, which are kept, and told of.
    fn default() -> Self {
        Self::new(ByteSize::new(10 << 30), OnMaxRetainedWal::Keep)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_said_as_postgresql_says_it() {
        let bytes = |text: &str| text.parse::<ByteSize>().map(ByteSize::bytes).ok();
        assert_eq!(bytes("512B"), Some(512));
        assert_eq!(bytes("3kB"), Some(3 << 10));
        assert_eq!(bytes("64 mb"), Some(64 << 20));
        assert_eq!(bytes("50GB"), Some(50 << 30));
        assert_eq!(bytes("2TB"), Some(2 << 40));
        for text in ["", "50", "GB", "0GB", "-1GB", "1.5GB", "50GiB", "99999999999TB"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }

    #[test]
    fn a_size_is_told_in_the_largest_unit_that_fits() {
        let told = [512, 3 << 10, 1536, 10 << 30].map(|bytes| ByteSize::new(bytes).to_string());
        assert_eq!(told, ["512B", "3kB", "1536B", "10GB"]);
    }

    #[test]
    fn for_people_a_size_has_few_digits() {
        let told = [0, 10_239, 10_240, 20_000_000].map(|bytes| ByteSize::new(bytes).rounded());
        assert_eq!(told, ["0 B", "10239 B", "10 kB", "19 MB"]);
    }

    #[test]
    fn a_slot_is_given_up_at_a_limit_that_somebody_has_set_and_at_no_other() {
        let give_up = Some(OnMaxRetainedWal::GiveUp);
        let refused = RetainedWal::resolve(None, give_up);
        assert!(matches!(refused, Err(ConfigError::GiveUpWithoutLimit)));
        let max = ByteSize::new(1 << 30);
        let limit = RetainedWal::resolve(Some(max), give_up).unwrap();
        assert_eq!(limit, RetainedWal::new(max, OnMaxRetainedWal::GiveUp));
        assert_eq!(RetainedWal::resolve(None, None).unwrap(), RetainedWal::default());
    }
}
