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

/// The index that is the key of the table $1, if it has one, its columns in their order, all columns that
/// the table ever had, and the transaction that created the table.
///
/// A primary key is dated by what its constraint hangs on: a constraint never changes its columns, and these
/// rows are written once, while REINDEX CONCURRENTLY, CLUSTER and partitions write the index anew.
pub(super) const KEY: &str = "\
SELECT i.indisprimary,
       coalesce((SELECT d.xmin::text::bigint FROM pg_catalog.pg_constraint k
                 JOIN pg_catalog.pg_depend d ON d.objid = k.oid
                 WHERE k.conrelid = c.oid AND k.contype = 'p'
                   AND d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass
                   AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
                   AND d.refobjid = c.oid AND i.indisprimary LIMIT 1), i.xmin::text::bigint),
       ARRAY(SELECT number FROM unnest(i.indkey) WITH ORDINALITY AS k (number, place)
             WHERE place <= i.indnkeyatts ORDER BY place),
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 ORDER BY a.attnum),
       ARRAY(SELECT a.xmin::text::bigint FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 ORDER BY a.attnum),
       ARRAY(SELECT a.attgenerated <> '' FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 ORDER BY a.attnum),
       (SELECT d.xmin::text::bigint FROM pg_catalog.pg_depend d
        WHERE d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.objid = c.reltype
          AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = c.oid
          AND d.deptype = 'i' LIMIT 1)
FROM pg_catalog.pg_class c
LEFT JOIN LATERAL (SELECT * FROM (SELECT xmin, indisprimary, indkey, indnkeyatts
                                  FROM pg_catalog.pg_index
                                  WHERE indrelid = c.oid AND (indisprimary OR indisreplident)) i
                   ORDER BY indisprimary DESC LIMIT 1) i ON true
WHERE c.oid = $1";

/// What the catalog has of a table by now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TableNow {
    Gone,
    Keyless,
    Keyed(CatalogKey),
}

/// What the catalog has of a table's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CatalogKey {
    is_primary: bool,
    /// Which transaction made the primary key, or this version of the index.
    made_by: TransactionId,
    /// The columns' numbers, in the order of the index.
    columns: Vec<i16>,
    /// The table's columns by number, from 1 on.
    table_columns: Vec<TableColumn>,
    created_by: Option<TransactionId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct TableColumn {
    name: String,
    made_by: TransactionId,
    is_generated: bool,
}

impl TableNow {
    /// Reads what [`KEY`] returned.
    ///
    /// # Errors
    ///
    /// That it returned something else.
    pub(super) fn read(row: Option<&Row>) -> Result<Self, Error> {
        let Some(row) = row else { return Ok(Self::Gone) };
        let Some(is_primary) = row.try_get(0)? else { return Ok(Self::Keyless) };
        let (names, made_by): (Vec<String>, _) = (row.try_get(3)?, ids(row.try_get(4)?));
        let are_generated: Vec<bool> = row.try_get(5)?;
        let table_columns = names.into_iter().zip(made_by).zip(are_generated);
        Ok(Self::Keyed(CatalogKey {
            is_primary,
            made_by: id(row.try_get(1)?),
            columns: row.try_get(2)?,
            table_columns: table_columns
                .map(|((name, made_by), is_generated)| TableColumn { name, made_by, is_generated })
                .collect(),
            created_by: row.try_get::<_, Option<i64>>(6)?.map(id),
        }))
    }
}

impl CatalogKey {
    fn key_columns(&self) -> impl Iterator<Item = &TableColumn> {
        let at = |number: &i16| self.table_columns.get(usize::try_from(*number - 1).ok()?);
        self.columns.iter().filter_map(at)
    }

    fn names(&self) -> Vec<String> {
        self.key_columns().map(|column| column.name.clone()).collect()
    }

    fn versions(&self, moment: &Moment) -> Versions {
        // A key that the table was created with counts from the first row on: whoever changes it in the
        // very transaction that creates the table means the rows that he wrote there, too.
        let is_settled = |id: TransactionId| self.created_by == Some(id) || moment.is_settled(id);
        let is_of_key = |index: usize| {
            self.columns.iter().any(|number| usize::try_from(*number) == Ok(index + 1))
        };
        // A column that was renamed is found by its name all the same, unless another one has given up
        // that name.
        let others_are_settled = self
            .table_columns
            .iter()
            .enumerate()
            .all(|(index, column)| is_of_key(index) || is_settled(column.made_by));
        let key_is_settled = self.key_columns().all(|column| is_settled(column.made_by));
        let mut made_by = vec![self.made_by];
        made_by.extend(self.key_columns().map(|column| column.made_by));
        let are_settled = is_settled(self.made_by) && (others_are_settled || key_is_settled);
        Versions { made_by, are_settled }
    }
}

/// A table's key, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// The columns' names, and where they are the key. No names: no key.
    pub(super) columns: Dated<Vec<String>>,
    pub(super) doubt: Option<Doubt>,
}

/// Why rows have no key, or some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// The key was altered, nobody knows where in the WAL, and that was not known before.
    Altered,
    /// There is a key, but not one that the table had when the row was written, or was sent with.
    Another,
    /// Nobody is left to tell: not the catalog, and not the stream alone.
    Gone,
}

/// What the key of a table is: as the stream has it, completed by the catalog.
pub(super) fn key_of(
    relation: &Relation,
    table: &TableNow,
    readings: &mut Readings,
    moment: &Moment,
) -> Key {
    let none = |doubt| Key { columns: Dated::always(Vec::new()), doubt };
    let flagged: Vec<&str> = relation
        .columns
        .iter()
        .filter(|column| column.in_identity)
        .map(|column| column.name.as_str())
        .collect();
    let is_sent = |name: &str| relation.columns.iter().any(|column| column.name == *name);
    let catalog = match table {
        TableNow::Keyed(catalog) => Some(catalog),
        TableNow::Gone | TableNow::Keyless => None,
    };
    if let (ReplicaIdentity::Default, [name]) = (relation.replica_identity, flagged.as_slice()) {
        // But for one that is generated, and that the server therefore does not send.
        let is_part = catalog.is_some_and(|catalog| {
            catalog.key_columns().any(|column| column.is_generated && !is_sent(&column.name))
        });
        if is_part {
            return none(Some(Doubt::Another));
        }
        return Key { columns: Dated::always(vec![(*name).to_owned()]), doubt: None };
    }
    let Some(catalog) = catalog else {
        return none(match (table, relation.replica_identity) {
            (TableNow::Gone, _) => Some(Doubt::Gone),
            // Of several columns, the order is not known any more.
            (_, ReplicaIdentity::Default | ReplicaIdentity::Index) if !flagged.is_empty() => {
                Some(Doubt::Another)
            }
            _ => None,
        });
    };
    let names = catalog.names();
    let are_flagged = || {
        flagged.len() == names.len() && names.iter().all(|name| flagged.contains(&name.as_str()))
    };
    let was_key = match relation.replica_identity {
        // Without columns, the primary key is deferrable.
        ReplicaIdentity::Default => flagged.is_empty() || are_flagged(),
        ReplicaIdentity::Index => catalog.is_primary || are_flagged(),
        ReplicaIdentity::Full | ReplicaIdentity::Nothing => true,
    };
    if !was_key || !names.iter().all(|name| is_sent(name)) {
        return none(Some(Doubt::Another));
    }
    let finding = readings.note(relation.oid, catalog.versions(moment), moment);
    Key {
        columns: Dated::new(names, Stretch::since(finding.since)),
        doubt: finding.is_alteration.then_some(Doubt::Altered),
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
        let column = |(name, by): (&str, u32)| TableColumn {
            name: name.to_owned(),
            made_by: TransactionId(by),
            is_generated: false,
        };
        CatalogKey {
            is_primary: true,
            made_by: TransactionId(index),
            columns: columns.to_vec(),
            table_columns: table_columns.map(column).into(),
            created_by: Some(TransactionId(OLD)),
        }
    }

    const UNCHANGED: [(&str, u32); 3] = [("a", OLD), ("b", OLD), ("c", OLD)];

    /// The key, and since when it is known; and why not.
    fn key(relation: &Relation, table: &TableNow) -> (Vec<String>, u64, Option<Doubt>) {
        let key = key_of(relation, table, &mut Readings::default(), &moment());
        (key.columns.anywhere().clone(), key.columns.holds().start().get(), key.doubt)
    }

    fn told(columns: &[&str], since: u64) -> (Vec<String>, u64, Option<Doubt>) {
        let doubt = (since > 0).then_some(Doubt::Altered);
        (columns.iter().map(ToString::to_string).collect(), since, doubt)
    }

    fn none(doubt: Doubt) -> (Vec<String>, u64, Option<Doubt>) {
        (Vec::new(), 0, Some(doubt))
    }

    fn keyed(columns: &[i16], index: u32) -> TableNow {
        TableNow::Keyed(catalog(columns, index, UNCHANGED))
    }

    #[test]
    fn one_flagged_column_under_default_is_the_key_whatever_the_catalog_has() {
        let relation = relation(ReplicaIdentity::Default, &["a"]);
        for table in [TableNow::Gone, TableNow::Keyless, keyed(&[2], NEW), keyed(&[1, 2], NEW)] {
            assert_eq!(key(&relation, &table), told(&["a"], 0));
        }
    }

    #[test]
    fn a_generated_column_of_the_key_that_is_not_sent_is_missed() {
        let mut catalog = catalog(&[1, 3], OLD, [("a", OLD), ("b", OLD), ("z", OLD)]);
        catalog.table_columns[2].is_generated = true;
        let relation = relation(ReplicaIdentity::Default, &["a"]);
        assert_eq!(key(&relation, &TableNow::Keyed(catalog)), none(Doubt::Another));
    }

    #[test]
    fn of_several_columns_the_catalog_has_the_order() {
        let relation = relation(ReplicaIdentity::Default, &["a", "b"]);
        assert_eq!(key(&relation, &keyed(&[2, 1], OLD)), told(&["b", "a"], 0));
        assert_eq!(key(&relation, &keyed(&[2, 1], NEW)), told(&["b", "a"], 100));
        assert_eq!(key(&relation, &keyed(&[2, 3], OLD)), none(Doubt::Another));
        assert_eq!(key(&relation, &TableNow::Keyless), none(Doubt::Another), "the order is gone");
        assert_eq!(key(&relation, &TableNow::Gone), none(Doubt::Gone));
    }

    #[test]
    fn under_full_and_nothing_the_catalog_alone_has_the_key() {
        for identity in [ReplicaIdentity::Full, ReplicaIdentity::Nothing] {
            let relation = relation(identity, &["a", "b", "c"]);
            assert_eq!(key(&relation, &keyed(&[1], OLD)), told(&["a"], 0));
            assert_eq!(key(&relation, &keyed(&[1], NEW)), told(&["a"], 100));
            assert_eq!(key(&relation, &TableNow::Keyless), told(&[], 0));
            assert_eq!(key(&relation, &TableNow::Gone), none(Doubt::Gone));
        }
    }

    #[test]
    fn a_key_that_is_as_old_as_its_table_is_settled() {
        let created = catalog(&[1], NEW, [("a", NEW), ("b", NEW), ("c", NEW)]);
        let created = CatalogKey { created_by: Some(TransactionId(NEW)), ..created };
        let full = relation(ReplicaIdentity::Full, &[]);
        assert_eq!(key(&full, &TableNow::Keyed(created)), told(&["a"], 0));
    }

    #[test]
    fn a_renamed_column_is_found_by_its_name_unless_another_may_have_had_it() {
        let full = relation(ReplicaIdentity::Full, &[]);
        let key = |columns| key(&full, &TableNow::Keyed(catalog(&[1], OLD, columns)));
        assert_eq!(key([("a", NEW), ("b", OLD), ("c", OLD)]), told(&["a"], 0));
        assert_eq!(key([("a", NEW), ("b", NEW), ("c", OLD)]), told(&["a"], 100));
        let others = [("a", OLD), ("b", NEW), ("c", NEW)];
        assert_eq!(key(others), told(&["a"], 0), "what others are called is all one");
        assert_eq!(key([("z", NEW), ("b", OLD), ("c", OLD)]), none(Doubt::Another));
    }

    #[test]
    fn an_index_that_is_the_identity_is_the_key_only_without_a_primary_key() {
        let relation = relation(ReplicaIdentity::Index, &["b"]);
        let index = |columns: &[i16]| {
            let catalog = catalog(columns, OLD, UNCHANGED);
            TableNow::Keyed(CatalogKey { is_primary: false, ..catalog })
        };
        assert_eq!(key(&relation, &index(&[2])), told(&["b"], 0));
        assert_eq!(key(&relation, &index(&[3])), none(Doubt::Another));
        assert_eq!(key(&relation, &keyed(&[1], OLD)), told(&["a"], 0));
        assert_eq!(key(&relation, &TableNow::Gone), none(Doubt::Gone), "was there a primary key?");
    }
}
