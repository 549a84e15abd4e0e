//! The destination as it is found.

use std::collections::BTreeSet;

use bemi_core::changes_table::{COLUMNS, INDEXES, Index, TABLE};
use tokio_postgres::{Client, Error};

use super::source::exists;
use super::table::Table;
use crate::chain::HeadState;
use crate::config::Config;
use crate::partitions::Shape;
use crate::setup::append_only;
use crate::setup::sql_pack::InstalledPack;
use crate::sink::{Checkpoint, TABLES_VERSION, tables_version};

/// The tables of the worker's own.
const OWN_TABLES: [&str; 10] = [
    "checkpoint",
    "gaps",
    "quarantine",
    "backfill",
    "table_events",
    "retention",
    "chain_heads",
    "chain",
    "chain_rows",
    "erasures",
];

/// What the comment on a table that was taken over says, so that it is never dropped as ours.
pub(crate) const ADOPTED: &str = "taken over from the original worker with its rows";

/// The destination as it is found.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    pub(crate) database: String,
    pub(crate) system_identifier: String,
    pub(crate) is_standby: bool,
    pub(crate) role: String,
    pub(crate) may_create: bool,
    pub(crate) has_schema: bool,
    pub(crate) may_use_schema: bool,
    pub(crate) has_changes_schema: bool,
    pub(crate) may_use_changes_schema: bool,
    /// Whether all of the worker's own tables are there, as this version has them.
    pub(crate) has_own_tables: bool,
    /// Of which version they are, where that is a later one than this worker knows.
    pub(crate) newer_version: Option<i32>,
    pub(crate) changes: Option<ChangesTable>,
    /// What partitions `changes` has.
    pub(crate) shape: Shape,
    pub(crate) checkpoint: Option<Checkpoint>,
    /// The tables of which it is known that they are tracked: schema, name and oid.
    pub(crate) table_events: BTreeSet<(String, String, u32)>,
    pub(crate) sql_pack: InstalledPack,
    /// Whether what is stored of this slot is to be covered by a chain of hashes.
    pub(crate) has_tamper_evidence: bool,
    /// Whether there is a schema for views of the past.
    pub(crate) has_past_schema: bool,
    /// Whether `changes` refuses what is not an addition, as this version has it.
    pub(crate) is_append_only: bool,
}

/// A relation named `changes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChangesTable {
    pub(crate) is_table: bool,
    /// Whether it was another's, with rows that we did not store.
    pub(crate) is_adopted: bool,
    /// Name, type as `format_type` spells it, whether NOT NULL, whether it fills itself in.
    pub(crate) columns: Vec<(String, String, bool, bool)>,
    /// The columns of its primary key.
    pub(crate) key: Vec<String>,
    /// Its indexes that are valid: name, and what the server shows behind `USING`.
    pub(crate) indexes: Vec<(String, String)>,
}

impl ChangesTable {
    /// The indexes of ours that it lacks, also where another one has the name.
    pub(crate) fn missing_indexes(&self) -> impl Iterator<Item = &'static Index> + '_ {
        INDEXES.iter().filter(|ours| {
            !self.indexes.iter().any(|(_, definition)| definition == ours.definition)
        })
    }

    /// Why this is not the table that the worker stores into; `None` if it is.
    pub(crate) fn unlike_ours(&self) -> Option<String> {
        if !self.is_table {
            return Some("it is not a table".to_owned());
        }
        for ours in COLUMNS {
            let Some((_, data_type, not_null, _)) =
                self.columns.iter().find(|(name, ..)| name == ours.name)
            else {
                return Some(format!("it has no column {}", ours.name));
            };
            if data_type != ours.data_type {
                let (name, expected) = (ours.name, ours.data_type);
                return Some(format!("its column {name} is {data_type}, not {expected}"));
            }
            // The worker stores nulls there.
            if *not_null && !ours.not_null {
                return Some(format!("its column {} is NOT NULL", ours.name));
            }
        }
        for (name, _, not_null, fills_itself_in) in &self.columns {
            let is_ours = COLUMNS.iter().any(|ours| ours.name == name);
            if !is_ours && *not_null && !fills_itself_in {
                return Some(format!("its column {name} is NOT NULL and has no default"));
            }
        }
        if self.key != ["committed_at", "id"] {
            return Some("its primary key is not (committed_at, id)".to_owned());
        }
        None
    }
}

impl Destination {
    /// Whether it is known since when the table is tracked.
    pub(crate) fn tells_of(&self, table: &Table) -> bool {
        self.table_events.contains(&(table.schema.clone(), table.name.clone(), table.oid))
    }

    pub(super) async fn inspect(client: &Client, config: &Config) -> Result<Self, Error> {
        let facts = client.query_one(FACTS, &[&config.changes_schema]).await?;
        let may_use_schema: Option<bool> = facts.try_get(5)?;
        let may_use_changes_schema: Option<bool> = facts.try_get(6)?;
        let mut has_own_tables = may_use_schema == Some(true);
        let version = if has_own_tables { tables_version(client).await? } else { None };
        for table in OWN_TABLES {
            has_own_tables = has_own_tables && exists(client, table).await?;
        }
        if has_own_tables {
            has_own_tables = version >= Some(TABLES_VERSION);
        }
        let has_checkpoint = may_use_schema == Some(true) && exists(client, "checkpoint").await?;
        let checkpoint = if has_checkpoint {
            Checkpoint::read(client, config.slot.as_str()).await?
        } else {
            None
        };
        let has_events = may_use_schema == Some(true) && exists(client, "table_events").await?;
        let table_events = if has_events {
            read_table_events(client, config.slot.as_str()).await?
        } else {
            BTreeSet::new()
        };
        let has_tamper_evidence = may_use_schema == Some(true)
            && HeadState::read(client, config.slot.as_str())
                .await?
                .is_some_and(|head| head.is_wanted);
        let sql_pack = if may_use_schema == Some(true) {
            InstalledPack::read(client).await?
        } else {
            InstalledPack::default()
        };
        Ok(Self {
            database: facts.try_get(0)?,
            system_identifier: facts.try_get(1)?,
            is_standby: facts.try_get(2)?,
            role: facts.try_get(3)?,
            may_create: facts.try_get(4)?,
            has_schema: may_use_schema.is_some(),
            may_use_schema: may_use_schema.unwrap_or(true),
            has_changes_schema: may_use_changes_schema.is_some(),
            may_use_changes_schema: may_use_changes_schema.unwrap_or(true),
            has_own_tables,
            newer_version: version.filter(|version| *version > TABLES_VERSION),
            changes: read_changes(client, &config.changes_schema).await?,
            shape: Shape::read(client, &config.changes_schema).await?,
            checkpoint,
            table_events,
            sql_pack,
            has_tamper_evidence,
            has_past_schema: facts.try_get(7)?,
            is_append_only: is_append_only(client, &config.changes_schema).await?,
        })
    }
}

const FACTS: &str = "
SELECT pg_catalog.current_database()::text,
       (SELECT system_identifier::text FROM pg_catalog.pg_control_system()),
       pg_catalog.pg_is_in_recovery(),
       current_user::text,
       pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'),
       (SELECT pg_catalog.has_schema_privilege(n.oid, 'USAGE')
               AND pg_catalog.has_schema_privilege(n.oid, 'CREATE')
        FROM pg_catalog.pg_namespace n WHERE n.nspname = 'bemi'),
       (SELECT pg_catalog.has_schema_privilege(n.oid, 'USAGE')
               AND pg_catalog.has_schema_privilege(n.oid, 'CREATE')
        FROM pg_catalog.pg_namespace n WHERE n.nspname = $1),
       pg_catalog.to_regnamespace('bemi_past') IS NOT NULL";

/// Whether both triggers are there and fire, and run what they are to run.
const IS_APPEND_ONLY: &str = "
SELECT count(*) = 2
FROM pg_catalog.pg_trigger g
JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid
JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace
JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2 AND g.tgname = ANY ($3) AND g.tgenabled IN ('O', 'A')
  AND pn.nspname = 'bemi' AND p.proname = $4 AND p.prosrc = $5";

async fn is_append_only(client: &Client, schema: &str) -> Result<bool, Error> {
    let triggers = [append_only::ROW_TRIGGER, append_only::TRUNCATE_TRIGGER];
    let (function, body) = (append_only::FUNCTION, append_only::BODY);
    client
        .query_one(IS_APPEND_ONLY, &[&schema, &TABLE, &triggers.as_slice(), &function, &body])
        .await?
        .try_get(0)
}

/// The last event of each name.
const TABLE_EVENTS: &str = "
SELECT schema, \"table\", relation
FROM (SELECT DISTINCT ON (schema, \"table\") schema, \"table\", relation, event
      FROM bemi.table_events WHERE slot = $1
      ORDER BY schema, \"table\", commit_position DESC, sequence DESC, ordinal DESC) AS events
WHERE event IN ('tracked', 'created', 'altered')";

async fn read_table_events(
    client: &Client,
    slot: &str,
) -> Result<BTreeSet<(String, String, u32)>, Error> {
    let rows = client.query(TABLE_EVENTS, &[&slot]).await?;
    rows.iter()
        .map(|row| {
            let relation = u32::try_from(row.try_get::<_, i64>(2)?).unwrap_or(0);
            Ok((row.try_get(0)?, row.try_get(1)?, relation))
        })
        .collect()
}

async fn read_changes(client: &Client, schema: &str) -> Result<Option<ChangesTable>, Error> {
    let row = client
        .query_opt(
            "SELECT c.oid, c.relkind IN ('r', 'p'),
                    ARRAY(SELECT a.attname::text FROM pg_catalog.pg_index x
                          CROSS JOIN LATERAL unnest(x.indkey::int2[]) WITH ORDINALITY k (attnum, place)
                          JOIN pg_catalog.pg_attribute a
                            ON a.attrelid = c.oid AND a.attnum = k.attnum
                          WHERE x.indrelid = c.oid AND x.indisprimary
                          ORDER BY k.place),
                    coalesce(pg_catalog.strpos(pg_catalog.obj_description(c.oid, 'pg_class'), $3) > 0,
                             false)
             FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = $1 AND c.relname = $2",
            &[&schema, &TABLE, &ADOPTED],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    let oid: u32 = row.try_get(0)?;
    let columns = client
        .query(
            "SELECT a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull,
                    a.atthasdef OR a.attidentity <> ''
             FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
            &[&oid],
        )
        .await?
        .iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?)))
        .collect::<Result<_, Error>>()?;
    Ok(Some(ChangesTable {
        is_table: row.try_get(1)?,
        is_adopted: row.try_get(3)?,
        columns,
        key: row.try_get(2)?,
        indexes: read_indexes(client, oid).await?,
    }))
}

async fn read_indexes(client: &Client, table: u32) -> Result<Vec<(String, String)>, Error> {
    let rows = client
        .query(
            "SELECT c.relname::text, pg_catalog.pg_get_indexdef(c.oid)
             FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class c ON c.oid = x.indexrelid
             WHERE x.indrelid = $1 AND x.indisvalid",
            &[&table],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let whole: String = row.try_get(1)?;
            // Names before it may hold anything; what is behind it is of `changes`, whose columns' do not.
            let definition = whole.rsplit_once(" USING ").map_or("", |(_, definition)| definition);
            Ok((row.try_get(0)?, definition.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> ChangesTable {
        ChangesTable {
            is_table: true,
            is_adopted: false,
            columns: COLUMNS
                .iter()
                .map(|c| (c.name.to_owned(), c.data_type.to_owned(), c.not_null, false))
                .collect(),
            key: vec!["committed_at".to_owned(), "id".to_owned()],
            indexes: Vec::new(),
        }
    }

    #[test]
    fn an_index_is_known_by_what_it_is_of_and_not_by_its_name() {
        let mut table = ours();
        assert_eq!(table.missing_indexes().count(), INDEXES.len());
        table.indexes = INDEXES
            .iter()
            .map(|index| (format!("other_{}", index.name), index.definition.to_owned()))
            .collect();
        table.indexes[0].1 = "btree (\"table\", primary_key, committed_at)".to_owned();
        let missing: Vec<_> = table.missing_indexes().map(|index| index.name).collect();
        assert_eq!(missing, ["changes_record_idx"]);
    }

    #[test]
    fn our_table_is_recognised_also_with_a_column_that_fills_itself_in() {
        assert_eq!(ours().unlike_ours(), None);
        let mut extended = ours();
        extended.columns.push(("note".to_owned(), "text".to_owned(), false, false));
        extended.columns.push(("region".to_owned(), "text".to_owned(), true, true));
        assert_eq!(extended.unlike_ours(), None);
    }

    #[test]
    fn somebody_elses_table_is_not() {
        let mut view = ours();
        view.is_table = false;
        let mut short = ours();
        short.columns.pop();
        let mut other_type = ours();
        other_type.columns[1].1 = "bigint".to_owned();
        let mut demanding = ours();
        demanding.columns.push(("tenant".to_owned(), "text".to_owned(), true, false));
        let mut without_key = ours();
        without_key.key.clear();
        for table in [view, short, other_type, demanding, without_key] {
            assert!(table.unlike_ours().is_some(), "{table:?}");
        }
    }
}
