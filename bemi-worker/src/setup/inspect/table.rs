//! The tables of the source, and what of them can be published.

use std::collections::{BTreeSet, HashMap};

use postgres_protocol::escape::escape_identifier;
use tokio_postgres::{Client, Error};

use crate::config::pattern::TablePattern;

/// A table that could be tracked, or says why it cannot be. Partitions are part of their root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) oid: u32,
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) persistence: Persistence,
    /// Foreign tables have no WAL here.
    pub(crate) is_foreign: bool,
    /// An extension's own table, which its updates may drop.
    pub(crate) is_of_extension: bool,
    /// The names of its columns.
    pub(crate) columns: Vec<String>,
    /// The columns of the primary key, else those of the replica identity index.
    pub(crate) key_columns: Vec<String>,
    pub(crate) has_virtual_columns: bool,
    /// Whether it has stored generated columns.
    pub(crate) has_stored_columns: bool,
    pub(crate) is_partitioned: bool,
    /// Whether the role that asks may change it.
    pub(crate) is_owned: bool,
    /// Itself, and below a partitioned table every partition. Foreign and unlogged ones left out.
    pub(crate) members: Vec<Member>,
    /// What of it is a partition, for those who name one: its root.
    pub(crate) root: Option<(String, String)>,
}

/// A table or a partition, as far as the identity of its rows is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) schema: String,
    pub(crate) name: String,
    pub(crate) identity: ReplicaIdentity,
    /// Whether rows have an identity, so that UPDATE and DELETE can be published.
    pub(crate) is_identified: bool,
    /// Whether it has a primary key that can be the identity.
    pub(crate) has_key: bool,
    /// Not of a partitioned table itself.
    pub(crate) holds_rows: bool,
}

/// Whether a table is in the WAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persistence {
    Permanent,
    Unlogged,
    Temporary,
}

/// What the WAL holds of a row before its change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReplicaIdentity {
    Default,
    Nothing,
    Full,
    Index(String),
}

impl Table {
    /// The name for people.
    pub(crate) fn name(&self) -> String {
        TablePattern::exactly(&self.schema, &self.name).to_string()
    }

    /// The name as it goes into SQL.
    pub(crate) fn quoted(&self) -> String {
        quoted(&self.schema, &self.name)
    }

    /// Whether one of the patterns is of it.
    pub(crate) fn is_any_of(&self, patterns: &BTreeSet<TablePattern>) -> bool {
        patterns.iter().any(|pattern| pattern.matches(&self.schema, &self.name))
    }

    /// Whether UPDATE and DELETE can be published: published without, the application's own
    /// statements would fail.
    pub(crate) fn is_identified(&self) -> bool {
        self.members.iter().all(|member| member.is_identified)
    }

    /// Whether every old row will be whole.
    pub(crate) fn is_full(&self) -> bool {
        self.members.iter().all(|member| member.identity == ReplicaIdentity::Full)
    }

    /// Whether some old rows are whole.
    pub(crate) fn has_full_member(&self) -> bool {
        self.members.iter().any(|member| member.identity == ReplicaIdentity::Full)
    }

    /// Whether its changes reach the WAL at all.
    pub(crate) fn is_in_wal(&self) -> bool {
        self.persistence == Persistence::Permanent && !self.is_foreign
    }
}

impl Member {
    /// The name for people.
    pub(crate) fn name(&self) -> String {
        TablePattern::exactly(&self.schema, &self.name).to_string()
    }

    pub(crate) fn quoted(&self) -> String {
        quoted(&self.schema, &self.name)
    }
}

impl ReplicaIdentity {
    /// As `ALTER TABLE … REPLICA IDENTITY` takes it.
    pub(crate) fn clause(&self) -> String {
        match self {
            Self::Default => "DEFAULT".to_owned(),
            Self::Nothing => "NOTHING".to_owned(),
            Self::Full => "FULL".to_owned(),
            Self::Index(name) => format!("USING INDEX {}", escape_identifier(name)),
        }
    }
}

pub(crate) fn quoted(schema: &str, name: &str) -> String {
    format!("{}.{}", escape_identifier(schema), escape_identifier(name))
}

/// All tables but temporary ones and those of the system and of the worker; partitions after their
/// roots.
const TABLES: &str = "
SELECT n.nspname::text, c.relname::text, c.relkind::text, c.relpersistence::text, c.relreplident::text,
       (SELECT i.relname::text FROM pg_catalog.pg_index x
        JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
        WHERE x.indrelid = c.oid AND x.indisreplident AND x.indisvalid),
       -- The server takes no deferrable key for an identity.
       EXISTS (SELECT FROM pg_catalog.pg_index x
               WHERE x.indrelid = c.oid AND x.indisprimary AND x.indimmediate AND x.indisvalid),
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_index x
             JOIN pg_catalog.pg_attribute a
               ON a.attrelid = c.oid
              AND a.attnum = ANY ((x.indkey::int2[])[0:x.indnkeyatts - 1])
             WHERE x.indrelid = c.oid AND (x.indisprimary OR x.indisreplident AND NOT EXISTS (
                 SELECT FROM pg_catalog.pg_index k WHERE k.indrelid = c.oid AND k.indisprimary))),
       EXISTS (SELECT FROM pg_catalog.pg_attribute a
               WHERE a.attrelid = c.oid AND a.attgenerated = 'v' AND NOT a.attisdropped),
       pg_catalog.pg_has_role(c.relowner, 'USAGE'),
       EXISTS (SELECT FROM pg_catalog.pg_depend d
               WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid
                 AND d.deptype = 'e'),
       rn.nspname::text, rc.relname::text,
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
             ORDER BY a.attnum),
       EXISTS (SELECT FROM pg_catalog.pg_attribute a
               WHERE a.attrelid = c.oid AND a.attgenerated = 's' AND NOT a.attisdropped),
       c.oid
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_class rc
  ON c.relispartition AND rc.oid = pg_catalog.pg_partition_root(c.oid)
LEFT JOIN pg_catalog.pg_namespace rn ON rn.oid = rc.relnamespace
WHERE c.relkind IN ('r', 'p', 'f')
  AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname NOT IN ('information_schema', 'bemi')
ORDER BY c.relispartition, n.nspname, c.relname";

/// Reads all tables, partitions folded into their roots; those partitions come again, with their
/// root, so that somebody who names one can be told.
pub(super) async fn read(client: &Client) -> Result<Vec<Table>, Error> {
    let mut tables: Vec<Table> = Vec::new();
    let mut roots: HashMap<(String, String), usize> = HashMap::new();
    for row in client.query(TABLES, &[]).await? {
        let (schema, name): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let kind: String = row.try_get(2)?;
        let persistence = match row.try_get::<_, String>(3)?.as_str() {
            "p" => Persistence::Permanent,
            "u" => Persistence::Unlogged,
            _ => Persistence::Temporary,
        };
        let index: Option<String> = row.try_get(5)?;
        let has_virtual_columns: bool = row.try_get(8)?;
        let has_primary_key: bool = row.try_get(6)?;
        let (identity, is_identified) = match (row.try_get::<_, String>(4)?.as_str(), index) {
            // The server refuses UPDATE and DELETE where such columns are part of the identity.
            ("f", _) => (ReplicaIdentity::Full, !has_virtual_columns),
            ("i", Some(index)) => (ReplicaIdentity::Index(index), true),
            // The index is gone, and the identity with it.
            ("i" | "n", _) => (ReplicaIdentity::Nothing, false),
            _ => (ReplicaIdentity::Default, has_primary_key),
        };
        let root: Option<(String, String)> =
            row.try_get::<_, Option<String>>(11)?.zip(row.try_get::<_, Option<String>>(12)?);
        let is_foreign = kind == "f";
        let member = Member {
            schema: schema.clone(),
            name: name.clone(),
            identity,
            is_identified,
            has_key: has_primary_key,
            holds_rows: kind != "p",
        };
        let table = Table {
            oid: row.try_get(15)?,
            schema,
            name,
            persistence,
            is_foreign,
            is_of_extension: row.try_get(10)?,
            columns: row.try_get(13)?,
            key_columns: row.try_get(7)?,
            has_virtual_columns,
            has_stored_columns: row.try_get(14)?,
            is_partitioned: kind == "p",
            is_owned: row.try_get(9)?,
            members: vec![member.clone()],
            root: root.clone(),
        };
        if let Some((root_schema, root_name)) = root
            && table.is_in_wal()
        {
            // Roots come first.
            let place = roots.get(&(root_schema, root_name));
            if let Some(root) = place.and_then(|place| tables.get_mut(*place)) {
                root.members.push(member);
                root.is_owned &= table.is_owned;
            }
        }
        if kind == "p" && table.root.is_none() {
            roots.insert((table.schema.clone(), table.name.clone()), tables.len());
        }
        tables.push(table);
    }
    Ok(tables)
}
