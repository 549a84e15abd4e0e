//! What a link covers, row by row, in the bytes in which it is kept.
//!
//! Invariant: a piece has a salt for each entry, and its entries are in the order of places.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Hash;

/// What an entry takes: id, commit position, sequence, leaf.
const ENTRY_BYTES: usize = 16 + 8 + 8 + 32;

/// What a salt takes.
pub(crate) const SALT_BYTES: usize = 16;

/// Tells leaves from everything else that is hashed.
const LEAF_PREFIX: &[u8] = b"bemi.row.1";

/// Where a change is in the order of commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) commit_position: i64,
    pub(crate) sequence: i64,
}

impl Place {
    /// Before every other one.
    pub(crate) const MIN: Self = Self { commit_position: i64::MIN, sequence: i64::MIN };
}

/// A row that is covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: Uuid,
    pub(crate) place: Place,
    pub(crate) leaf: Hash,
}

/// What stands for a row: a hash over its salt and its digest. Without the salt it says nothing about
/// the row to whoever tries what the row may have been.
pub(crate) fn leaf(salt: &[u8; SALT_BYTES], digest: &[u8]) -> Hash {
    let mut hash = Sha256::new();
    hash.update(LEAF_PREFIX);
    hash.update(salt);
    hash.update(digest);
    hash.finalize().into()
}

/// The entries of a link and their salts, as `bemi.chain_rows` has them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Piece {
    pub(crate) rows: Vec<u8>,
    pub(crate) salts: Vec<u8>,
    pub(crate) first: Place,
    pub(crate) last: Place,
}

impl Piece {
    /// Adds a row behind the others.
    pub(crate) fn push(&mut self, id: Uuid, place: Place, salt: [u8; SALT_BYTES], digest: &[u8]) {
        if self.rows.is_empty() {
            self.first = place;
        }
        self.last = place;
        self.rows.extend_from_slice(id.as_bytes());
        self.rows.extend_from_slice(&place.commit_position.to_be_bytes());
        self.rows.extend_from_slice(&place.sequence.to_be_bytes());
        self.rows.extend_from_slice(&leaf(&salt, digest));
        self.salts.extend_from_slice(&salt);
    }

    /// How many rows it has.
    pub(crate) fn len(&self) -> usize {
        self.rows.len() / ENTRY_BYTES
    }

    /// The hash over all entries; not over the salts, which may go.
    pub(crate) fn digest(&self) -> Hash {
        Sha256::digest(&self.rows).into()
    }

    /// Reads entries and their salts back; `None` for a salt that is missing. Bytes that are no entry
    /// end it: then the hash over them is not the link's either.
    pub(crate) fn entries<'a>(
        rows: &'a [u8],
        salts: &'a [u8],
    ) -> impl Iterator<Item = (Entry, Option<[u8; SALT_BYTES]>)> + 'a {
        let (salts, _) = salts.as_chunks::<SALT_BYTES>();
        let (rows, _) = rows.as_chunks::<ENTRY_BYTES>();
        rows.iter().enumerate().filter_map(|(index, row)| {
            let (id, rest) = row.split_first_chunk::<16>()?;
            let (commit_position, rest) = rest.split_first_chunk::<8>()?;
            let (sequence, rest) = rest.split_first_chunk::<8>()?;
            let place = Place {
                commit_position: i64::from_be_bytes(*commit_position),
                sequence: i64::from_be_bytes(*sequence),
            };
            let leaf = *rest.first_chunk::<32>()?;
            Some((Entry { id: Uuid::from_bytes(*id), place, leaf }, salts.get(index).copied()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(commit_position: i64, sequence: i64) -> Place {
        Place { commit_position, sequence }
    }

    #[test]
    fn a_piece_is_read_as_it_was_written() {
        let mut piece = Piece::default();
        let ids = [Uuid::from_u128(1), Uuid::from_u128(2)];
        piece.push(ids[0], place(7, 1), [1; SALT_BYTES], b"one");
        piece.push(ids[1], place(7, 2), [2; SALT_BYTES], b"two");
        assert_eq!((piece.len(), piece.first, piece.last), (2, place(7, 1), place(7, 2)));
        let read: Vec<_> = Piece::entries(&piece.rows, &piece.salts).collect();
        assert_eq!(read.len(), 2);
        let (entry, salt) = read[1];
        assert_eq!((entry.id, entry.place, salt), (ids[1], place(7, 2), Some([2; SALT_BYTES])));
        assert_eq!(entry.leaf, leaf(&[2; SALT_BYTES], b"two"));
        assert_ne!(entry.leaf, leaf(&[2; SALT_BYTES], b"tw0"));
        assert_ne!(entry.leaf, leaf(&[3; SALT_BYTES], b"two"));
    }

    #[test]
    fn what_is_cut_off_is_no_entry() {
        let mut piece = Piece::default();
        piece.push(Uuid::nil(), place(1, 1), [1; SALT_BYTES], b"one");
        let short = &piece.rows[..ENTRY_BYTES - 1];
        assert_eq!(Piece::entries(short, &piece.salts).count(), 0);
        let (_, salt) = Piece::entries(&piece.rows, &[]).next().unwrap();
        assert_eq!(salt, None);
    }
}
