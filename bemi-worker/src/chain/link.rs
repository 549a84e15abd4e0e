//! A link of the chain, and its hash.
//!
//! Invariant: everything that a link says is in its hash, each part with its length before it, so that
//! no two links that say something else have the same bytes.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use jiff::civil::Date;
use sha2::{Digest, Sha256};

use super::{Piece, Place};
use crate::config::ChainKey;

/// A SHA-256 hash, or an HMAC by it.
pub(crate) type Hash = [u8; 32];

/// Tells links from everything else that is hashed, and this form from later ones.
const LINK_PREFIX: &[u8] = b"bemi.link.1";

/// What a key is told by, without being shown.
const KEY_CHECK: &[u8] = b"bemi.key.1";

/// What a link is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// From here on everything that is stored is covered.
    Begin,
    /// Rows were stored.
    Rows,
    /// An erasure begins.
    Erasure,
    /// Rows were erased, and are now as this says.
    Erased,
    /// Retention drops what is older.
    Expired,
    /// From here on nothing is covered.
    End,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] =
        [Self::Begin, Self::Rows, Self::Erasure, Self::Erased, Self::Expired, Self::End];

    /// As the table has it.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::Rows => "rows",
            Self::Erasure => "erasure",
            Self::Erased => "erased",
            Self::Expired => "expired",
            Self::End => "end",
        }
    }

    pub(crate) fn of_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.text() == text)
    }
}

/// What a link says; its number and the link before it are the chain's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) kind: Kind,
    /// The UTC day of its rows; of a link without rows, that on which it was made.
    pub(crate) day: Date,
    pub(crate) covered: Option<Covered>,
    /// JSON.
    pub(crate) note: Option<String>,
    pub(crate) made_at: Timestamp,
}

/// The rows of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Covered {
    pub(crate) piece: i64,
    pub(crate) first: Place,
    pub(crate) last: Place,
    pub(crate) row_count: i32,
    /// The hash over the entries.
    pub(crate) digest: Hash,
}

impl Covered {
    pub(crate) fn of(piece: &Piece, number: i64) -> Self {
        Self {
            piece: number,
            first: piece.first,
            last: piece.last,
            row_count: i32::try_from(piece.len()).unwrap_or(i32::MAX),
            digest: piece.digest(),
        }
    }
}

impl Link {
    /// A link made now, without rows.
    pub(crate) fn noting(kind: Kind, note: String) -> Self {
        let made_at = now();
        Self { kind, day: utc_day(made_at), covered: None, note: Some(note), made_at }
    }

    /// A link over rows of that day, made now.
    pub(crate) fn covering(kind: Kind, day: Date, covered: Covered, note: Option<String>) -> Self {
        Self { kind, day, covered: Some(covered), note, made_at: now() }
    }

    /// Its hash, at that place of the chain of `slot`; an HMAC, with a key.
    pub(crate) fn hash(
        &self,
        slot: &str,
        number: i64,
        previous: Option<&Hash>,
        key: Option<&ChainKey>,
    ) -> Hash {
        let mut bytes = Vec::with_capacity(256);
        let mut part = |part: Option<&[u8]>| {
            let length = part.map_or(u64::MAX, |part| part.len() as u64);
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(part.unwrap_or_default());
        };
        part(Some(LINK_PREFIX));
        part(Some(&[u8::from(key.is_some())]));
        part(Some(slot.as_bytes()));
        part(Some(&number.to_be_bytes()));
        part(previous.map(<[u8; 32]>::as_slice));
        part(Some(self.kind.text().as_bytes()));
        part(Some(self.day.to_string().as_bytes()));
        part(self.note.as_deref().map(str::as_bytes));
        part(Some(&self.made_at.as_microsecond().to_be_bytes()));
        if let Some(covered) = &self.covered {
            part(Some(&covered.piece.to_be_bytes()));
            for place in [covered.first, covered.last] {
                part(Some(&place.commit_position.to_be_bytes()));
                part(Some(&place.sequence.to_be_bytes()));
            }
            part(Some(&covered.row_count.to_be_bytes()));
            part(Some(&covered.digest));
        }
        match key {
            Some(key) => signed(key, &bytes),
            None => Sha256::digest(&bytes).into(),
        }
    }
}

/// What tells a key from another one, without showing it.
pub(crate) fn key_check(key: &ChainKey) -> Hash {
    signed(key, KEY_CHECK)
}

/// A hash that only who has the key can make.
pub(crate) fn signed(key: &ChainKey, bytes: &[u8]) -> Hash {
    #[allow(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let keyed = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("any length");
    keyed.chain_update(bytes).finalize().into_bytes().into()
}

/// The moment, as the table can hold it.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}

/// The UTC day of a moment.
pub(crate) fn utc_day(at: Timestamp) -> Date {
    at.to_zoned(jiff::tz::TimeZone::UTC).date()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link {
        let at = Timestamp::from_microsecond(1_700_000_000_000_000).unwrap();
        let mut piece = Piece::default();
        let place = Place { commit_position: 9, sequence: 1 };
        piece.push(uuid::Uuid::from_u128(7), place, [1; 16], b"digest");
        Link {
            kind: Kind::Rows,
            day: utc_day(at),
            covered: Some(Covered::of(&piece, 3)),
            note: None,
            made_at: at,
        }
    }

    #[test]
    fn everything_that_a_link_says_is_in_its_hash() {
        let key = ChainKey::new("0123456789abcdef").unwrap();
        let hash = |link: &Link| link.hash("bemi", 5, Some(&[1; 32]), None);
        let original = hash(&link());
        let others: [fn(&mut Link); 10] = [
            |link| link.kind = Kind::Erased,
            |link| link.day = link.day.tomorrow().unwrap(),
            |link| link.note = Some(String::new()),
            |link| link.made_at = Timestamp::UNIX_EPOCH,
            |link| link.covered = None,
            |link| link.covered.as_mut().unwrap().piece = 4,
            |link| link.covered.as_mut().unwrap().first.sequence = 0,
            |link| link.covered.as_mut().unwrap().last.commit_position = 10,
            |link| link.covered.as_mut().unwrap().row_count = 2,
            |link| link.covered.as_mut().unwrap().digest = [0; 32],
        ];
        for (index, change) in others.iter().enumerate() {
            let mut other = link();
            change(&mut other);
            assert_ne!(hash(&other), original, "{index}");
        }
        assert_ne!(link().hash("other", 5, Some(&[1; 32]), None), original);
        assert_ne!(link().hash("bemi", 6, Some(&[1; 32]), None), original);
        assert_ne!(link().hash("bemi", 5, Some(&[2; 32]), None), original);
        assert_ne!(link().hash("bemi", 5, None, None), original);
        assert_ne!(link().hash("bemi", 5, Some(&[1; 32]), Some(&key)), original);
    }

    #[test]
    fn another_key_makes_another_hash() {
        let [one, other] =
            ["0123456789abcdef", "0123456789abcdeg"].map(|key| ChainKey::new(key).unwrap());
        let hash = |key| link().hash("bemi", 1, None, Some(key));
        assert_ne!(hash(&one), hash(&other));
        assert_ne!(key_check(&one), key_check(&other));
    }

    #[test]
    fn a_kind_is_read_as_it_is_written() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of_text(kind.text()), Some(kind));
        }
        assert_eq!(Kind::of_text("rowz"), None);
    }
}
