//! What only the catalog knows: keys, the replica identity of partitions, types, and the rules for
//! columns.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bemi_core::{Lsn, TransactionId};
use tokio_postgres::{Client, Row};
use tracing::warn;

use super::rules::AppliedRules;
use crate::config::MaskKey;
use crate::decode::{Relation, ReplicaIdentity};
use crate::error::WorkerError;
use crate::render::{CatalogFacts, Kind, OldRow, Table};

/// How long to wait before looking again for a transaction.
const VISIBLE_PAUSE_MIN: Duration = Duration::from_millis(1);
const VISIBLE_PAUSE_MAX: Duration = Duration::from_millis(100);

/// Types nest in types, but not this deep.
const TYPE_DEPTH_MAX: usize = 32;

/// The source's catalog, by a connection of its own.
pub(crate) struct Catalog {
    client: Client,
    rules: AppliedRules,
    mask_key: Option<MaskKey>,
}

impl Catalog {
    /// Reads the rules for columns; `mask_key` is what hashes are made with, if any.
    ///
    /// # Errors
    ///
    /// [`WorkerError`] when the source fails, setup did not run, or there is no key and a rule asks
    /// for it.
    pub(crate) async fn open(
        client: Client,
        mask_key: Option<MaskKey>,
    ) -> Result<Self, WorkerError> {
        let rules = AppliedRules::read(&client, mask_key.as_ref()).await?;
        Ok(Self { client, rules, mask_key })
    }

    /// The connection.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Waits until what a transaction of the stream did to the catalog can be seen. The stream has a
    /// commit as soon as it is in the WAL; others see it a moment later, and where it waits for a
    /// synchronous standby, after as long as that takes.
    ///
    /// # Errors
    ///
    /// [`WorkerError`] when the source fails.
    pub(crate) async fn wait_until_visible(&self, id: TransactionId) -> Result<(), WorkerError> {
        let mut pause = VISIBLE_PAUSE_MIN;
        loop {
            let row = self
                .client
                .query_one(IS_VISIBLE, &[&i64::from(id.0)])
                .await
                .map_err(WorkerError::database("look for a transaction in the source"))?;
            let visible = row
                .try_get(0)
                .map_err(WorkerError::database("look for a transaction in the source"))?;
            if visible {
                return Ok(());
            }
            tokio::time::sleep(pause).await;
            pause = VISIBLE_PAUSE_MAX.min(pause * 2);
        }
    }

    /// Completes a table of the stream.
    ///
    /// # Errors
    ///
    /// [`WorkerError`] when the source fails.
    pub(crate) async fn table(&self, relation: Relation) -> Result<Table, WorkerError> {
        let facts = self
            .facts(&relation)
            .await
            .map_err(WorkerError::database("read a table in the catalog of the source"))?;
        let kinds = self
            .kinds(relation.columns.iter().map(|column| column.type_oid))
            .await
            .map_err(WorkerError::database("read types in the catalog of the source"))?;
        let mut table = Table::new(relation, &facts, kinds);
        if !table.has_key() && !facts.key.is_empty() {
            warn!(
                schema = table.schema,
                table = table.name,
                key = ?facts.key,
                "the table had other columns at the time; its changes have no primary_key"
            );
        }
        self.rules.apply(&mut table);
        if table.hides_key() {
            warn!(
                schema = table.schema,
                table = table.name,
                "a column of the key is masked; changes of the table have no primary_key"
            );
        }
        Ok(table)
    }

    /// Reads the rules for columns again, and applies them to tables that are known.
    ///
    /// # Errors
    ///
    /// [`WorkerError`] when the source fails, or there is no key and a rule asks for it.
    pub(crate) async fn read_rules<'t>(
        &mut self,
        tables: impl Iterator<Item = &'t mut Table>,
    ) -> Result<(), WorkerError> {
        self.rules = AppliedRules::read(&self.client, self.mask_key.as_ref()).await?;
        tables.for_each(|table| self.rules.apply(table));
        Ok(())
    }

    /// Leaves a heartbeat in the WAL: the stream has everything that committed before, when it has
    /// come to the returned position.
    ///
    /// # Errors
    ///
    /// [`WorkerError`] when the source fails.
    pub(crate) async fn heartbeat(&self) -> Result<Lsn, WorkerError> {
        let row = self
            .client
            .query_one(
                "SELECT (pg_logical_emit_message(true, '_bemi_heartbeat', '') - '0/0')::bigint",
                &[],
            )
            .await
            .map_err(WorkerError::database("leave a heartbeat in the source"))?;
        let position =
            row.try_get(0).map_err(WorkerError::database("leave a heartbeat in the source"))?;
        Ok(Lsn::from_bigint(position))
    }

    async fn facts(&self, relation: &Relation) -> Result<CatalogFacts, tokio_postgres::Error> {
        let row = self.client.query_opt(FACTS, &[&relation.oid]).await?;
        let Some(row) = row else { return Ok(CatalogFacts::of_dropped(relation)) };
        let key: Option<Vec<String>> = row.try_get(0)?;
        let leaves: Option<Vec<String>> = row.try_get(1)?;
        let old_row = match leaves {
            Some(leaves) => of_leaves(&leaves),
            // As the change was made, not as the catalog is now.
            None => OldRow::of(relation.replica_identity),
        };
        Ok(CatalogFacts { key: key.unwrap_or_default(), old_row })
    }

    /// One kind for each of `oids`, in order.
    async fn kinds(
        &self,
        oids: impl Iterator<Item = u32> + Clone,
    ) -> Result<Vec<Kind>, tokio_postgres::Error> {
        let mut types = HashMap::new();
        let mut wanted: HashSet<u32> = oids.clone().collect();
        loop {
            wanted.retain(|oid| Kind::of_builtin(*oid).is_none() && !types.contains_key(oid));
            if wanted.is_empty() {
                break;
            }
            let missing: Vec<u32> = wanted.drain().collect();
            for row in self.client.query(TYPES, &[&missing]).await? {
                let (oid, described) = Type::read(&row)?;
                wanted.extend(described.parts());
                types.insert(oid, described);
            }
            for oid in missing {
                types.entry(oid).or_insert(Type::Gone);
            }
        }
        Ok(oids.map(|oid| kind_of(oid, &types, 0)).collect())
    }
}

/// Whether the transaction with the 32-bit id $1 is over for everybody. Its epoch is that of the newest
/// id, or the one before; an id that seems to be ahead of that one is newer still.
const IS_VISIBLE: &str = "\
SELECT age < 2147483648 AND pg_catalog.pg_visible_in_snapshot((newest - age)::text::xid8, snapshot)
FROM (SELECT snapshot, newest, (newest - $1::bigint) & 4294967295 AS age
      FROM (SELECT snapshot, pg_catalog.pg_snapshot_xmax(snapshot)::text::bigint AS newest
            FROM pg_catalog.pg_current_snapshot() AS snapshot) s) s";

/// The key's columns in index order: of the primary key, else of the replica identity's index. And
/// the replica identities of a partitioned table's leaves; NULL for other tables.
const FACTS: &str = "\
SELECT (SELECT array_agg(a.attname::text ORDER BY k.place)
        FROM (SELECT i.indrelid, i.indkey, i.indnkeyatts FROM pg_catalog.pg_index i
              WHERE i.indrelid = c.oid AND (i.indisprimary OR i.indisreplident)
              ORDER BY i.indisprimary DESC LIMIT 1) i,
             LATERAL unnest(i.indkey) WITH ORDINALITY AS k(number, place)
             JOIN pg_catalog.pg_attribute a ON a.attnum = k.number
        WHERE a.attrelid = i.indrelid AND k.place <= i.indnkeyatts),
       CASE WHEN c.relkind = 'p' THEN
            ARRAY(SELECT DISTINCT leaf.relreplident::text
                  FROM pg_catalog.pg_partition_tree(c.oid) AS tree
                  JOIN pg_catalog.pg_class leaf ON leaf.oid = tree.relid
                  WHERE tree.isleaf)
       END
FROM pg_catalog.pg_class c WHERE c.oid = $1";

/// What an old row of a partitioned table is worth.
fn of_leaves(identities: &[String]) -> OldRow {
    let is_full = |letter: &String| {
        letter.bytes().next().and_then(ReplicaIdentity::from_letter) == Some(ReplicaIdentity::Full)
    };
    if identities.iter().all(is_full) {
        OldRow::Whole
    } else if identities.iter().any(is_full) {
        OldRow::Mixed
    } else {
        OldRow::Identity
    }
}

const TYPES: &str = "\
SELECT t.oid, t.typtype::text, t.typbasetype,
       CASE WHEN t.typsubscript = 'pg_catalog.array_subscript_handler'::pg_catalog.regproc
            THEN t.typelem ELSE 0 END,
       (SELECT e.typdelim::text FROM pg_catalog.pg_type e WHERE e.oid = t.typelem),
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
             ORDER BY a.attnum),
       ARRAY(SELECT a.atttypid FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
             ORDER BY a.attnum),
       t.typname = 'hstore' AND EXISTS (
             SELECT FROM pg_catalog.pg_depend d
             JOIN pg_catalog.pg_extension x ON x.oid = d.refobjid
             WHERE d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.objid = t.oid
               AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
               AND d.deptype = 'e' AND x.extname = 'hstore')
FROM pg_catalog.pg_type t WHERE t.oid = ANY ($1)";

/// A type, as the catalog describes it.
enum Type {
    Domain {
        base: u32,
    },
    Array {
        element: u32,
        delimiter: u8,
    },
    Composite {
        attributes: Vec<(String, u32)>,
    },
    Hstore,
    /// Written as its text.
    Scalar,
    /// Not there any more.
    Gone,
}

impl Type {
    fn read(row: &Row) -> Result<(u32, Self), tokio_postgres::Error> {
        let kind: String = row.try_get(1)?;
        let element: u32 = row.try_get(3)?;
        let delimiter: Option<String> = row.try_get(4)?;
        let described = match kind.as_str() {
            "d" => Self::Domain { base: row.try_get(2)? },
            "c" => {
                let names: Vec<String> = row.try_get(5)?;
                let types: Vec<u32> = row.try_get(6)?;
                Self::Composite { attributes: names.into_iter().zip(types).collect() }
            }
            _ if element != 0 => {
                let delimiter = delimiter.and_then(|text| text.bytes().next()).unwrap_or(b',');
                Self::Array { element, delimiter }
            }
            _ if row.try_get(7)? => Self::Hstore,
            _ => Self::Scalar,
        };
        Ok((row.try_get(0)?, described))
    }

    /// The types that this one is made of.
    fn parts(&self) -> Vec<u32> {
        match self {
            Self::Domain { base } => vec![*base],
            Self::Array { element, .. } => vec![*element],
            Self::Composite { attributes } => attributes.iter().map(|(_, oid)| *oid).collect(),
            Self::Hstore | Self::Scalar | Self::Gone => Vec::new(),
        }
    }
}

fn kind_of(oid: u32, types: &HashMap<u32, Type>, depth: usize) -> Kind {
    if let Some(kind) = Kind::of_builtin(oid) {
        return kind;
    }
    if depth > TYPE_DEPTH_MAX {
        return Kind::Unknown;
    }
    match types.get(&oid) {
        Some(Type::Domain { base }) => kind_of(*base, types, depth + 1),
        Some(Type::Array { element, delimiter }) => Kind::Array {
            element: Arc::new(kind_of(*element, types, depth + 1)),
            delimiter: *delimiter,
        },
        Some(Type::Composite { attributes }) => Kind::Composite {
            attributes: attributes
                .iter()
                .map(|(name, oid)| (name.clone(), Arc::new(kind_of(*oid, types, depth + 1))))
                .collect(),
        },
        Some(Type::Hstore) => Kind::Hstore,
        Some(Type::Scalar) => Kind::Text,
        Some(Type::Gone) | None => Kind::Unknown,
    }
}
