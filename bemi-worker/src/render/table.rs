//! A table, as it is needed to render its rows: what the stream says of it, completed by what only
//! the catalog knows.

use bemi_core::Lsn;

use crate::decode::{Relation, ReplicaIdentity};

use super::Kind;
use super::dated::{Dated, Stretch};
use super::json::write_string;
use super::mask::{ColumnMask, ColumnRule};

/// A table whose rows can be rendered.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(super) columns: Vec<TableColumn>,
    /// The primary key's columns, in the order of its index; empty where there is none.
    key: Dated<Vec<usize>>,
    pub(super) old_row: OldRow,
    /// Up to where all types are known.
    types_end: Lsn,
    /// Whether there are columns whose changes are ignored.
    pub(super) ignores_columns: bool,
}

#[derive(Debug)]
pub(super) struct TableColumn {
    pub(super) name: String,
    /// `"name":`, ready to be copied.
    pub(super) json_key: Vec<u8>,
    type_oid: u32,
    kind: Dated<Kind>,
    pub(super) in_identity: bool,
    pub(super) rule: ColumnRule,
}

/// What an old row in the stream is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OldRow {
    /// Every column is there.
    Whole,
    /// The columns of the replica identity are there.
    Identity,
    /// Partitions of one table differ: a value that is there is right, a NULL may be invented.
    Mixed,
}

/// What the catalog knows of a table and the stream does not.
#[derive(Debug)]
pub(crate) struct CatalogFacts {
    /// The primary key's column names in index order, else those of the replica identity's index; the
    /// relation has them all.
    pub(crate) key: Dated<Vec<String>>,
    /// What becomes of the columns' values, in order.
    pub(crate) kinds: Vec<Dated<Kind>>,
}

impl OldRow {
    pub(crate) fn of(identity: ReplicaIdentity) -> Self {
        if identity == ReplicaIdentity::Full { Self::Whole } else { Self::Identity }
    }
}

impl Table {
    /// Completes a relation.
    pub(crate) fn new(relation: Relation, facts: CatalogFacts) -> Self {
        let position =
            |name: &String| relation.columns.iter().position(|column| column.name == *name);
        let key = facts.key.map(|names| {
            names.iter().map(position).collect::<Option<Vec<_>>>().unwrap_or_default()
        });
        let old_row = OldRow::of(relation.replica_identity);
        let types_end = types_end(&facts.kinds);
        let columns = relation
            .columns
            .into_iter()
            .zip(facts.kinds)
            .map(|(column, kind)| {
                let mut json_key = Vec::with_capacity(column.name.len() + 3);
                write_string(&mut json_key, column.name.as_bytes());
                json_key.push(b':');
                TableColumn {
                    rule: ColumnRule::default(),
                    name: column.name,
                    json_key,
                    type_oid: column.type_oid,
                    kind,
                    in_identity: column.in_identity,
                }
            })
            .collect();
        Self {
            schema: relation.schema,
            name: relation.name,
            columns,
            key,
            old_row,
            types_end,
            ignores_columns: false,
        }
    }

    /// Where a change belongs that has no row: a table by its name alone.
    pub(crate) fn without_columns(schema: String, name: String) -> Self {
        let (columns, key) = (Vec::new(), Dated::always(Vec::new()));
        Self {
            schema,
            name,
            columns,
            key,
            old_row: OldRow::Identity,
            types_end: Stretch::ALWAYS.end(),
            ignores_columns: false,
        }
    }

    /// Says what old rows are worth, where leaves of the table have identities of their own, and which
    /// columns are there in any case.
    pub(crate) fn set_identity(&mut self, old_row: OldRow, is_there: impl Fn(&str) -> bool) {
        self.old_row = old_row;
        for column in &mut self.columns {
            column.in_identity = is_there(&column.name);
        }
    }

    /// The same for rows that are read now, and not from the stream: whatever their place in the WAL,
    /// the catalog of now is theirs.
    pub(crate) fn at_present(mut self) -> Self {
        self.key = self.key.everywhere();
        for column in &mut self.columns {
            column.kind = column.kind.clone().everywhere();
        }
        self
    }

    /// Whether rows come out as those of `other`, a table with the same columns.
    pub(crate) fn renders_as(&self, other: &Self) -> bool {
        let kinds = |column: &TableColumn| column.kind.anywhere().clone();
        self.key.anywhere() == other.key.anywhere()
            && self.columns.iter().map(kinds).eq(other.columns.iter().map(kinds))
    }

    /// The types of the columns.
    pub(crate) fn types(&self) -> impl Iterator<Item = u32> {
        self.columns.iter().map(|column| column.type_oid)
    }

    /// Says of each type anew what becomes of its values.
    pub(crate) fn set_kinds(&mut self, kind_of: impl Fn(u32) -> Dated<Kind>) {
        for column in &mut self.columns {
            column.kind = kind_of(column.type_oid);
        }
        self.types_end = types_end(self.columns.iter().map(|column| &column.kind));
    }

    /// Where the types must be read again: they are known up to there.
    pub(crate) fn types_end(&self) -> Lsn {
        self.types_end
    }

    /// Whether there are types that may be altered without the stream saying so.
    pub(crate) fn may_change(&self) -> bool {
        self.types_end() < Stretch::ALWAYS.end()
    }

    /// Says of each column what rules there are for it, in place of those before. A change of the key
    /// is never ignored.
    pub(crate) fn set_rules(&mut self, rule_of: impl Fn(&str) -> ColumnRule) {
        for (index, column) in self.columns.iter_mut().enumerate() {
            column.rule = rule_of(&column.name);
            column.rule.is_ignored &= !self.key.anywhere().contains(&index);
        }
        self.ignores_columns = self.columns.iter().any(|column| column.rule.is_ignored);
    }

    /// Whether there are columns whose values must not be stored as they are.
    pub(crate) fn masks_columns(&self) -> bool {
        self.columns.iter().any(|column| column.rule.mask.is_some())
    }

    /// Whether rows have a key that is masked so that it says nothing.
    pub(crate) fn hides_key(&self) -> bool {
        self.key.anywhere().iter().any(|index| {
            matches!(self.mask(*index), Some(ColumnMask::Drop | ColumnMask::Text { .. }))
        })
    }

    /// Whether a column of the key must not be stored as it is.
    pub(crate) fn masks_key(&self) -> bool {
        self.key.anywhere().iter().any(|index| self.mask(*index).is_some())
    }

    /// What stands for the values of a column.
    pub(super) fn mask(&self, index: usize) -> Option<&ColumnMask> {
        self.columns.get(index).and_then(|column| column.rule.mask.as_ref())
    }

    /// The key's columns for a row at a position of the WAL; empty where it has none, or nobody knows.
    pub(super) fn key_at(&self, position: Lsn) -> &[usize] {
        self.key.at(position).map_or(&[], Vec::as_slice)
    }

    /// Whether it is known which columns are the key of a row at a position of the WAL, if any.
    pub(super) fn knows_key(&self, position: Lsn) -> bool {
        self.key.at(position).is_some()
    }

    /// Whether a column is part of the replica identity.
    pub(super) fn in_identity(&self, index: usize) -> bool {
        self.columns.get(index).is_some_and(|column| column.in_identity)
    }

    pub(super) fn column_names(&self, indexes: &[usize]) -> impl ExactSizeIterator<Item = &str> {
        indexes.iter().map(|index| self.columns.get(*index).map_or("", |column| &column.name))
    }
}

fn types_end<'k>(kinds: impl IntoIterator<Item = &'k Dated<Kind>>) -> Lsn {
    kinds.into_iter().map(Dated::holds).fold(Stretch::ALWAYS, Stretch::and).end()
}

/// What becomes of a value whose type is not known at its place in the WAL.
static UNKNOWN: Kind = Kind::Unknown;

impl TableColumn {
    /// What becomes of a value in a row at a position of the WAL.
    pub(super) fn kind_at(&self, position: Lsn) -> &Kind {
        self.kind.at(position).unwrap_or(&UNKNOWN)
    }

    /// Whether it is left out.
    pub(super) fn is_dropped(&self) -> bool {
        matches!(self.rule.mask, Some(ColumnMask::Drop))
    }
}
