//! A table, as it is needed to render its rows: what the stream says of it, completed by what only
//! the catalog knows.

use crate::decode::{Relation, ReplicaIdentity};

use super::Kind;
use super::json::write_string;
use super::mask::{ColumnMask, ColumnRule};

/// A table whose rows can be rendered.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(super) columns: Vec<TableColumn>,
    /// The primary key's columns, in the order of its index; empty where there is none.
    pub(super) key: Vec<usize>,
    pub(super) old_row: OldRow,
    /// Whether there are columns whose changes are ignored.
    pub(super) ignores_columns: bool,
}

#[derive(Debug)]
pub(super) struct TableColumn {
    pub(super) name: String,
    /// `"name":`, ready to be copied.
    pub(super) json_key: Vec<u8>,
    pub(super) kind: Kind,
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
#[derive(Clone, Debug)]
pub(crate) struct CatalogFacts {
    /// The primary key's column names in index order, else those of the replica identity's index.
    pub(crate) key: Vec<String>,
    /// What an old row is worth, by the replica identity of the table, or of all its partitions.
    pub(crate) old_row: OldRow,
}

impl CatalogFacts {
    /// All that can be said where the catalog does not have the table any more: what the stream
    /// itself says. A key of one column needs no order.
    pub(crate) fn of_dropped(relation: &Relation) -> Self {
        let identity: Vec<_> =
            relation.columns.iter().filter(|column| column.in_identity).collect();
        let by_key =
            matches!(relation.replica_identity, ReplicaIdentity::Default | ReplicaIdentity::Index);
        let key = match identity.as_slice() {
            [column] if by_key => vec![column.name.clone()],
            _ => Vec::new(),
        };
        Self { key, old_row: OldRow::of(relation.replica_identity) }
    }
}

impl OldRow {
    pub(crate) fn of(identity: ReplicaIdentity) -> Self {
        if identity == ReplicaIdentity::Full { Self::Whole } else { Self::Identity }
    }
}

impl Table {
    /// Completes a relation. `kinds` holds one entry a column, in order.
    ///
    /// A key that the catalog has but the relation does not, because the table has changed since, is
    /// no key: [`Table::has_key`] is `false` then.
    pub(crate) fn new(relation: Relation, facts: &CatalogFacts, kinds: Vec<Kind>) -> Self {
        let position =
            |name: &String| relation.columns.iter().position(|column| column.name == *name);
        let key = facts.key.iter().map(position).collect::<Option<Vec<_>>>().unwrap_or_default();
        let columns = relation
            .columns
            .into_iter()
            .zip(kinds)
            .map(|(column, kind)| {
                let mut json_key = Vec::with_capacity(column.name.len() + 3);
                write_string(&mut json_key, column.name.as_bytes());
                json_key.push(b':');
                TableColumn {
                    rule: ColumnRule::default(),
                    name: column.name,
                    json_key,
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
            old_row: facts.old_row,
            ignores_columns: false,
        }
    }

    /// Where a change belongs that has no row: a table by its name alone.
    pub(crate) fn without_columns(schema: String, name: String) -> Self {
        let (columns, key) = (Vec::new(), Vec::new());
        Self { schema, name, columns, key, old_row: OldRow::Identity, ignores_columns: false }
    }

    /// Says of each column what rules there are for it, in place of those before. A change of the key
    /// is never ignored.
    pub(crate) fn set_rules(&mut self, rule_of: impl Fn(&str) -> ColumnRule) {
        for (index, column) in self.columns.iter_mut().enumerate() {
            column.rule = rule_of(&column.name);
            column.rule.is_ignored &= !self.key.contains(&index);
        }
        self.ignores_columns = self.columns.iter().any(|column| column.rule.is_ignored);
    }

    /// Whether there are columns whose values must not be stored as they are.
    pub(crate) fn masks_columns(&self) -> bool {
        self.columns.iter().any(|column| column.rule.mask.is_some())
    }

    /// Whether rows have a key that is masked so that it says nothing.
    pub(crate) fn hides_key(&self) -> bool {
        self.key.iter().any(|index| {
            matches!(self.mask(*index), Some(ColumnMask::Drop | ColumnMask::Text { .. }))
        })
    }

    /// What stands for the values of a column.
    pub(super) fn mask(&self, index: usize) -> Option<&ColumnMask> {
        self.columns.get(index).and_then(|column| column.rule.mask.as_ref())
    }

    /// Whether rows have a key.
    pub(crate) fn has_key(&self) -> bool {
        !self.key.is_empty()
    }

    /// Whether a column is part of the replica identity.
    pub(super) fn in_identity(&self, index: usize) -> bool {
        self.columns.get(index).is_some_and(|column| column.in_identity)
    }

    pub(super) fn column_names(&self, indexes: &[usize]) -> impl ExactSizeIterator<Item = &str> {
        indexes.iter().map(|index| self.columns.get(*index).map_or("", |column| &column.name))
    }
}

impl TableColumn {
    /// Whether it is left out.
    pub(super) fn is_dropped(&self) -> bool {
        matches!(self.rule.mask, Some(ColumnMask::Drop))
    }
}
