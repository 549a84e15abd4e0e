//! What old rows of partitioned tables are worth, by what the stream says of their leaves.
//!
//! A change in a leaf is sent as one of the root, and never says of which leaf. Whether an old row is
//! whole depends on the replica identity of the leaf, as it was then. That is in the stream, too: before
//! the first change in a leaf, and again after anything about it was altered, come a description of the
//! root, one of the leaf, and at once the change.
//!
//! ```text
//! R root (FULL)   R leaf (DEFAULT, id)   U root …
//! ```
//!
//! Invariant: no old row is taken for more than it is.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::decode::{Relation, ReplicaIdentity};
use crate::render::OldRow;

/// The leaves that had changes, by their root.
#[derive(Debug, Default)]
pub(super) struct Leaves {
    of_root: HashMap<u32, BTreeMap<u32, Identity>>,
    /// The last two descriptions, with nothing behind them yet.
    before_last: Option<u32>,
    last: Option<(u32, Identity)>,
}

/// What of an old row a leaf has in the WAL.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Identity {
    Full,
    /// These columns.
    Columns(BTreeSet<String>),
}

/// What old rows of a root are worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RootIdentity {
    pub(super) old_row: OldRow,
    /// The columns that every leaf has which does not have them all.
    pub(super) columns: BTreeSet<String>,
}

impl Leaves {
    /// Takes a description.
    pub(super) fn describe(&mut self, relation: &Relation) {
        self.before_last = self.last.take().map(|(oid, _)| oid);
        self.last = Some((relation.oid, Identity::of(relation)));
    }

    /// Takes a change of a row. Returns what old rows of its table are worth from here on, if that is
    /// news.
    pub(super) fn change(&mut self, relation: u32) -> Option<RootIdentity> {
        let before_last = self.before_last.take();
        let (leaf, identity) = self.last.take()?;
        if before_last != Some(relation) || leaf == relation {
            return None;
        }
        self.of_root.entry(relation).or_default().insert(leaf, identity);
        self.root(relation)
    }

    /// Takes anything else: what was described is not of one change.
    pub(super) fn interrupt(&mut self) {
        (self.before_last, self.last) = (None, None);
    }

    /// What old rows of a table are worth, if it is one with leaves that had changes.
    pub(super) fn root(&self, relation: u32) -> Option<RootIdentity> {
        let leaves = self.of_root.get(&relation)?;
        let mut parts = leaves.values().filter_map(|identity| match identity {
            Identity::Full => None,
            Identity::Columns(columns) => Some(columns),
        });
        let is_any_full = leaves.values().any(|identity| *identity == Identity::Full);
        let Some(first) = parts.next() else {
            return Some(RootIdentity { old_row: OldRow::Whole, columns: BTreeSet::new() });
        };
        let mut columns = first.clone();
        let mut are_alike = true;
        for other in parts {
            are_alike &= other == first;
            columns.retain(|column| other.contains(column));
        }
        let old_row = if are_alike && !is_any_full { OldRow::Identity } else { OldRow::Mixed };
        Some(RootIdentity { old_row, columns })
    }
}

impl Identity {
    fn of(relation: &Relation) -> Self {
        if relation.replica_identity == ReplicaIdentity::Full {
            return Self::Full;
        }
        let columns = relation.columns.iter().filter(|column| column.in_identity);
        Self::Columns(columns.map(|column| column.name.clone()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Column;

    const ROOT: u32 = 1;

    fn relation(oid: u32, identity: ReplicaIdentity, columns: &[&str]) -> Relation {
        let column =
            |name: &&str| Column { name: (*name).to_owned(), in_identity: true, type_oid: 23 };
        Relation {
            oid,
            schema: "public".to_owned(),
            name: "t".to_owned(),
            replica_identity: identity,
            columns: columns.iter().map(column).collect(),
        }
    }

    /// The root with all its columns flagged, the leaf, and a change in it.
    fn change_in(leaves: &mut Leaves, leaf: &Relation) -> Option<(OldRow, Vec<String>)> {
        leaves.describe(&relation(ROOT, ReplicaIdentity::Full, &["id", "a"]));
        leaves.describe(leaf);
        let found = leaves.change(ROOT)?;
        assert_eq!(leaves.root(ROOT).as_ref(), Some(&found));
        Some((found.old_row, found.columns.into_iter().collect()))
    }

    #[test]
    fn old_rows_are_worth_what_the_leaves_have() {
        use ReplicaIdentity::{Default, Full, Index};

        let full = |oid| relation(oid, Full, &["id", "a"]);
        let id = vec!["id".to_owned()];
        let mut leaves = Leaves::default();
        assert_eq!(change_in(&mut leaves, &full(2)), Some((OldRow::Whole, vec![])));
        let default = relation(3, Default, &["id"]);
        assert_eq!(change_in(&mut leaves, &default), Some((OldRow::Mixed, id.clone())));
        assert_eq!(change_in(&mut leaves, &full(3)), Some((OldRow::Whole, vec![])), "altered");

        let mut leaves = Leaves::default();
        assert_eq!(change_in(&mut leaves, &default), Some((OldRow::Identity, id)));
        let index = relation(4, Index, &["a"]);
        assert_eq!(change_in(&mut leaves, &index), Some((OldRow::Mixed, vec![])));
    }

    #[test]
    fn a_table_without_leaves_is_told_from_a_root() {
        let mut leaves = Leaves::default();
        leaves.describe(&relation(ROOT, ReplicaIdentity::Full, &["id"]));
        assert_eq!(leaves.change(ROOT), None);
        assert_eq!(leaves.change(ROOT), None);
        assert_eq!(leaves.root(ROOT), None);
    }

    #[test]
    fn tables_that_are_truncated_together_are_no_leaves_of_each_other() {
        let mut leaves = Leaves::default();
        for oid in [ROOT, 2] {
            leaves.describe(&relation(oid, ReplicaIdentity::Full, &["id"]));
        }
        leaves.interrupt();
        assert_eq!(leaves.change(ROOT), None);
    }
}
