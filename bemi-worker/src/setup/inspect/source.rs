//! The source as it is found.

use std::collections::{BTreeMap, BTreeSet};

use bemi_core::Lsn;
use tokio_postgres::{Client, Error};

use super::ddl::DdlObjects;
use super::functions::{ContextObjects, are_current};
use super::table::{self, Table};
use crate::config::Config;
use crate::setup::ddl::DDL_TRIGGERS;
use crate::setup::functions::REQUEST_FUNCTIONS;
use crate::setup::source_schema;
use crate::setup::table_events::{TABLE_TRIGGERS, TRACKING_TRIGGER};
use crate::source::{GivenUp, SlotState, StoredRule};

/// The source as it is found.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) database: String,
    pub(crate) system_identifier: String,
    pub(crate) timeline: u32,
    /// As `server_version_num` has it: 150018.
    pub(crate) version: i32,
    pub(crate) is_standby: bool,
    pub(crate) wal_level: String,
    pub(crate) slots_used: i32,
    pub(crate) slots_max: i32,
    pub(crate) senders_used: i32,
    pub(crate) senders_max: i32,
    pub(crate) role: Role,
    pub(crate) tables: Vec<Table>,
    /// Ours by name; [`Installation`] knows whether they are ours.
    pub(crate) publications: Vec<Publication>,
    pub(crate) slot: Option<SlotState>,
    /// That a worker gave up a slot of this name.
    pub(crate) given_up: Option<GivenUp>,
    /// Whether schema `bemi` exists.
    pub(crate) has_schema: bool,
    /// What setup did here before.
    pub(crate) installation: Option<Installation>,
    /// Event triggers with the names of those that follow tables, and whether each fires.
    pub(crate) table_triggers: BTreeMap<String, bool>,
    /// The oids of tables of which event triggers have told what the slot may still have to send.
    pub(crate) told_by_triggers: BTreeSet<u32>,
    /// A role other than ours and without a superuser's rights that owns something in schema
    /// `bemi` that the event trigger relies on, and could make it do anything.
    pub(crate) untrusted_owner: Option<String>,
    /// Whether the event triggers' functions are those of this version.
    pub(crate) has_current_functions: bool,
    /// What records DDL.
    pub(crate) ddl: DdlObjects,
    /// By what SQL itself says its context.
    pub(crate) context: ContextObjects,
}

/// Who asks, and what it may do.
#[derive(Clone, Debug)]
pub(crate) struct Role {
    pub(crate) name: String,
    pub(crate) may_replicate: bool,
    pub(crate) may_create: bool,
    /// In schema `bemi`, where it exists.
    pub(crate) may_use_schema: bool,
    /// In schema `public`, where it exists.
    pub(crate) may_create_in_public: bool,
}

/// A publication with the name of one of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Publication {
    pub(crate) name: String,
    /// Names as they go into SQL.
    pub(crate) tables: BTreeSet<String>,
    /// Those of the tables that somebody has given a row filter or a column list, from 15 on.
    pub(crate) narrowed: BTreeSet<String>,
    /// Which of `insert`, `update`, `delete` and `truncate` it publishes, in this order.
    pub(crate) operations: Vec<String>,
    /// Whether changes of partitions are published as those of the partitioned table.
    pub(crate) is_via_root: bool,
    /// Whether stored generated columns are in it. No server before 18 can publish them.
    pub(crate) has_generated_columns: bool,
}

/// What setup did here before, as it wrote it down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Installation {
    pub(crate) records: Vec<Record>,
    /// Texts of the patterns of tracked tables, and of excluded ones.
    pub(crate) tracked: BTreeSet<String>,
    pub(crate) excluded: BTreeSet<String>,
    /// Texts of the patterns of tables whose old rows are to be whole.
    pub(crate) full: BTreeSet<String>,
    pub(crate) column_rules: Vec<StoredRule>,
    pub(crate) publication: Option<String>,
    /// Whether there is the table of slots that were given up; versions before had none.
    pub(crate) has_given_up: bool,
    /// Whether some of it is in tables that this version does not have.
    pub(crate) is_older: bool,
}

/// Something that setup made or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) kind: RecordKind,
    pub(crate) name: String,
    /// What it was before; of a slot, the position where it began.
    pub(crate) former: Option<String>,
}

/// What can be made or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordKind {
    ReplicaIdentity,
    Publication,
    EventTrigger,
    Slot,
    /// The slot of the original worker, from which ours is to go on; its former is the position
    /// where our publications begin.
    OriginalSlot,
    Function,
    /// That every role may use a schema.
    SchemaUsage,
    /// That the stream says that a table is tracked; its former is a position before that.
    TableEvent,
    /// That a slot is to survive a failover: standbys keep a copy of it.
    FailoverSlot,
    /// The role that the worker runs as; its former says what of the databases and of others' schemas it was
    /// given.
    WorkerRole,
    /// A role that reads what is stored, likewise.
    ReaderRole,
    /// Of a later version.
    Unknown,
}

impl RecordKind {
    /// As `bemi.installation` has it.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::ReplicaIdentity => "replica identity",
            Self::Publication => "publication",
            Self::EventTrigger => "event trigger",
            Self::Slot => "slot",
            Self::OriginalSlot => "original slot",
            Self::Function => "function",
            Self::SchemaUsage => "schema usage",
            Self::TableEvent => "table event",
            Self::FailoverSlot => "failover slot",
            Self::WorkerRole => "worker role",
            Self::ReaderRole => "reader role",
            Self::Unknown => "unknown",
        }
    }

    fn of(text: &str) -> Self {
        let known = [
            Self::ReplicaIdentity,
            Self::Publication,
            Self::EventTrigger,
            Self::Slot,
            Self::OriginalSlot,
            Self::Function,
            Self::SchemaUsage,
            Self::TableEvent,
            Self::FailoverSlot,
            Self::WorkerRole,
            Self::ReaderRole,
        ];
        known.into_iter().find(|kind| kind.text() == text).unwrap_or(Self::Unknown)
    }
}

impl Installation {
    /// Reads what setup wrote down, if it did. The role must be allowed to.
    pub(crate) async fn find(client: &Client) -> Result<Option<Self>, Error> {
        if exists(client, "installation").await? {
            read_installation(client).await.map(Some)
        } else {
            Ok(None)
        }
    }

    /// The record of a thing, if setup made it.
    pub(crate) fn record(&self, kind: RecordKind, name: &str) -> Option<&Record> {
        self.records.iter().find(|record| record.kind == kind && record.name == name)
    }

    /// Whether setup was told to record DDL.
    pub(crate) fn records_ddl(&self) -> bool {
        DDL_TRIGGERS.iter().any(|t| self.record(RecordKind::EventTrigger, t.name).is_some())
    }

    /// Whether setup was told to take the context of requests from PostgREST.
    pub(crate) fn takes_requests(&self) -> bool {
        REQUEST_FUNCTIONS
            .iter()
            .any(|function| self.record(RecordKind::Function, &function.signature()).is_some())
    }
}

impl Source {
    pub(crate) fn publication(&self, name: &str) -> Option<&Publication> {
        self.publications.iter().find(|publication| publication.name == name)
    }

    /// Whether setup made it.
    pub(crate) fn made(&self, kind: RecordKind, name: &str) -> bool {
        self.installation.as_ref().is_some_and(|made| made.record(kind, name).is_some())
    }

    /// Whether tables are followed as they are made and altered.
    pub(crate) fn has_event_triggers(&self) -> bool {
        TABLE_TRIGGERS.iter().all(|trigger| self.table_triggers.get(trigger.name) == Some(&true))
    }

    pub(crate) async fn inspect(client: &Client, config: &Config) -> Result<Self, Error> {
        let facts = client.query_one(FACTS, &[]).await?;
        let has_schema: Option<bool> = facts.try_get(13)?;
        let role = Role {
            name: facts.try_get(10)?,
            may_replicate: facts.try_get(11)?,
            may_create: facts.try_get(12)?,
            may_use_schema: has_schema.unwrap_or(true),
            may_create_in_public: facts.try_get(14)?,
        };
        let may_read = has_schema == Some(true) && role.may_use_schema;
        let installation = if may_read { Installation::find(client).await? } else { None };
        Ok(Self {
            database: facts.try_get(0)?,
            system_identifier: facts.try_get(1)?,
            timeline: u32::try_from(facts.try_get::<_, i32>(2)?).unwrap_or(0),
            version: facts.try_get(3)?,
            is_standby: facts.try_get(4)?,
            wal_level: facts.try_get(5)?,
            slots_used: facts.try_get(6)?,
            slots_max: facts.try_get(7)?,
            senders_used: facts.try_get(8)?,
            senders_max: facts.try_get(9)?,
            role,
            tables: table::read(client).await?,
            publications: read_publications(client, &config.publication.both()).await?,
            slot: SlotState::read(client, &config.slot).await?,
            given_up: GivenUp::read(client, &config.slot).await?,
            has_schema: has_schema.is_some(),
            installation,
            table_triggers: event_triggers(client, &TABLE_TRIGGERS.map(|t| t.name)).await?,
            told_by_triggers: read_told_by_triggers(client, config).await?,
            untrusted_owner: client
                .query_opt(UNTRUSTED_OWNER, &[])
                .await?
                .map(|row| row.try_get(0))
                .transpose()?,
            has_current_functions: are_current(client, source_schema::functions()).await?,
            ddl: DdlObjects::read(client).await?,
            context: ContextObjects::read(client).await?,
        })
    }

    /// Where the slot holds its WAL from, as far as it was acknowledged.
    pub(crate) fn slot_position(&self) -> Option<Lsn> {
        self.slot.as_ref().map(|slot| slot.confirmed)
    }
}

/// Which of these event triggers there are, and whether each fires.
pub(super) async fn event_triggers(
    client: &Client,
    names: &[&str],
) -> Result<BTreeMap<String, bool>, Error> {
    let rows = client
        .query(
            "SELECT evtname::text, evtenabled IN ('O', 'A') FROM pg_catalog.pg_event_trigger \
             WHERE evtname = ANY ($1)",
            &[&names],
        )
        .await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// What was put into a publication by a transaction that the slot may not have sent, after the event
/// triggers were made.
const TOLD_BY_TRIGGERS: &str = "
SELECT DISTINCT m.prrelid
FROM pg_catalog.pg_publication_rel m
JOIN pg_catalog.pg_publication p ON p.oid = m.prpubid
JOIN pg_catalog.pg_replication_slots s ON s.slot_name = $2
JOIN pg_catalog.pg_event_trigger t ON t.evtname = $3
WHERE p.pubname = ANY ($1)
  AND pg_catalog.age(m.xmin) < pg_catalog.age(t.xmin)
  AND pg_catalog.age(m.xmin) <= pg_catalog.age(s.catalog_xmin)";

async fn read_told_by_triggers(client: &Client, config: &Config) -> Result<BTreeSet<u32>, Error> {
    let publications = config.publication.both().to_vec();
    let slot = config.slot.as_str();
    let rows = client.query(TOLD_BY_TRIGGERS, &[&publications, &slot, &TRACKING_TRIGGER]).await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}

/// Managed services hand out replication by roles of their own.
const FACTS: &str = "
SELECT pg_catalog.current_database()::text,
       (SELECT system_identifier::text FROM pg_catalog.pg_control_system()),
       CASE WHEN pg_catalog.pg_is_in_recovery()
            THEN (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint())
            ELSE ('x' || pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 8))
                 ::bit(32)::int4
       END,
       pg_catalog.current_setting('server_version_num')::int4,
       pg_catalog.pg_is_in_recovery(),
       pg_catalog.current_setting('wal_level'),
       (SELECT count(*)::int4 FROM pg_catalog.pg_replication_slots),
       pg_catalog.current_setting('max_replication_slots')::int4,
       (SELECT count(*)::int4 FROM pg_catalog.pg_stat_replication),
       pg_catalog.current_setting('max_wal_senders')::int4,
       r.rolname::text,
       r.rolsuper OR r.rolreplication OR EXISTS (
           SELECT FROM pg_catalog.pg_roles g
           WHERE g.rolname IN ('rds_replication', 'rds_superuser')
             AND pg_catalog.pg_has_role(g.oid, 'USAGE')),
       pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'),
       (SELECT pg_catalog.has_schema_privilege(n.oid, 'USAGE')
               AND pg_catalog.has_schema_privilege(n.oid, 'CREATE')
        FROM pg_catalog.pg_namespace n WHERE n.nspname = 'bemi'),
       coalesce((SELECT pg_catalog.has_schema_privilege(n.oid, 'CREATE')
                 FROM pg_catalog.pg_namespace n WHERE n.nspname = 'public'), false)
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user";

const UNTRUSTED_OWNER: &str = "
SELECT r.rolname::text
FROM (SELECT n.nspowner FROM pg_catalog.pg_namespace n WHERE n.nspname = 'bemi'
      UNION
      SELECT c.relowner FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = 'bemi'
        AND c.relname IN ('installation', 'settings', 'tracked_tables', 'full_identity',
                          'column_rules')
      UNION
      SELECT p.proowner FROM pg_catalog.pg_proc p
      JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
      WHERE n.nspname = 'bemi'
     ) AS owners (oid)
JOIN pg_catalog.pg_roles r ON r.oid = owners.oid
WHERE NOT r.rolsuper AND r.rolname <> current_user
LIMIT 1";

/// Whether schema `bemi` has this table. The role must be allowed to use the schema.
pub(super) async fn exists(client: &Client, table: &str) -> Result<bool, Error> {
    let row = client
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c
                            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                            WHERE n.nspname = 'bemi' AND c.relname = $1 AND c.relkind = 'r')",
            &[&table],
        )
        .await?;
    row.try_get(0)
}

async fn read_installation(client: &Client) -> Result<Installation, Error> {
    let has_given_up = exists(client, "given_up").await?;
    let mut found = Installation { has_given_up, ..Installation::default() };
    let records = "SELECT kind, name, former FROM bemi.installation ORDER BY made_at, kind, name";
    for row in client.query(records, &[]).await? {
        let kind = RecordKind::of(row.try_get(0)?);
        found.records.push(Record { kind, name: row.try_get(1)?, former: row.try_get(2)? });
    }
    for row in client.query("SELECT pattern, excluded FROM bemi.tracked_tables", &[]).await? {
        let patterns = if row.try_get(1)? { &mut found.excluded } else { &mut found.tracked };
        patterns.insert(row.try_get(0)?);
    }
    let is_current: bool = client.query_one(ARE_RECORDS_CURRENT, &[]).await?.try_get(0)?;
    found.is_older = !is_current;
    if found.is_older {
        read_older_rules(client, &mut found).await?;
    }
    if exists(client, "column_rules").await? {
        found.column_rules.extend(StoredRule::read(client).await?);
    }
    if exists(client, "full_identity").await? {
        for row in client.query("SELECT pattern FROM bemi.full_identity", &[]).await? {
            found.full.insert(row.try_get(0)?);
        }
    }
    if let Some(row) = client.query_opt("SELECT publication FROM bemi.settings", &[]).await? {
        found.publication = Some(row.try_get(0)?);
    }
    Ok(found)
}

/// Whether the records are as this version has them, and not as versions before had them.
const ARE_RECORDS_CURRENT: &str = "
SELECT pg_catalog.to_regclass('bemi.column_rules') IS NOT NULL
       AND pg_catalog.to_regclass('bemi.full_identity') IS NOT NULL
       AND pg_catalog.to_regclass('bemi.excluded_columns') IS NULL
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute
                       WHERE attrelid = pg_catalog.to_regclass('bemi.settings')
                         AND attname = 'replica_identity' AND NOT attisdropped)";

/// The rules that are in tables which this version does not have: setup moves them.
async fn read_older_rules(client: &Client, found: &mut Installation) -> Result<(), Error> {
    let full = "SELECT EXISTS (SELECT FROM bemi.settings AS s
                               WHERE pg_catalog.to_jsonb(s) ->> 'replica_identity' = 'full')";
    if client.query_one(full, &[]).await?.try_get(0)? {
        found.full.insert("*.*".to_owned());
    }
    if exists(client, "excluded_columns").await? {
        let columns = "SELECT pg_catalog.concat_ws('.', schema_name, table_name, column_name)
                       FROM bemi.excluded_columns";
        for row in client.query(columns, &[]).await? {
            let mask = Some("drop".to_owned());
            found.column_rules.push(StoredRule { pattern: row.try_get(0)?, mask });
        }
    }
    Ok(())
}

/// What newer servers have is asked for by name, so that older ones take the query, too.
const PUBLICATIONS: &str = r#"
SELECT p.pubname::text, m.tables, m.narrowed,
       array_remove(ARRAY[CASE WHEN p.pubinsert THEN 'insert' END, CASE WHEN p.pubupdate THEN 'update' END,
                          CASE WHEN p.pubdelete THEN 'delete' END,
                          CASE WHEN p.pubtruncate THEN 'truncate' END], NULL),
       p.pubviaroot,
       coalesce(pg_catalog.to_jsonb(p) ->> 'pubgencols' = 's', false)
FROM pg_catalog.pg_publication p,
     LATERAL (SELECT coalesce(array_agg(name), '{}') AS tables,
                     coalesce(array_agg(name) FILTER (WHERE is_narrowed), '{}') AS narrowed
              FROM (SELECT pg_catalog.format('"%s"."%s"', pg_catalog.replace(n.nspname, '"', '""'),
                               pg_catalog.replace(c.relname, '"', '""')) AS name,
                           coalesce(pg_catalog.to_jsonb(m) ->> 'prqual',
                               pg_catalog.to_jsonb(m) ->> 'prattrs') IS NOT NULL AS is_narrowed
                    FROM pg_catalog.pg_publication_rel m
                    JOIN pg_catalog.pg_class c ON c.oid = m.prrelid
                    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                    WHERE m.prpubid = p.oid) m) m
WHERE p.pubname = ANY ($1)"#;

async fn read_publications(client: &Client, names: &[String]) -> Result<Vec<Publication>, Error> {
    let rows = client.query(PUBLICATIONS, &[&names]).await?;
    rows.iter()
        .map(|row| {
            Ok(Publication {
                name: row.try_get(0)?,
                tables: row.try_get::<_, Vec<String>>(1)?.into_iter().collect(),
                narrowed: row.try_get::<_, Vec<String>>(2)?.into_iter().collect(),
                operations: row.try_get(3)?,
                is_via_root: row.try_get(4)?,
                has_generated_columns: row.try_get(5)?,
            })
        })
        .collect()
}
