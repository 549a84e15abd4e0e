//! The key of a table: its primary key, else its replica identity's index.
//!
//! The stream tells which columns are in the replica identity, as it was when the row was written. Where
//! that is the primary key, it says everything but the order of several columns. The rest is in the
//! catalog, as it is now.

use bemi_core::TransactionId;
use tokio_postgres::{Error, Row};

use super::validity::{Moment, Readings, Versions};
use super::{id, ids};
use crate::decode::{Relation, ReplicaIdentity};
use crate::render::{Dated, Stretch};

/// The index that is the key of the table $1, its columns in their order, all columns that the table ever
/// had, and the transaction that created the table.
pub(super) const KEY: &str = "\
SELECT i.indisprimary, i.xmin::text::bigint,
       ARRAY(SELECT number FROM unnest(i.indkey) WITH ORDINALITY AS k (number, place)
             WHERE place <= i.indnkeyatts ORDER BY place),
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 ORDER BY a.attnum),
       ARRAY(SELECT a.xmin::text::bigint FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 ORDER BY a.attnum),
       (SELECT d.xmin::text::bigint FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.objid = c.reltype
          AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = c.oid
          AND d.deptype = 'i' LIMIT 1)
FROM pg_catalog.pg_class c
JOIN LATERAL (SELECT * FROM (SELECT xmin, indisprimary, indkey, indnkeyatts
                             FROM pg_catalog.pg_index
                             WHERE indrelid = c.oid AND (indisprimary OR indisreplident)) i
              ORDER BY indisprimary DESC LIMIT 1) i ON true
WHERE c.oid = $1";

/// What the catalog has of a table's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CatalogKey {
    is_primary: bool,
    /// Which transaction made this version of the index.
    made_by: TransactionId,
    /// The columns' numbers, in the order of the index.
    columns: Vec<i16>,
    /// Name and version of the table's columns by number, from 1 on.
    table_columns: Vec<(String, TransactionId)>,
    created_by: Option<TransactionId>,
}

impl CatalogKey {
    /// Reads what [`KEY`] returned.
    ///
    /// # Errors
    ///
    /// That it returned something else.
    pub(super) fn read(row: &Row) -> Result<Self, Error> {
        let names: Vec<String> = row.try_get(3)?;
        Ok(Self {
            is_primary: row.try_get(0)?,
            made_by: id(row.try_get(1)?),
            columns: row.try_get(2)?,
            table_columns: names.into_iter().zip(ids(row.try_get(4)?)).collect(),
            created_by: row.try_get::<_, Option<i64>>(5)?.map(id),
        })
    }

    fn key_columns(&self) -> impl Iterator<Item = &(String, TransactionId)> {
        let at = |number: &i16| self.table_columns.get(usize::try_from(*number - 1).ok()?);
        self.columns.iter().filter_map(at)
    }

    fn names(&self) -> Vec<String> {
        self.key_columns().map(|(name, _)| name.clone()).collect()
    }

    fn versions(&self, moment: &Moment) -> Versions {
        // A key that the table was created with counts from the first row on: whoever changes it in the
        // very transaction that creates the table means the rows that he wrote there, too.
        let is_settled =
            |id: &TransactionId| self.created_by == Some(*id) || moment.is_settled(*id);
        // A column that was renamed is found by its name all the same, unless another one has given up
        // that name.
        let others_are_settled = self
            .table_columns
            .iter()
            .enumerate()
            .filter(|(index, _)| {
                !self.columns.iter().any(|number| usize::try_from(*number) == Ok(index + 1))
            })
            .all(|(_, (_, id))| is_settled(id));
        let mut made_by = vec![self.made_by];
        made_by.extend(self.key_columns().map(|(_, id)| *id));
        let are_settled = is_settled(&self.made_by)
            && (others_are_settled || self.key_columns().all(|(_, id)| is_settled(id)));
        Versions { made_by, are_settled }
    }
}

/// A table's key, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// The columns' names, and where they are the key. No names: no key.
    pub(super) columns: Dated<Vec<String>>,
    /// The key was altered, nobody knows where in the WAL, and that was not known before.
    pub(super) is_alteration: bool,
    /// There is a key, but not one that the table had when the row was written.
    pub(super) is_another: bool,
}

/// What the key of a table is: as the stream has it, completed by the catalog.
pub(super) fn key_of(
    relation: &Relation,
    catalog: Option<&CatalogKey>,
    readings: &mut Readings,
    moment: &Moment,
) -> Key {
    let flagged = || relation.columns.iter().filter(|column| column.in_identity);
    let told = |columns| Key { columns, is_alteration: false, is_another: false };
    if relation.replica_identity == ReplicaIdentity::Default
        && let (Some(column), None) = (flagged().next(), flagged().nth(1))
    {
        return told(Dated::always(vec![column.name.clone()]));
    }
    let Some(catalog) = catalog else {
        // Of several columns, the order is not known any more; of an index, whether there was a primary
        // key besides.
        let is_another =
            relation.replica_identity != ReplicaIdentity::Full && flagged().next().is_some();
        return Key { is_another, ..told(Dated::always(Vec::new())) };
    };
    let names = catalog.names();
    let are_flagged =
        || flagged().count() == names.len() && flagged().all(|column| names.contains(&column.name));
    let is_another =
        match relation.replica_identity {
            // Without columns, the primary key is deferrable.
            ReplicaIdentity::Default => flagged().next().is_some() && !are_flagged(),
            ReplicaIdentity::Index => !catalog.is_primary && !are_flagged(),
            ReplicaIdentity::Full | ReplicaIdentity::Nothing => false,
        } || !names.iter().all(|name| relation.columns.iter().any(|column| column.name == *name));
    if is_another {
        return Key { is_another, ..told(Dated::always(Vec::new())) };
    }
    let finding = readings.note(relation.oid, catalog.versions(moment), moment);
    Key {
        columns: Dated::new(names, Stretch::since(finding.since)),
        is_alteration: finding.is_alteration,
        is_another,
    }
}

#[cfg(test)]
mod tests {
    use bemi_core::Lsn;

    use super::*;
    use crate::decode::Column;

    const OLD: u32 = 5;
    const NEW: u32 = 1_500;

    fn moment() -> Moment {
        Moment {
            after: Lsn::new(100),
            horizon: Some(TransactionId(1_000)),
            next: TransactionId(2_000),
            ..Moment::default()
        }
    }

    /// A table of the columns `a`, `b` and `c`; those of its identity are flagged.
    fn relation(replica_identity: ReplicaIdentity, flagged: &[&str]) -> Relation {
        let column = |name: &str| Column {
            name: name.to_owned(),
            in_identity: flagged.contains(&name),
            type_oid: 23,
        };
        Relation {
            oid: 1,
            schema: "public".to_owned(),
            name: "t".to_owned(),
            replica_identity,
            columns: ["a", "b", "c"].map(column).into(),
        }
    }

    fn catalog(columns: &[i16], index: u32, table_columns: [(&str, u32); 3]) -> CatalogKey {
        CatalogKey {
            is_primary: true,
            made_by: TransactionId(index),
            columns: columns.to_vec(),
            table_columns: table_columns
                .map(|(name, by)| (name.to_owned(), TransactionId(by)))
                .into(),
            created_by: Some(TransactionId(OLD)),
        }
    }

    const UNCHANGED: [(&str, u32); 3] = [("a", OLD), ("b", OLD), ("c", OLD)];

    /// The key, and since when it is known; whether it is another one.
    fn key(relation: &Relation, catalog: Option<&CatalogKey>) -> (Vec<String>, u64, bool) {
        let key = key_of(relation, catalog, &mut Readings::default(), &moment());
        (key.columns.anywhere().clone(), key.columns.holds().start().get(), key.is_another)
    }

    fn told(columns: &[&str], since: u64) -> (Vec<String>, u64, bool) {
        (columns.iter().map(ToString::to_string).collect(), since, false)
    }

    fn another() -> (Vec<String>, u64, bool) {
        (Vec::new(), 0, true)
    }

    #[test]
    fn one_flagged_column_under_default_is_the_key_whatever_the_catalog_has() {
        let relation = relation(ReplicaIdentity::Default, &["a"]);
        for catalog in [None, Some(&catalog(&[2], NEW, UNCHANGED))] {
            assert_eq!(key(&relation, catalog), told(&["a"], 0));
        }
    }

    #[test]
    fn of_several_columns_the_catalog_has_the_order() {
        let relation = relation(ReplicaIdentity::Default, &["a", "b"]);
        assert_eq!(key(&relation, Some(&catalog(&[2, 1], OLD, UNCHANGED))), told(&["b", "a"], 0));
        assert_eq!(key(&relation, Some(&catalog(&[2, 1], NEW, UNCHANGED))), told(&["b", "a"], 100));
        assert_eq!(key(&relation, Some(&catalog(&[2, 3], OLD, UNCHANGED))), another());
        assert_eq!(key(&relation, None), another(), "the order is gone");
    }

    #[test]
    fn under_full_and_nothing_the_catalog_alone_has_the_key() {
        for identity in [ReplicaIdentity::Full, ReplicaIdentity::Nothing] {
            let relation = relation(identity, &[]);
            assert_eq!(key(&relation, Some(&catalog(&[1], OLD, UNCHANGED))), told(&["a"], 0));
            assert_eq!(key(&relation, Some(&catalog(&[1], NEW, UNCHANGED))), told(&["a"], 100));
            assert_eq!(key(&relation, None), told(&[], 0));
        }
    }

    #[test]
    fn a_key_that_is_as_old_as_its_table_is_settled() {
        let created = catalog(&[1], NEW, [("a", NEW), ("b", NEW), ("c", NEW)]);
        let created = CatalogKey { created_by: Some(TransactionId(NEW)), ..created };
        assert_eq!(key(&relation(ReplicaIdentity::Full, &[]), Some(&created)), told(&["a"], 0));
    }

    #[test]
    fn a_renamed_column_is_found_by_its_name_unless_another_may_have_had_it() {
        let full = relation(ReplicaIdentity::Full, &[]);
        let renamed = |b| catalog(&[1], OLD, [("a", NEW), ("b", b), ("c", OLD)]);
        assert_eq!(key(&full, Some(&renamed(OLD))), told(&["a"], 0));
        assert_eq!(key(&full, Some(&renamed(NEW))), told(&["a"], 100));
        let others = catalog(&[1], OLD, [("a", OLD), ("b", NEW), ("c", NEW)]);
        assert_eq!(key(&full, Some(&others)), told(&["a"], 0), "what others are called is all one");
        let gone = catalog(&[1], OLD, [("z", NEW), ("b", OLD), ("c", OLD)]);
        assert_eq!(key(&full, Some(&gone)), another());
    }

    #[test]
    fn an_index_that_is_the_identity_is_the_key_only_without_a_primary_key() {
        let relation = relation(ReplicaIdentity::Index, &["b"]);
        let index = |columns| CatalogKey { is_primary: false, ..catalog(columns, OLD, UNCHANGED) };
        assert_eq!(key(&relation, Some(&index(&[2]))), told(&["b"], 0));
        assert_eq!(key(&relation, Some(&index(&[3]))), another());
        assert_eq!(key(&relation, Some(&catalog(&[1], OLD, UNCHANGED))), told(&["a"], 0));
        assert_eq!(key(&relation, None), another(), "there may have been a primary key");
    }
}
