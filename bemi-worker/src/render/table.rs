//! A table, as it is needed to render its rows: what the stream says of it, completed by what only
//! the catalog knows.

use crate::decode::{Relation, ReplicaIdentity};

use super::Kind;
use super::json::write_string;

/// A table whose rows can be rendered.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(super) columns: Vec<TableColumn>,
    /// The primary key's columns, in the order of its index; empty where there is none.
    pub(super) key: Vec<usize>,
    pub(super) old_row: OldRow,
}

#[derive(Debug)]
pub(super) struct TableColumn {
    pub(super) name: String,
    /// `"name":`, ready to be copied.
    pub(super) json_key: Vec<u8>,
    pub(super) kind: Kind,
    pub(super) in_identity: bool,
    /// Excluded by configuration: never rendered.
    pub(super) hidden: bool,
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
                    hidden: false,
                    name: column.name,
                    json_key,
                    kind,
                    in_identity: column.in_identity,
                }
            })
            .collect();
        Self { schema: relation.schema, name: relation.name, columns, key, old_row: facts.old_row }
    }

    /// Hides the columns that must not be stored, and shows the others.
    pub(crate) fn hide_columns(&mut self, is_hidden: impl Fn(&str) -> bool) {
        for column in &mut self.columns {
            column.hidden = is_hidden(&column.name);
        }
    }

    /// Whether there are columns that must not be stored.
    pub(crate) fn hides_columns(&self) -> bool {
        self.columns.iter().any(|column| column.hidden)
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
