//! Makes partitions of a plain `changes` that has rows, while the worker stores into it.
//!
//! ```text
//! CHECK (committed_at < boundary) NOT VALID ─▶ VALIDATE ─▶ one transaction, of milliseconds:
//!     the table becomes the first partition, [MINVALUE, boundary), of a new one with its name
//! ```
//!
//! The check is what makes the last step short: the server need not read the table then. Reading it takes
//! long, and stops nobody. The new table has the indexes, triggers, privileges, comment and owner of the
//! old one, and views of the old one are of the new one.
//!
//! Invariant: cut off anywhere, the table is either as it was, with a check at most, or in partitions.

use std::time::Duration;

use bemi_core::changes_table::{COMMENT, TABLE};
use jiff::{Timestamp, ToSpan};
use postgres_protocol::escape::escape_identifier;
use tokio_postgres::{Client, Error};
use tracing::info;

use super::LOCK_TIMEOUT_SHORT;
use super::ahead::{first_partitions, is_busy, parent};
use super::layout::{Layout, Shape};
use super::session::Maintenance;
use super::statements::{BOUND_CONSTRAINT, attach, comment, qualified};
use crate::config::PartitionBy;
use crate::error::{Problems, WorkerError};

/// How often a step that others would wait behind is tried, and how long they get in between.
const ATTEMPTS_MAX: u32 = 150;
const PAUSE: Duration = Duration::from_millis(400);

/// The boundary is this far away at least: rows behind it could not be stored while the check is there.
const ROOM_HOURS: i64 = 24;

const DOING: &str = "make partitions of changes";

/// Makes partitions of `changes` in `schema`, which is a plain table.
///
/// # Errors
///
/// [`WorkerError::Unready`] where something depends on the table that cannot be moved;
/// [`WorkerError::TableInUse`] where somebody holds it all the time. The table is as it was then.
///
/// # Cancellation safety
///
/// Safe: the next call goes on.
pub(crate) async fn convert(
    session: &mut Maintenance,
    schema: &str,
    by: PartitionBy,
) -> Result<(), WorkerError> {
    let failed = || WorkerError::database(DOING);
    refuse(session.client(), schema).await?;
    let table = parent(schema);
    let (boundary, is_checked) = boundary(session.client(), &table, by).await.map_err(failed())?;
    if !is_checked {
        let add = vec![
            format!("ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {BOUND_CONSTRAINT}"),
            format!(
                "ALTER TABLE {table} ADD CONSTRAINT {BOUND_CONSTRAINT} \
                 CHECK (committed_at < '{boundary}') NOT VALID"
            ),
        ];
        patiently(session, &table, &add).await?;
    }
    let result = swap(session, schema, by, boundary).await;
    if result.is_err() && !session.client().is_closed() {
        // Rows of a later time could not be stored.
        let release = format!("ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {BOUND_CONSTRAINT}");
        // What is wrong is told by the result.
        let _ = patiently(session, &table, &[release]).await;
    }
    result
}

async fn swap(
    session: &mut Maintenance,
    schema: &str,
    by: PartitionBy,
    boundary: Timestamp,
) -> Result<(), WorkerError> {
    let failed = || WorkerError::database(DOING);
    let table = parent(schema);
    info!(%table, "checking when the changes were committed, which takes as long as reading them; nobody waits");
    let validate = format!("ALTER TABLE {table} VALIDATE CONSTRAINT {BOUND_CONSTRAINT}");
    patiently(session, &table, &[validate]).await?;
    let sql = statements(session.client(), schema, by, boundary).await.map_err(failed())?;
    patiently(session, &table, &sql).await
}

/// Tries, until nobody is in the way.
async fn patiently(
    session: &mut Maintenance,
    table: &str,
    sql: &[String],
) -> Result<(), WorkerError> {
    for _ in 0..ATTEMPTS_MAX {
        match session.together(sql, LOCK_TIMEOUT_SHORT).await {
            Ok(()) => return Ok(()),
            Err(error) if is_busy(&error) => tokio::time::sleep(PAUSE).await,
            Err(error) => return Err(WorkerError::database(DOING)(error)),
        }
    }
    Err(WorkerError::TableInUse { table: table.to_owned(), attempts: ATTEMPTS_MAX })
}

/// Where the first partition ends, and whether there is a check that says so: of a time before, which was
/// cut off.
async fn boundary(
    client: &Client,
    table: &str,
    by: PartitionBy,
) -> Result<(Timestamp, bool), Error> {
    let row = client
        .query_one(
            &format!(
                "SELECT clock_timestamp(), (SELECT max(committed_at) FROM {table}),
                        (SELECT pg_catalog.substring(pg_catalog.pg_get_constraintdef(oid),
                                                     '< ''([^'']*)''::timestamp')::timestamptz
                         FROM pg_catalog.pg_constraint
                         WHERE conrelid = $1::text::regclass AND conname = $2)"
            ),
            &[&table, &BOUND_CONSTRAINT],
        )
        .await?;
    let now: Timestamp = row.try_get(0)?;
    let latest: Option<Timestamp> = row.try_get(1)?;
    let checked: Option<Timestamp> = row.try_get(2)?;
    let soon = now.checked_add(1.hours()).unwrap_or(now);
    if let Some(checked) =
        checked.filter(|checked| *checked > soon && by.start(*checked) == *checked)
    {
        return Ok((checked, true));
    }
    let room = now.checked_add(ROOM_HOURS.hours()).unwrap_or(now);
    Ok((by.end(latest.map_or(room, |latest| latest.max(room))), false))
}

/// Everything that becomes of the table in the one transaction.
async fn statements(
    client: &Client,
    schema: &str,
    by: PartitionBy,
    boundary: Timestamp,
) -> Result<Vec<String>, Error> {
    let table = parent(schema);
    let mut layout = Layout { schema: schema.to_owned(), ..Layout::default() };
    let names = "SELECT c.relname::text FROM pg_catalog.pg_class c
                 JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'bemi'";
    for row in client.query(names, &[]).await? {
        layout.names.insert(row.try_get(0)?);
    }
    let facts = client.query_one(FACTS, &[&table]).await?;
    let (owner, key, before): (String, String, Option<String>) =
        (facts.try_get(0)?, facts.try_get(1)?, facts.try_get(2)?);
    let now: Timestamp = facts.try_get(3)?;
    let texts = async |sql: &str| -> Result<Vec<String>, Error> {
        client.query(sql, &[&table]).await?.iter().map(|row| row.try_get(0)).collect()
    };
    let drop_triggers = texts(DROP_TRIGGERS).await?;
    let triggers = texts(TRIGGERS).await?;
    let indexes = texts(INDEXES).await?;
    let grants = texts(GRANTS).await?;
    let views = texts(VIEWS).await?;

    let name = layout.new_name(None, Some(boundary));
    let old = qualified("bemi", &name);
    let mut sql = vec![format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")];
    sql.extend(drop_triggers);
    // Names of indexes are those of the new table's.
    sql.extend(texts(RENAME_INDEXES).await?);
    sql.push(format!("ALTER TABLE {table} RENAME TO {}", escape_identifier(&name)));
    if schema != "bemi" {
        sql.push(format!("ALTER TABLE {} SET SCHEMA bemi", qualified(schema, &name)));
    }
    sql.push(format!(
        "CREATE TABLE {table} (LIKE {old} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED \
         INCLUDING STORAGE INCLUDING COMPRESSION INCLUDING COMMENTS) PARTITION BY RANGE (committed_at)"
    ));
    sql.push(format!("ALTER TABLE {table} DROP CONSTRAINT {BOUND_CONSTRAINT}"));
    sql.push(format!("ALTER TABLE {table} OWNER TO {}", escape_identifier(&owner)));
    sql.push(format!("ALTER TABLE {table} ADD {key}"));
    sql.extend(indexes);
    sql.push(attach(&table, &old, None, Some(boundary)));
    sql.push(format!("ALTER TABLE {old} DROP CONSTRAINT {BOUND_CONSTRAINT}"));
    sql.extend(first_partitions(&table, &mut layout, by, boundary, now));
    sql.extend(triggers);
    sql.extend(grants);
    sql.extend(views);
    sql.push(comment(&table, before.as_deref().unwrap_or(COMMENT), by));
    Ok(sql)
}

/// What cannot be moved to another table.
async fn refuse(client: &Client, schema: &str) -> Result<(), WorkerError> {
    let mut problems = Problems::default();
    let failed = || WorkerError::database(DOING);
    match Shape::read(client, schema).await.map_err(failed())? {
        Shape::Plain { is_ours: false } => problems.not_allowed(format!(
            "the role does not own {schema}.{TABLE}, and its owner alone can make partitions of it"
        )),
        Shape::Plain { .. } | Shape::Missing | Shape::Partitioned(_) => {}
    }
    for row in client.query(DEPENDENTS, &[&parent(schema)]).await.map_err(failed())? {
        let what: String = row.try_get(0).map_err(failed())?;
        problems.requirement(format!(
            "{what} depends on {schema}.{TABLE}, and would be left with its first partition; drop it, and \
             make it again when there are partitions"
        ));
    }
    problems.into_result()
}

/// What depends on the table, but for what goes along: its own parts, and views.
const DEPENDENTS: &str = "
SELECT DISTINCT pg_catalog.pg_describe_object(d.classid, d.objid, 0)
FROM pg_catalog.pg_depend d
WHERE d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = $1::text::regclass
  AND d.deptype = 'n' AND d.classid NOT IN ('pg_catalog.pg_rewrite'::regclass, 'pg_catalog.pg_trigger'::regclass)
  AND NOT (d.classid = 'pg_catalog.pg_constraint'::regclass AND d.objid IN (
      SELECT k.oid FROM pg_catalog.pg_constraint k WHERE k.conrelid = $1::text::regclass))
UNION
SELECT pg_catalog.pg_describe_object('pg_catalog.pg_class'::regclass, r.ev_class, 0)
FROM pg_catalog.pg_depend d
JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid
JOIN pg_catalog.pg_class v ON v.oid = r.ev_class
WHERE d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = $1::text::regclass
  AND d.classid = 'pg_catalog.pg_rewrite'::regclass
  AND (v.relkind <> 'v' OR r.rulename <> '_RETURN')
UNION
SELECT pg_catalog.pg_describe_object(d.classid, d.objid, 0)
FROM pg_catalog.pg_depend d
WHERE d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = $1::text::regclass
  AND d.classid = 'pg_catalog.pg_publication_rel'::regclass
UNION
-- What takes or returns its rows.
SELECT pg_catalog.pg_describe_object(d.classid, d.objid, 0)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_type t ON t.oid = c.reltype
JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_type'::regclass
                           AND d.refobjid IN (t.oid, t.typarray) AND d.deptype = 'n'
WHERE c.oid = $1::text::regclass
UNION
SELECT 'row-level security' FROM pg_catalog.pg_class WHERE oid = $1::text::regclass AND relrowsecurity
UNION
SELECT 'inheritance' FROM pg_catalog.pg_inherits
WHERE inhparent = $1::text::regclass OR inhrelid = $1::text::regclass";

const FACTS: &str = "
SELECT pg_catalog.pg_get_userbyid(c.relowner)::text,
       (SELECT pg_catalog.pg_get_constraintdef(k.oid) FROM pg_catalog.pg_constraint k
        WHERE k.conrelid = c.oid AND k.contype = 'p'),
       pg_catalog.obj_description(c.oid, 'pg_class'), clock_timestamp()
FROM pg_catalog.pg_class c WHERE c.oid = $1::text::regclass";

const DROP_TRIGGERS: &str = "
SELECT pg_catalog.format('DROP TRIGGER %I ON %s', g.tgname, g.tgrelid::regclass)
FROM pg_catalog.pg_trigger g WHERE g.tgrelid = $1::text::regclass AND NOT g.tgisinternal
ORDER BY g.tgname";

const TRIGGERS: &str = "
SELECT t.sql FROM (
    SELECT g.tgname, 1 AS step, pg_catalog.pg_get_triggerdef(g.oid) AS sql
    FROM pg_catalog.pg_trigger g WHERE g.tgrelid = $1::text::regclass AND NOT g.tgisinternal
    UNION ALL
    SELECT g.tgname, 2, pg_catalog.format('ALTER TABLE %s %s TRIGGER %I', g.tgrelid::regclass,
        CASE g.tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE ALWAYS' END,
        g.tgname)
    FROM pg_catalog.pg_trigger g
    WHERE g.tgrelid = $1::text::regclass AND NOT g.tgisinternal AND g.tgenabled <> 'O'
) AS t ORDER BY t.tgname, t.step";

/// Those of the key's come with the key. An invalid one is half made.
const INDEXES: &str = "
SELECT pg_catalog.pg_get_indexdef(x.indexrelid)
FROM pg_catalog.pg_index x
WHERE x.indrelid = $1::text::regclass AND NOT x.indisprimary AND x.indisvalid
ORDER BY x.indexrelid";

const RENAME_INDEXES: &str = "
SELECT pg_catalog.format('ALTER INDEX %s RENAME TO %I', x.indexrelid::regclass,
                         pg_catalog.left(c.relname, 40) || '_' || x.indexrelid)
FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class c ON c.oid = x.indexrelid
WHERE x.indrelid = $1::text::regclass ORDER BY x.indexrelid";

/// Of the table and of its columns; the owner's come with the owner.
const GRANTS: &str = "
SELECT pg_catalog.format('GRANT %s ON %s TO %s%s', a.privilege_type, c.oid::regclass, r.role,
                         CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
FROM pg_catalog.pg_class c
CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) a
CROSS JOIN LATERAL (SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC'
                           ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END AS role) r
WHERE c.oid = $1::text::regclass AND a.grantee <> c.relowner
UNION ALL
SELECT pg_catalog.format('GRANT %s (%I) ON %s TO %s%s', a.privilege_type, t.attname, c.oid::regclass, r.role,
                         CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_attribute t ON t.attrelid = c.oid AND t.attnum > 0 AND NOT t.attisdropped
CROSS JOIN LATERAL pg_catalog.aclexplode(t.attacl) a
CROSS JOIN LATERAL (SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC'
                           ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END AS role) r
WHERE c.oid = $1::text::regclass";

/// Views see the table by its identity, which is that of the partition from now on: their text says which
/// name they mean.
const VIEWS: &str = "
SELECT DISTINCT pg_catalog.format('CREATE OR REPLACE VIEW %s%s AS %s', v.oid::regclass,
    CASE WHEN v.reloptions IS NULL THEN ''
         ELSE pg_catalog.format(' WITH (%s)', pg_catalog.array_to_string(v.reloptions, ', ')) END,
    pg_catalog.rtrim(pg_catalog.pg_get_viewdef(v.oid), ';'))
FROM pg_catalog.pg_depend d
JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid
JOIN pg_catalog.pg_class v ON v.oid = r.ev_class AND v.relkind = 'v'
WHERE d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = $1::text::regclass
  AND d.classid = 'pg_catalog.pg_rewrite'::regclass";
