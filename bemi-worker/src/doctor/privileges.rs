//! What the worker's role may do with the tables that it works on.

use tokio_postgres::{Client, Error};

use super::checks::Subject;
use super::finding::Diagnosis;
use crate::config::Config;

/// What `run` does with tables of schema `bemi` in the source.
const SOURCE: [(&str, &str); 5] = [
    ("installation", "SELECT"),
    ("settings", "SELECT"),
    ("tracked_tables", "SELECT"),
    ("full_identity", "SELECT"),
    ("column_rules", "SELECT"),
];

/// What it does with those in the destination.
const DESTINATION: [(&str, &str); 5] = [
    ("checkpoint", "SELECT, UPDATE"),
    ("gaps", "SELECT, INSERT, UPDATE"),
    ("table_events", "SELECT, INSERT, UPDATE"),
    ("quarantine", "SELECT, INSERT"),
    ("backfill", "SELECT, INSERT, UPDATE"),
];

/// The statements that would give what is missing, by side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct MissingPrivileges {
    source: Vec<String>,
    destination: Vec<String>,
}

impl MissingPrivileges {
    pub(super) async fn read(
        config: &Config,
        source: &Client,
        destination: &Client,
    ) -> Result<Self, Error> {
        let bemi = |tables: &[(&'static str, &'static str)]| -> Vec<(String, &str, &str)> {
            tables.iter().map(|(table, needed)| ("bemi".to_owned(), *table, *needed)).collect()
        };
        let mut stored = bemi(&DESTINATION);
        stored.push((config.changes_schema.clone(), bemi_core::changes_table::TABLE, "INSERT"));
        Ok(Self {
            source: missing(source, &bemi(&SOURCE)).await?,
            destination: missing(destination, &stored).await?,
        })
    }
}

/// Of one table: the schema's usage first. A table that is missing is told by other checks.
const MISSING: &str = "
SELECT CASE WHEN NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE')
            THEN pg_catalog.format('GRANT USAGE ON SCHEMA %I TO %I', n.nspname, current_user) END,
       (SELECT pg_catalog.format('GRANT %s ON %I.%I TO %I', pg_catalog.string_agg(needed, ', '),
                                 n.nspname, c.relname, current_user)
        FROM pg_catalog.unnest($3::text[]) AS needed
        WHERE NOT pg_catalog.has_table_privilege(c.oid, needed)
        HAVING count(*) > 0)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2";

async fn missing(client: &Client, tables: &[(String, &str, &str)]) -> Result<Vec<String>, Error> {
    let mut grants: Vec<String> = Vec::new();
    for (schema, table, needed) in tables {
        let needed: Vec<&str> = needed.split(", ").collect();
        let Some(row) = client.query_opt(MISSING, &[schema, table, &needed]).await? else {
            continue;
        };
        let found: [Option<String>; 2] = [row.try_get(0)?, row.try_get(1)?];
        grants.extend(found.into_iter().flatten());
    }
    grants.sort();
    grants.dedup();
    Ok(grants)
}

pub(super) fn check(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let facts = subject.facts;
    let role = &facts.found.destination.role;
    let sides =
        [("source", &facts.privileges.source), ("destination", &facts.privileges.destination)];
    let mut is_complete = true;
    for (side, grants) in sides.into_iter().filter(|(_, grants)| !grants.is_empty()) {
        is_complete = false;
        diagnosis.fail(
            "B071",
            format!("role {role} lacks privileges in the {side}"),
            "the worker cannot read its rules there, or not store",
            format!("run as the role that set up: {}", grants.join("; ")),
        );
    }
    if is_complete {
        diagnosis
            .ok("B071", format!("role {role} may do all that the worker does with its tables"));
    }
}
