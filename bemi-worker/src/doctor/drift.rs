//! What somebody, or another version, has made of the tables that the worker stores into, and of the SQL
//! pack.

use std::collections::{BTreeMap, BTreeSet};

use bemi_core::changes_table::{INDEXES, TABLE};
use postgres_protocol::escape::escape_identifier;
use tokio_postgres::{Client, Error};

use super::checks::Subject;
use super::declared::{self, Columns};
use super::finding::Diagnosis;
use crate::config::Config;
use crate::setup::sql_pack;

/// What is found of these tables in the destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Drift {
    /// The tables of schema `bemi`, with their columns and types.
    own: BTreeMap<String, Columns>,
    /// Tables of ours that are not in the WAL, and so are empty after a crash.
    unlogged: Vec<String>,
    /// Triggers on `changes` that fire, and are not ours.
    triggers: Vec<String>,
    /// Whether row-level security stands in the way of this role.
    is_row_security_active: bool,
    /// Constraints of `changes` beside its key: name and definition.
    constraints: Vec<(String, String)>,
    /// Its indexes beside those of the constraints: name, definition, whether unique.
    indexes: Vec<(String, String, bool)>,
}

impl Drift {
    pub(super) async fn read(client: &Client, config: &Config) -> Result<Self, Error> {
        let mut found = Self::default();
        for row in client.query(OWN_COLUMNS, &[]).await? {
            let columns: &mut Columns = found.own.entry(row.try_get(0)?).or_default();
            columns.insert(row.try_get(1)?, row.try_get(2)?);
        }
        let schema = &config.changes_schema;
        for row in client.query(UNLOGGED, &[schema, &TABLE]).await? {
            found.unlogged.push(row.try_get(0)?);
        }
        let changes = "SELECT c.oid, pg_catalog.row_security_active(c.oid)
                       FROM pg_catalog.pg_class c
                       JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                       WHERE n.nspname = $1 AND c.relname = $2";
        let Some(row) = client.query_opt(changes, &[schema, &TABLE]).await? else {
            return Ok(found);
        };
        let oid: u32 = row.try_get(0)?;
        found.is_row_security_active = row.try_get(1)?;
        for row in client.query(TRIGGERS, &[&oid]).await? {
            found.triggers.push(row.try_get(0)?);
        }
        for row in client.query(CONSTRAINTS, &[&oid]).await? {
            found.constraints.push((row.try_get(0)?, row.try_get(1)?));
        }
        for row in client.query(OTHER_INDEXES, &[&oid]).await? {
            found.indexes.push((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
        }
        Ok(found)
    }
}

const OWN_COLUMNS: &str = "
SELECT c.relname::text, a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname = 'bemi' AND c.relkind IN ('r', 'p')";

const UNLOGGED: &str = "
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE (n.nspname = 'bemi' OR n.nspname = $1 AND (c.relname = $2 OR EXISTS (
           SELECT FROM pg_catalog.pg_inherits i
           JOIN pg_catalog.pg_class p ON p.oid = i.inhparent AND p.relname = $2
           WHERE i.inhrelid = c.oid)))
  AND c.relkind = 'r' AND c.relpersistence = 'u'
ORDER BY 1";

const TRIGGERS: &str = "
SELECT g.tgname::text FROM pg_catalog.pg_trigger g
JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE g.tgrelid = $1 AND NOT g.tgisinternal AND g.tgenabled <> 'D' AND n.nspname <> 'bemi'
ORDER BY g.tgname";

/// Those that can refuse a row.
const CONSTRAINTS: &str = "
SELECT conname::text, pg_catalog.pg_get_constraintdef(oid) FROM pg_catalog.pg_constraint
WHERE conrelid = $1 AND contype IN ('c', 'f', 'u', 'x') AND conname NOT LIKE 'bemi\\_%' ORDER BY conname";

const OTHER_INDEXES: &str = "
SELECT c.relname::text, pg_catalog.pg_get_indexdef(c.oid), x.indisunique
FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class c ON c.oid = x.indexrelid
WHERE x.indrelid = $1 AND NOT x.indisprimary
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = c.oid AND k.contype IN ('u', 'x'))
ORDER BY c.relname";

/// The worker's own tables, by the statements that create them.
pub(super) fn own_tables(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let found = &subject.facts.drift.own;
    let mut lacking = Vec::new();
    let mut beyond = Vec::new();
    for (table, declared) in declared::tables() {
        // That it is missing is told by another check.
        let Some(columns) = found.get(&table) else { continue };
        for (column, data_type) in &declared {
            match columns.get(column) {
                None => lacking.push(format!("bemi.{table} has no column {column}")),
                Some(other) if other != data_type => {
                    lacking.push(format!("bemi.{table}.{column} is {other}, not {data_type}"));
                }
                Some(_) => {}
            }
        }
        let unknown = columns.keys().filter(|column| !declared.contains_key(*column));
        beyond.extend(unknown.map(|column| format!("bemi.{table}.{column}")));
    }
    if !lacking.is_empty() {
        diagnosis.fail(
            "B065",
            lacking.join(", "),
            "an older version of the worker has made it, or somebody has altered it: what the worker writes \
             there fails",
            "run `bemi-worker setup`, which brings an older version up to date; what somebody has altered, put back \
             by ALTER TABLE: a plain setup of another database shows how it was",
        );
    } else if beyond.is_empty() {
        diagnosis.ok("B065", "the worker's own tables are as this version makes them");
    } else {
        diagnosis.note(
            "B065",
            format!("columns that this version does not know: {}", beyond.join(", ")),
            "a newer version of the worker has made them, or somebody else",
            "run the newest version that was ever run with this destination",
        );
    }
}

pub(super) fn triggers(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let drift = &subject.facts.drift;
    let schema = &subject.config.changes_schema;
    if drift.is_row_security_active {
        diagnosis.fail(
            "B066",
            format!("{schema}.changes has row-level security, which holds for this role"),
            "COPY, by which the worker stores, is refused then",
            format!(
                "run ALTER TABLE {}.changes NO FORCE ROW LEVEL SECURITY as its owner, or ALTER ROLE {} \
                 BYPASSRLS",
                escape_identifier(schema),
                subject.facts.found.destination.role
            ),
        );
    }
    if !drift.triggers.is_empty() {
        let names = drift.triggers.join(", ");
        diagnosis.warn(
            "B066",
            format!("{schema}.changes has triggers: {names}"),
            "they run for each row that is stored; one that raises an exception sends the row to quarantine, \
             one that changes it changes the record",
            format!(
                "run DROP TRIGGER {} ON {}.changes for those that nobody needs",
                drift.triggers.first().map_or_else(String::new, |name| escape_identifier(name)),
                escape_identifier(schema)
            ),
        );
    }
}

pub(super) fn constraints(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let drift = &subject.facts.drift;
    let schema = escape_identifier(&subject.config.changes_schema);
    let constraints = drift.constraints.iter().map(|(name, definition)| {
        let drop =
            format!("ALTER TABLE {schema}.changes DROP CONSTRAINT {}", escape_identifier(name));
        (format!("{name} {definition}"), drop)
    });
    let unique = drift.indexes.iter().filter(|(_, _, is_unique)| *is_unique);
    let unique = unique.map(|(name, definition, _)| {
        (definition.clone(), format!("DROP INDEX {schema}.{}", escape_identifier(name)))
    });
    let (told, mended): (Vec<String>, Vec<String>) = constraints.chain(unique).unzip();
    if !told.is_empty() {
        diagnosis.warn(
            "B067",
            format!("changes has constraints of somebody: {}", told.join("; ")),
            "a row that violates one is not stored in changes, but in quarantine; one that is unique \
             may stop the worker",
            format!("run {}", mended.join("; ")),
        );
    }
}

/// Each index costs storing.
pub(super) fn indexes(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let is_ours = |definition: &str| {
        definition
            .rsplit_once(" USING ")
            .is_some_and(|(_, of)| INDEXES.iter().any(|index| index.definition == of))
    };
    let others: Vec<&str> = subject
        .facts
        .drift
        .indexes
        .iter()
        .filter(|(_, definition, is_unique)| !is_unique && !is_ours(definition))
        .map(|(name, ..)| name.as_str())
        .collect();
    if !others.is_empty() {
        diagnosis.note(
            "B068",
            format!("changes has indexes of somebody: {}", others.join(", ")),
            "each makes storing slower, those of type gin by far the most",
            "nothing to do where they are used; see pg_stat_user_indexes, and drop those that are not with \
             DROP INDEX CONCURRENTLY",
        );
    }
}

/// What the worker writes must not come back to it.
pub(super) fn published(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let found = &subject.facts.found;
    if !found.is_one_database() {
        return;
    }
    let changes = format!(
        "{}.{}",
        escape_identifier(&subject.config.changes_schema),
        escape_identifier(TABLE)
    );
    let mut told = BTreeSet::new();
    let mut mended = Vec::new();
    for publication in &found.source.publications {
        for table in &publication.tables {
            if *table == changes || table.starts_with("\"bemi\".") {
                told.insert(table.as_str());
                let name = escape_identifier(&publication.name);
                mended.push(format!("ALTER PUBLICATION {name} DROP TABLE {table}"));
            }
        }
    }
    if !told.is_empty() {
        let told: Vec<&str> = told.into_iter().collect();
        diagnosis.fail(
            "B069",
            format!("the worker's own tables are published: {}", told.join(", ")),
            "what the worker stores comes back to it as a change to be stored, for ever: the WAL and \
             changes grow without end",
            format!("run {}", mended.join("; ")),
        );
    }
}

/// Functions and views of the pack that are gone, or of another version.
pub(super) fn pack(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let found = &subject.facts.found;
    if !found.destination.sql_pack.has_table {
        return;
    }
    if sql_pack::is_outdated(subject.config, found) {
        diagnosis.warn(
            "B070",
            "the SQL pack is of another version, or parts of it are missing",
            "functions and views in schema bemi do not answer, or not as this version says",
            "run `bemi-worker setup --sql-pack`, as the role that installed it",
        );
    } else {
        diagnosis.ok("B070", "the SQL pack is there, as this version has it");
    }
}

pub(super) fn unlogged(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let unlogged = &subject.facts.drift.unlogged;
    if !unlogged.is_empty() {
        let mended: Vec<String> =
            unlogged.iter().map(|table| format!("ALTER TABLE {table} SET LOGGED")).collect();
        diagnosis.fail(
            "B075",
            format!("{}: unlogged", unlogged.join(", ")),
            "after a crash of the destination it is empty, and standbys never have it",
            format!("run {}", mended.join("; ")),
        );
    }
}
