//! The tables of the source that can be stored, and what a table looks like.

use postgres_protocol::escape::escape_identifier;
use tokio_postgres::{Client, Error, Row};

use super::key::{KeyColumn, Selection};
use crate::config::Config;
use crate::config::pattern::TablePattern;
use crate::decode::{Column, Relation, ReplicaIdentity};
use crate::error::{Problems, WorkerError};

/// A table that is tracked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TrackedTable {
    pub(super) oid: u32,
    pub(super) schema: String,
    pub(super) name: String,
    /// How many rows the server thinks that there are.
    pub(super) estimated_rows: u64,
    may_read: bool,
    /// Row-level security would leave rows out.
    is_filtered: bool,
}

impl TrackedTable {
    /// Those of the publications, in the order of their names.
    pub(super) async fn read_all(
        client: &Client,
        config: &Config,
    ) -> Result<Vec<Self>, WorkerError> {
        let publications = config.publication.both();
        let publications: Vec<&str> = publications.iter().map(String::as_str).collect();
        let rows = client.query(TRACKED_TABLES, &[&publications]).await;
        rows.and_then(|rows| rows.iter().map(Self::read).collect())
            .map_err(WorkerError::database("read the tracked tables in the source"))
    }

    fn read(row: &Row) -> Result<Self, Error> {
        Ok(Self {
            oid: row.try_get(0)?,
            schema: row.try_get(1)?,
            name: row.try_get(2)?,
            estimated_rows: u64::try_from(row.try_get::<_, i64>(3)?).unwrap_or(0),
            may_read: row.try_get(4)?,
            is_filtered: row.try_get(5)?,
        })
    }

    /// The name for people.
    pub(super) fn name(&self) -> String {
        TablePattern::exactly(&self.schema, &self.name).to_string()
    }
}

/// Those of `tables` that `patterns` ask for; all, if there are none.
///
/// # Errors
///
/// [`WorkerError::Unready`] when a pattern matches nothing, or a table cannot be read whole.
pub(super) fn select(
    mut tables: Vec<TrackedTable>,
    patterns: &[TablePattern],
    config: &Config,
) -> Result<Vec<TrackedTable>, WorkerError> {
    let mut problems = Problems::default();
    let matches =
        |pattern: &TablePattern, table: &TrackedTable| pattern.matches(&table.schema, &table.name);
    for pattern in patterns {
        if !tables.iter().any(|table| matches(pattern, table)) {
            problems.requirement(format!(
                "no tracked table is named {pattern}; `bemi-worker setup --tables` tracks one, and \
                 partitions are stored under the table that they belong to"
            ));
        }
    }
    if !patterns.is_empty() {
        tables.retain(|table| patterns.iter().any(|pattern| matches(pattern, table)));
    }
    for table in &tables {
        let (name, role) = (table.name(), config.source.user());
        if !table.may_read {
            problems.not_allowed(format!(
                "role {role} may not read {name}: GRANT SELECT ON {}.{} TO {}",
                escape_identifier(&table.schema),
                escape_identifier(&table.name),
                escape_identifier(role)
            ));
        } else if table.is_filtered {
            problems.not_allowed(format!(
                "row-level security hides rows of {name} from role {role}, and what is hidden would \
                 be missing; run this as a role with BYPASSRLS"
            ));
        }
    }
    problems.into_result()?;
    Ok(tables)
}

/// What a table looks like, as one connection sees it.
///
/// Two that are equal say that nothing happened to the table in between that a snapshot does not
/// protect from: rewriting or truncating it makes all its rows vanish, for older snapshots too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    schema: String,
    name: String,
    is_partitioned: bool,
    replica_identity: ReplicaIdentity,
    /// Whether the stream has its changes.
    pub(super) is_tracked: bool,
    /// Those that the stream has.
    columns: Vec<ShapeColumn>,
    pub(super) key: Vec<KeyColumn>,
    members: Vec<Member>,
}

/// The table, or a partition of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Member {
    oid: u32,
    /// The file that it is in: another one after it was rewritten or truncated.
    file: u32,
    /// Whether the stream knows of its rows.
    is_in_wal: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct ShapeColumn {
    /// Tells a column from another one that was dropped and had its name.
    number: i16,
    name: String,
    type_oid: u32,
    in_identity: bool,
}

impl Shape {
    /// Looks at a table; `None` where there is no such table.
    ///
    /// # Errors
    ///
    /// [`WorkerError`] when the source fails.
    pub(super) async fn read(
        client: &Client,
        oid: u32,
        config: &Config,
    ) -> Result<Option<Self>, WorkerError> {
        Self::query(client, oid, config)
            .await
            .map_err(WorkerError::database("read a table in the catalog of the source"))
    }

    async fn query(client: &Client, oid: u32, config: &Config) -> Result<Option<Self>, Error> {
        let publications = config.publication.both();
        let publications: Vec<&str> = publications.iter().map(String::as_str).collect();
        let Some(table) = client.query_opt(SHAPE, &[&oid, &publications]).await? else {
            return Ok(None);
        };
        let columns = client.query(COLUMNS, &[&oid, &publications]).await?;
        let key = client.query(KEY, &[&oid]).await?;
        let members = client.query(MEMBERS, &[&oid]).await?;
        let identity: String = table.try_get(3)?;
        let identity = identity.bytes().next().and_then(ReplicaIdentity::from_letter);
        Ok(Some(Self {
            schema: table.try_get(0)?,
            name: table.try_get(1)?,
            is_partitioned: table.try_get(2)?,
            replica_identity: identity.unwrap_or(ReplicaIdentity::Default),
            is_tracked: table.try_get(4)?,
            columns: columns
                .iter()
                .map(|row| {
                    Ok(ShapeColumn {
                        number: row.try_get(0)?,
                        name: row.try_get(1)?,
                        type_oid: row.try_get(2)?,
                        in_identity: row.try_get(3)?,
                    })
                })
                .collect::<Result<_, Error>>()?,
            key: key.iter().map(key_column).collect::<Result<_, _>>()?,
            members: members
                .iter()
                .map(|row| {
                    let (oid, file) = (row.try_get(0)?, row.try_get(1)?);
                    Ok(Member { oid, file, is_in_wal: row.try_get(2)? })
                })
                .collect::<Result<_, Error>>()?,
        }))
    }

    /// The table as the stream would describe it.
    pub(super) fn relation(&self, oid: u32) -> Relation {
        Relation {
            oid,
            schema: self.schema.clone(),
            name: self.name.clone(),
            replica_identity: self.replica_identity,
            columns: self
                .columns
                .iter()
                .map(|column| Column {
                    name: column.name.clone(),
                    in_identity: column.in_identity,
                    type_oid: column.type_oid,
                })
                .collect(),
        }
    }

    pub(super) fn column_names(&self) -> Vec<String> {
        self.columns.iter().map(|column| column.name.clone()).collect()
    }

    /// What is to be read of it.
    pub(super) fn selection<'a>(&'a self, columns: &'a [String]) -> Selection<'a> {
        Selection {
            schema: &self.schema,
            table: &self.name,
            // Tables that inherit are tracked, and stored, as tables of their own.
            only: !self.is_partitioned,
            columns,
            left_out: self
                .members
                .iter()
                .filter(|member| !member.is_in_wal)
                .map(|member| member.oid)
                .collect(),
        }
    }
}

fn key_column(row: &Row) -> Result<KeyColumn, Error> {
    Ok(KeyColumn {
        name: row.try_get(0)?,
        data_type: row.try_get(1)?,
        equal: (row.try_get(2)?, row.try_get(3)?),
        greater: (row.try_get(4)?, row.try_get(5)?),
    })
}

/// The estimate is that of the leaves: their root has one of its own at times.
const TRACKED_TABLES: &str = "\
SELECT DISTINCT c.oid, n.nspname::text, c.relname::text,
       (SELECT coalesce(sum(greatest(l.reltuples, 0)), 0)::int8 FROM pg_catalog.pg_class l
        WHERE l.relkind <> 'p'
          AND l.oid IN (SELECT c.oid UNION SELECT relid FROM pg_catalog.pg_partition_tree(c.oid))),
       pg_catalog.has_table_privilege(c.oid, 'SELECT')
           AND pg_catalog.has_schema_privilege(n.oid, 'USAGE'),
       pg_catalog.row_security_active(c.oid)
FROM pg_catalog.pg_publication p
JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid
JOIN pg_catalog.pg_class c ON c.oid = r.prrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE p.pubname = ANY ($1)
ORDER BY 2, 3";

const SHAPE: &str = "\
SELECT n.nspname::text, c.relname::text, c.relkind = 'p', c.relreplident::text,
       EXISTS (SELECT FROM pg_catalog.pg_publication p
               JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid
               WHERE p.pubname = ANY ($2) AND r.prrelid = c.oid)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = $1";

/// Generated columns are in the stream from version 18 on, where the publication says so.
const COLUMNS: &str = "\
SELECT a.attnum, a.attname::text, a.atttypid,
       c.relreplident = 'f' OR EXISTS (
           SELECT FROM pg_catalog.pg_index i
           WHERE i.indrelid = c.oid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
             AND CASE c.relreplident WHEN 'd' THEN i.indisprimary AND i.indimmediate
                                     WHEN 'i' THEN i.indisreplident ELSE false END)
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
  AND (a.attgenerated = '' OR a.attgenerated = 's' AND EXISTS (
       SELECT FROM pg_catalog.pg_publication p
       JOIN pg_catalog.pg_publication_rel r ON r.prpubid = p.oid
       WHERE p.pubname = ANY ($2) AND r.prrelid = $1
         AND pg_catalog.to_jsonb(p) ->> 'pubgencols' = 's'))
ORDER BY a.attnum";

/// The columns of an index that names each row once and whose order is that of ORDER BY: of the
/// primary key, else of the replica identity. None, unless all of them are like that.
const KEY: &str = "\
WITH key AS (
    SELECT i.indrelid, i.indnkeyatts, i.indkey::int2[] AS columns, i.indclass::oid[] AS classes,
           i.indcollation::oid[] AS collations
    FROM pg_catalog.pg_index i
    WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
      AND i.indexprs IS NULL AND (i.indisprimary OR i.indisreplident)
    ORDER BY i.indisprimary DESC LIMIT 1
), of_key AS (
    SELECT k.place, a.attname::text AS name,
           pg_catalog.format_type(a.atttypid, -1) AS data_type,
           eqn.nspname::text AS equal_schema, eq.oprname::text AS equal,
           gtn.nspname::text AS greater_schema, gt.oprname::text AS greater
    FROM key
    CROSS JOIN LATERAL unnest(key.columns, key.classes, key.collations)
         WITH ORDINALITY AS k (number, class, collated_by, place)
    JOIN pg_catalog.pg_attribute a
      ON a.attrelid = key.indrelid AND a.attnum = k.number AND a.attnotnull
     AND k.collated_by IN (0, a.attcollation)
    JOIN pg_catalog.pg_opclass c ON c.oid = k.class AND c.opcdefault
    JOIN pg_catalog.pg_am m ON m.oid = c.opcmethod AND m.amname = 'btree'
    JOIN pg_catalog.pg_amop eqm
      ON eqm.amopfamily = c.opcfamily AND eqm.amopstrategy = 3
     AND eqm.amoplefttype = c.opcintype AND eqm.amoprighttype = c.opcintype
    JOIN pg_catalog.pg_operator eq ON eq.oid = eqm.amopopr
    JOIN pg_catalog.pg_namespace eqn ON eqn.oid = eq.oprnamespace
    JOIN pg_catalog.pg_amop gtm
      ON gtm.amopfamily = c.opcfamily AND gtm.amopstrategy = 5
     AND gtm.amoplefttype = c.opcintype AND gtm.amoprighttype = c.opcintype
    JOIN pg_catalog.pg_operator gt ON gt.oid = gtm.amopopr
    JOIN pg_catalog.pg_namespace gtn ON gtn.oid = gt.oprnamespace
    WHERE k.place <= key.indnkeyatts
)
SELECT name, data_type, equal_schema, equal, greater_schema, greater
FROM of_key
WHERE (SELECT count(*) FROM of_key) = (SELECT indnkeyatts FROM key)
ORDER BY place";

const MEMBERS: &str = "\
WITH RECURSIVE tree (oid) AS (
    SELECT $1::oid
    UNION ALL
    SELECT i.inhrelid FROM tree
    JOIN pg_catalog.pg_class p ON p.oid = tree.oid AND p.relkind = 'p'
    JOIN pg_catalog.pg_inherits i ON i.inhparent = p.oid
)
SELECT c.oid, c.relfilenode, c.relpersistence = 'p' AND c.relkind <> 'f'
FROM tree JOIN pg_catalog.pg_class c ON c.oid = tree.oid
ORDER BY c.oid";
