//! The identity of a change: a UUID that orders by time and that a replay makes again.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{CommitPosition, Sequence};

/// A change's id: a UUID of version 8 ([RFC 9562, section 5.8]).
///
/// Its first 48 bits are the milliseconds of the commit time since 1970, so ids order by time. The
/// other 74 bits that the format leaves free are the first ones of a SHA-256 hash over the
/// [`Origin`] and the change's place in it, so that storing the same stretch of WAL again gives the
/// same ids.
///
/// [RFC 9562, section 5.8]: https://www.rfc-editor.org/rfc/rfc9562#section-5.8
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChangeId(Uuid);

/// Where changes come from: one database of one cluster, on one timeline.
///
/// ```
/// use bemi_core::{ChangeId, CommitPosition, Lsn, Origin, Sequence};
///
/// let origin = Origin::new(7_301_245_613_587_812_348, 1, "shop");
/// let at = jiff::Timestamp::from_second(1_700_000_000)?;
/// let commit = CommitPosition(Lsn::new(0x16_B374_D848));
/// let id = origin.change_id(at, commit, Sequence(1));
/// assert_eq!(id, origin.change_id(at, commit, Sequence(1)));
/// assert_ne!(id, origin.change_id(at, commit, Sequence(2)));
/// # Ok::<(), jiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Origin {
    /// The hash over what all changes of this origin share.
    hash: Sha256,
}

impl Origin {
    /// The origin of that system identifier, timeline and database.
    #[must_use]
    pub fn new(system_identifier: u64, timeline: u32, database: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(system_identifier.to_be_bytes());
        hash.update(timeline.to_be_bytes());
        // The text ends what is shared; what follows it has a fixed length, so no two inputs meet.
        hash.update(database.as_bytes());
        Self { hash }
    }

    /// The id of the change at that place.
    #[must_use]
    pub fn change_id(
        &self,
        committed_at: Timestamp,
        commit_position: CommitPosition,
        sequence: Sequence,
    ) -> ChangeId {
        let mut hash = self.hash.clone();
        hash.update(commit_position.0.get().to_be_bytes());
        hash.update(sequence.0.to_be_bytes());
        let [h0, h1, h2, h3, h4, h5, h6, h7, h8, h9, ..] = <[u8; 32]>::from(hash.finalize());
        // Before 1970 is before any commit.
        let milliseconds = u64::try_from(committed_at.as_millisecond()).unwrap_or(0);
        let [_, _, t0, t1, t2, t3, t4, t5] = milliseconds.to_be_bytes();
        ChangeId(Uuid::from_bytes([
            t0,
            t1,
            t2,
            t3,
            t4,
            t5,
            0x80 | (h0 & 0x0F),
            h1,
            0x80 | (h2 & 0x3F),
            h3,
            h4,
            h5,
            h6,
            h7,
            h8,
            h9,
        ]))
    }
}

impl ChangeId {
    /// As a UUID.
    #[must_use]
    pub const fn as_uuid(&self) -> Uuid {
        self.0
    }

    /// When its transaction committed, cut to the millisecond.
    #[must_use]
    pub fn committed_at(&self) -> Timestamp {
        let [t0, t1, t2, t3, t4, t5, ..] = *self.0.as_bytes();
        let milliseconds = i64::from_be_bytes([0, 0, t0, t1, t2, t3, t4, t5]);
        // What no clock shows is no time of a commit.
        Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::MAX)
    }
}

impl From<Uuid> for ChangeId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl FromStr for ChangeId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

impl fmt::Display for ChangeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Lsn;

    fn id(millisecond: i64, commit: u64, sequence: i64) -> ChangeId {
        Origin::new(1, 1, "db").change_id(
            Timestamp::from_millisecond(millisecond).unwrap(),
            CommitPosition(Lsn::new(commit)),
            Sequence(sequence),
        )
    }

    #[test]
    fn it_is_a_version_8_uuid_that_starts_with_the_time() {
        let uuid = id(0x0123_4567_89AB, 1, 1).as_uuid();
        assert_eq!(uuid.get_version_num(), 8);
        assert_eq!(uuid.get_variant(), uuid::Variant::RFC4122);
        assert!(uuid.to_string().starts_with("01234567-89ab-8"), "{uuid}");
        let at = Timestamp::from_millisecond(0x0123_4567_89AB).unwrap();
        assert_eq!(ChangeId::from(uuid).committed_at(), at);
    }

    #[test]
    fn it_orders_by_time_and_never_repeats_in_a_transaction() {
        assert!(id(1000, 9, 9) < id(1001, 1, 1));
        let ids: std::collections::HashSet<_> = (1..10_000).map(|n| id(1, 1, n)).collect();
        assert_eq!(ids.len(), 9_999);
    }

    #[test]
    fn every_part_of_the_origin_counts() {
        let at = Timestamp::UNIX_EPOCH;
        let ids: std::collections::HashSet<_> = [
            Origin::new(1, 1, "db"),
            Origin::new(2, 1, "db"),
            Origin::new(1, 2, "db"),
            Origin::new(1, 1, "d"),
        ]
        .iter()
        .map(|origin| origin.change_id(at, CommitPosition::default(), Sequence(1)))
        .collect();
        assert_eq!(ids.len(), 4);
    }

    /// The id is a contract: other programs may compute it. This pins it.
    #[test]
    fn it_never_changes_between_versions() {
        assert_eq!(
            id(1_700_000_000_000, 0x16B3_74D8, 7).to_string(),
            "018bcfe5-6800-8a40-9b52-e72401e8144d"
        );
    }
}
