//! Names of a replication slot and of publications, checked where they enter.
//!
//! Invariant: a name that is held here can stand in a replication command as it is. The replication
//! protocol has no parameters, and the server folds publication names that are not quoted.

use std::fmt;
use std::str::FromStr;

use super::ConfigError;

/// PostgreSQL's limit for identifiers, in bytes.
const IDENTIFIER_BYTES_MAX: usize = 63;

/// Leaves room for [`INSERT_ONLY_SUFFIX`].
const PUBLICATION_BYTES_MAX: usize = 51;

const INSERT_ONLY_SUFFIX: &str = "_insert_only";

/// The name of a replication slot: lower-case letters, digits and underscores, at most 63.
///
/// ```
/// use bemi_worker::config::SlotName;
///
/// assert_eq!("bemi_2".parse::<SlotName>().unwrap().as_str(), "bemi_2");
/// assert!("Bemi".parse::<SlotName>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SlotName(String);

/// The base name of the worker's two publications: a lower-case letter or underscore, then
/// lower-case letters, digits and underscores, at most 51 in all.
///
/// The publication of that name publishes all operations; [`Self::insert_only`] is for tables whose
/// UPDATE and DELETE cannot be published.
///
/// ```
/// use bemi_worker::config::PublicationName;
///
/// let name: PublicationName = "audit".parse().unwrap();
/// assert_eq!(name.both(), ["audit", "audit_insert_only"]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PublicationName(String);

impl SlotName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PublicationName {
    /// The name of the publication that publishes all operations.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the publication for tables without a usable replica identity.
    #[must_use]
    pub fn insert_only(&self) -> String {
        format!("{}{INSERT_ONLY_SUFFIX}", self.0)
    }

    /// Both names, in the order in which they are given to START_REPLICATION.
    #[must_use]
    pub fn both(&self) -> [String; 2] {
        [self.0.clone(), self.insert_only()]
    }
}

impl Default for SlotName {
    /// `bemi`.
    fn default() -> Self {
        Self("bemi".to_owned())
    }
}

impl Default for PublicationName {
    /// `bemi`.
    fn default() -> Self {
        Self("bemi".to_owned())
    }
}

impl FromStr for SlotName {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        let fits = (1..=IDENTIFIER_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_plain);
        if fits { Ok(Self(name.to_owned())) } else { Err(ConfigError::SlotName(name.to_owned())) }
    }
}

impl FromStr for PublicationName {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        let fits = (1..=PUBLICATION_BYTES_MAX).contains(&name.len())
            && name.bytes().all(is_plain)
            && !name.starts_with(|first: char| first.is_ascii_digit());
        if fits {
            Ok(Self(name.to_owned()))
        } else {
            Err(ConfigError::PublicationName(name.to_owned()))
        }
    }
}

impl fmt::Display for SlotName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for PublicationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_name_is_what_the_server_takes_and_nothing_else() {
        for good in ["bemi", "1", "_", "a_1", &"a".repeat(63)] {
            assert!(good.parse::<SlotName>().is_ok(), "{good}");
        }
        for bad in ["", "Bemi", "be-mi", "be mi", "bemi\"", "bemi;", "bémi", &"a".repeat(64)] {
            assert!(bad.parse::<SlotName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_publication_name_leaves_room_for_the_second_publication() {
        let longest: PublicationName = "a".repeat(51).parse().unwrap();
        assert_eq!(longest.insert_only().len(), 63);
        for bad in ["", "1a", "A", "a.b", "a,b", "a\"b", &"a".repeat(52)] {
            assert!(bad.parse::<PublicationName>().is_err(), "{bad}");
        }
    }
}
