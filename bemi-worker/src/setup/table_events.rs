//! What says in the stream what becomes of tracked tables: since when they are tracked, which columns
//! they have, and when their rows went or changed without a change of a row.
//!
//! ```text
//! ddl_command_start ─▶ note_partitions: which partition is whose, while the catalog knows it
//!                   ─▶ note_labels:     what the labels of enums are called
//! table_rewrite     ─▶ note_rewrites:   whose rows get other values
//! sql_drop          ─▶ tell_drops:      what went, or left the publications
//! ddl_command_end   ─▶ track_tables:    what is tracked now, and what it looks like
//! ```
//!
//! The message of an event is the whole description of a table behind the command. One that tells what
//! was known already does no harm.
//!
//! A message has the LSN of whatever is written next. Where that is a change outside of the message's
//! subtransaction, such as the block that catches errors here, the server may send it first. So each
//! message is followed by another one that says nothing, and stands between.
//!
//! Invariants: nothing in here can make a statement of the application fail: what goes wrong becomes a
//! warning. A message is part of the transaction of its command. No function of a user is run by it: not
//! a cast to json either, to which a value of a user's type would lead.

use postgres_protocol::escape::escape_literal;
use tokio_postgres::{Client, Error};

use super::source_schema::{TRACK_TABLES, always};
use crate::config::Config;

/// An event trigger that tells what becomes of tracked tables, or keeps the publications up to date.
#[derive(Debug)]
pub(crate) struct TableTrigger {
    pub(crate) name: &'static str,
    /// When it fires, and on which commands.
    event: &'static str,
    function: &'static str,
    body: &'static str,
}

/// All of them. Those of one event fire in the order of their names.
pub(crate) const TABLE_TRIGGERS: [TableTrigger; 5] = [
    TableTrigger {
        name: "bemi_note_labels",
        event: "ddl_command_start WHEN TAG IN ('ALTER TYPE')",
        function: "note_labels",
        body: NOTE_LABELS,
    },
    TableTrigger {
        name: "bemi_note_partitions",
        event: "ddl_command_start WHEN TAG IN ('ALTER TABLE', 'DROP TABLE', 'DROP SCHEMA', 'DROP OWNED')",
        function: "note_partitions",
        body: NOTE_PARTITIONS,
    },
    TableTrigger {
        name: "bemi_note_rewrites",
        event: "table_rewrite",
        function: "note_rewrites",
        body: NOTE_REWRITES,
    },
    TableTrigger {
        name: "bemi_tell_drops",
        event: "sql_drop WHEN TAG IN ('DROP TABLE', 'DROP SCHEMA', 'DROP OWNED', 'DROP TYPE', 'DROP DOMAIN', \
                'DROP EXTENSION', 'ALTER PUBLICATION', 'DROP PUBLICATION')",
        function: "tell_drops",
        body: TELL_DROPS,
    },
    TableTrigger {
        name: TRACKING_TRIGGER,
        event: "ddl_command_end WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', \
                'CREATE SCHEMA', 'ALTER SCHEMA', 'ALTER TABLE', 'ALTER TYPE', 'DROP INDEX', \
                'DROP TABLE', 'DROP SCHEMA', 'DROP TYPE', 'DROP DOMAIN', 'DROP COLLATION', \
                'DROP FUNCTION', 'DROP ROUTINE', 'DROP OPERATOR CLASS', 'DROP OPERATOR FAMILY', \
                'DROP EXTENSION', 'DROP OWNED')",
        function: "track_tables",
        body: TRACK_TABLES,
    },
];

/// The event trigger that puts tables into the publications.
pub(crate) const TRACKING_TRIGGER: &str = "bemi_track_tables";

/// The function that the triggers emit by, and its arguments.
const EMIT_NAME: &str = "emit_table_event";
const EMIT_TYPES: &str = "text, oid, boolean";

/// The settings under which values are told as the stream has them.
const VALUE_SETTINGS: [&str; 5] = [
    "timezone = 'UTC'",
    "datestyle = 'ISO'",
    "intervalstyle = 'postgres'",
    "bytea_output = 'hex'",
    "extra_float_digits = '1'",
];

/// The names and bodies of the functions.
pub(crate) fn functions() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLE_TRIGGERS.iter().map(|trigger| (trigger.function, trigger.body)).chain([(EMIT_NAME, EMIT)])
}

/// Creates functions and event triggers, or brings those of an older version up to date.
///
/// They run as their owner, with a search path that nobody else can put anything into. To compile a query
/// that runs once takes longer than the query does.
pub(super) fn create() -> Vec<String> {
    let settings: Vec<String> = VALUE_SETTINGS.iter().map(|set| format!("SET {set}")).collect();
    let mut sql = vec![
        format!(
            "CREATE OR REPLACE FUNCTION bemi.{EMIT_NAME}(event text, published oid, rewritten boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET jit = off {}
AS $bemi${EMIT}$bemi$",
            settings.join(" ")
        ),
        format!("REVOKE ALL ON FUNCTION bemi.{EMIT_NAME}({EMIT_TYPES}) FROM PUBLIC"),
    ];
    for TableTrigger { name, event, function, body } in &TABLE_TRIGGERS {
        sql.push(format!(
            "CREATE OR REPLACE FUNCTION bemi.{function}() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $bemi${body}$bemi$"
        ));
        sql.push(format!("DROP EVENT TRIGGER IF EXISTS {name}"));
        sql.push(format!(
            "CREATE EVENT TRIGGER {name} ON {event} EXECUTE FUNCTION bemi.{function}()"
        ));
        sql.push(always(name));
    }
    sql
}

/// Drops what [`create`] created.
pub(super) fn drop() -> Vec<String> {
    let triggers = TABLE_TRIGGERS
        .iter()
        .map(|trigger| format!("DROP EVENT TRIGGER IF EXISTS {}", trigger.name));
    let functions = TABLE_TRIGGERS
        .iter()
        .map(|trigger| format!("DROP FUNCTION IF EXISTS bemi.{}()", trigger.function));
    let emit = format!("DROP FUNCTION IF EXISTS bemi.{EMIT_NAME}({EMIT_TYPES})");
    triggers.chain(functions).chain([emit]).collect()
}

/// Emits an event of each of these tables, as SQL names them, in the transaction that is open; by
/// itself, since not everybody may create functions.
pub(super) fn emit(event: &str, tables: &[String]) -> Vec<String> {
    if tables.is_empty() {
        return Vec::new();
    }
    let told = serde_json::json!({ "event": event, "tables": tables }).to_string();
    let settings = VALUE_SETTINGS.iter().map(|set| format!("SET LOCAL {set}"));
    std::iter::once("SET LOCAL search_path = pg_catalog, pg_temp".to_owned())
        .chain(settings)
        .chain([
            // So that no name stands in the body.
            format!("SELECT set_config('bemi.told', {}, true)", escape_literal(&told)),
            format!("DO $bemi${EMIT_EACH_BEGIN}{EMIT}{EMIT_EACH_END}$bemi$"),
        ])
        .collect()
}

/// Says of every table of the publications that it is tracked.
///
/// # Errors
///
/// Those of the source.
pub(crate) async fn emit_tracked(client: &Client, config: &Config) -> Result<(), Error> {
    let tables: Vec<String> = client
        .query(PUBLISHED, &[&config.publication.both().to_vec()])
        .await?
        .iter()
        .map(|row| row.try_get(0))
        .collect::<Result<_, Error>>()?;
    let statements = emit("tracked", &tables);
    client.batch_execute(&format!("BEGIN; {}; COMMIT", statements.join("; "))).await
}

const PUBLISHED: &str = "
SELECT DISTINCT pg_catalog.format('%I.%I', n.nspname, c.relname)
FROM pg_catalog.pg_publication_rel m
JOIN pg_catalog.pg_publication p ON p.oid = m.prpubid
JOIN pg_catalog.pg_class c ON c.oid = m.prrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE p.pubname = ANY ($1)
ORDER BY 1";

/// What stands around [`EMIT`] where it is no function. A table that is gone has nothing to tell.
const EMIT_EACH_BEGIN: &str = r"
DECLARE
    told jsonb := current_setting('bemi.told');
    event text := told ->> 'event';
    published oid;
    rewritten boolean := false;
BEGIN
    FOR published IN
        SELECT to_regclass(name) FROM jsonb_array_elements_text(told -> 'tables') AS name
        WHERE to_regclass(name) IS NOT NULL
    LOOP";
const EMIT_EACH_END: &str = r"    ;
    END LOOP;
END
";

/// Emits what a table looks like. `missing` is what rows have that were there before the column: only
/// where it is of the server's own types, or the text of another one is its JSON.
const EMIT: &str = r#"
DECLARE
    message jsonb;
    names text[];
BEGIN
    FOR attempt IN 1..2 LOOP
        BEGIN
            WITH parts AS (
                SELECT p.oid, p.relkind, p.relreplident,
                       EXISTS (SELECT FROM pg_attribute v WHERE v.attrelid = p.oid
                               AND v.attgenerated = 'v' AND NOT v.attisdropped) AS has_virtual_columns
                FROM (SELECT published AS oid
                      UNION SELECT tree.relid FROM pg_partition_tree(published) AS tree) AS tree
                -- One by one: the server takes a tree to have a thousand tables, and would read all that there are.
                CROSS JOIN LATERAL (SELECT c.oid, c.relkind, c.relpersistence, c.relreplident
                                    FROM pg_class c WHERE c.oid = tree.oid OFFSET 0) AS p
                WHERE p.relkind IN ('r', 'p') AND p.relpersistence = 'p'
            ), described AS (
                SELECT a.attnum, a.attname, a.attgenerated <> '' AS is_generated,
                       format_type(a.atttypid, a.atttypmod) AS type, a.atttypid AS type_oid,
                       coalesce(m.atthasmissing, false) AS has_missing,
                       CASE
                           WHEN NOT m.atthasmissing OR attempt > 1
                                OR octet_length(m.attmissingval::text) > 65536 THEN NULL
                           WHEN base.type < 16384 THEN to_jsonb(m.attmissingval) -> 0
                           WHEN base.is_text THEN to_jsonb((m.attmissingval::text::text[])[1])
                       END AS missing
                FROM pg_attribute a
                -- A partitioned table has no rows; its oldest partition has had the column as long as any.
                LEFT JOIN pg_attribute m ON m.attname = a.attname AND NOT m.attisdropped AND m.attrelid = (
                    SELECT min(p.oid) FROM parts p WHERE p.relkind = 'r')
                LEFT JOIN LATERAL (
                    WITH RECURSIVE bases AS (
                        SELECT a.atttypid AS type, false AS is_in_array
                        UNION ALL
                        SELECT CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE t.typelem END,
                               b.is_in_array OR t.typtype <> 'd'
                        FROM bases b JOIN pg_type t ON t.oid = b.type
                        WHERE t.typtype = 'd' OR t.typelem <> 0 AND t.typlen = -1
                    )
                    SELECT b.type,
                           t.typtype IN ('b', 'e') AND NOT b.is_in_array
                           AND NOT EXISTS (SELECT FROM pg_cast k WHERE k.castsource = t.oid
                                           AND k.casttarget IN ('json'::regtype, 'jsonb'::regtype)) AS is_text
                    FROM bases b JOIN pg_type t ON t.oid = b.type
                    WHERE NOT (t.typtype = 'd' OR t.typelem <> 0 AND t.typlen = -1)
                ) AS base ON m.atthasmissing
                WHERE a.attrelid = published AND a.attnum > 0 AND NOT a.attisdropped
            )
            SELECT jsonb_build_object(
                'event', event, 'schema', n.nspname, 'table', c.relname, 'relation', c.oid::bigint,
                'rewritten', rewritten,
                'identity', (
                    SELECT CASE
                        WHEN bool_or(CASE p.relreplident
                            WHEN 'f' THEN p.has_virtual_columns
                            WHEN 'n' THEN true
                            WHEN 'i' THEN NOT EXISTS (SELECT FROM pg_index x WHERE x.indrelid = p.oid
                                                      AND x.indisreplident AND x.indisvalid)
                            ELSE NOT EXISTS (SELECT FROM pg_index x WHERE x.indrelid = p.oid
                                             AND x.indisprimary AND x.indimmediate AND x.indisvalid)
                        END) THEN 'none'
                        WHEN coalesce(bool_and(p.relreplident = 'f') FILTER (WHERE p.relkind = 'r'),
                                      bool_and(p.relreplident = 'f')) THEN 'full'
                        ELSE 'key'
                    END
                    FROM parts p),
                'key', (
                    SELECT coalesce(jsonb_agg(a.attname ORDER BY k.place), '[]')
                    FROM (SELECT x.indkey, x.indnkeyatts FROM pg_index x
                          WHERE x.indrelid = published AND (x.indisprimary OR x.indisreplident)
                          ORDER BY x.indisprimary DESC LIMIT 1) AS x
                    CROSS JOIN unnest(x.indkey::int2[]) WITH ORDINALITY AS k (number, place)
                    JOIN pg_attribute a ON a.attrelid = published AND a.attnum = k.number
                    WHERE k.place <= x.indnkeyatts),
                'columns', (
                    SELECT coalesce(jsonb_agg(jsonb_build_object(
                        'number', d.attnum, 'name', d.attname, 'type', d.type, 'type_oid', d.type_oid::bigint,
                        'generated', d.is_generated, 'missing', d.missing,
                        'missing_unknown', d.has_missing AND d.missing IS NULL) ORDER BY d.attnum), '[]')
                    FROM described d))
            INTO message
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.oid = published;
            EXIT;
        EXCEPTION WHEN OTHERS THEN
            -- A value of json that jsonb cannot hold: told without any.
            IF attempt > 1 THEN
                RAISE;
            END IF;
        END;
    END LOOP;
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        -- Its snapshot may show the catalog as it was, but for what it did itself. These functions do not.
        names := (pg_identify_object_as_address('pg_class'::regclass, published, 0)).object_names;
        IF message IS NULL OR ARRAY[message ->> 'schema', message ->> 'table'] <> names OR EXISTS (
            SELECT FROM generate_series(1, (SELECT max(a.attnum) + 1 FROM pg_attribute a
                                            WHERE a.attrelid = published)) AS number
            LEFT JOIN pg_attribute a ON a.attrelid = published AND a.attnum = number
            WHERE a.attisdropped IS NOT TRUE
              AND (pg_identify_object_as_address('pg_class'::regclass, published, number)).object_names
                  IS DISTINCT FROM CASE WHEN a.attname IS NOT NULL THEN names || a.attname::text END)
        THEN
            -- What it is nobody can say here. Then nothing is known from here on.
            message := jsonb_build_object('event', 'untracked', 'schema', names[1], 'table', names[2],
                                          'relation', published::bigint);
        END IF;
    END IF;
    IF message ->> 'schema' IS NOT NULL THEN
        -- In the server's encoding, as everybody's messages are: the worker converts them.
        PERFORM pg_logical_emit_message(true, '_bemi_table', message::text);
        PERFORM pg_logical_emit_message(true, '_bemi_spacer', '');
    END IF;
END
"#;

/// What a label is called now, a renamed one was not called before.
const NOTE_LABELS: &str = r"
BEGIN
    IF current_setting('bemi.quiet', true) = 'on' THEN
        RETURN;
    END IF;
    PERFORM set_config('bemi.labels',
                       coalesce((SELECT jsonb_object_agg(e.oid, e.enumlabel) FROM pg_enum e)::text, ''), true);
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'bemi: renamed labels may not be recorded: %', sqlerrm;
END
";

/// Once a partition is dropped or detached, nobody knows any more whose it was. Said to the session, since
/// DETACH CONCURRENTLY takes two transactions.
const NOTE_PARTITIONS: &str = r"
BEGIN
    IF current_setting('bemi.quiet', true) = 'on' THEN
        RETURN;
    END IF;
    PERFORM set_config('bemi.partitions', coalesce((
        WITH RECURSIVE tree AS (
            SELECT p.partrelid AS root, p.partrelid AS member
            FROM pg_partitioned_table p JOIN pg_class c ON c.oid = p.partrelid
            WHERE NOT c.relispartition
            UNION ALL
            -- pg_partition_root would be much slower, for thousands of partitions.
            SELECT t.root, i.inhrelid FROM tree t JOIN pg_inherits i ON i.inhparent = t.member
        ), roots AS (
            SELECT t.root, array_agg(t.member)::text AS members FROM tree t GROUP BY t.root
        )
        SELECT jsonb_agg(jsonb_build_object('schema', n.nspname, 'table', c.relname,
                                            'root', r.root::bigint, 'members', r.members))
        FROM roots r
        JOIN pg_class c ON c.oid = r.root
        JOIN pg_namespace n ON n.oid = c.relnamespace)::text, ''), false);
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'bemi: what becomes of partitions may not be recorded: %', sqlerrm;
END
";

/// Another persistence or access method leaves the values as they are; a default or a type does not.
const NOTE_REWRITES: &str = r"
BEGIN
    IF current_setting('bemi.quiet', true) = 'on' THEN
        RETURN;
    END IF;
    IF pg_event_trigger_table_rewrite_reason() & 6 <> 0 THEN
        PERFORM set_config('bemi.rewritten', concat_ws(' ', nullif(current_setting('bemi.rewritten', true), ''),
                                                       pg_event_trigger_table_rewrite_oid()), true);
    END IF;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'bemi: that rows of % are rewritten is not recorded: %',
                  pg_event_trigger_table_rewrite_oid()::regclass, sqlerrm;
END
";

/// A table that goes leaves the publications with it. One that somebody takes out of them stays, and is not
/// tracked any more. And a column may go with its type.
const TELL_DROPS: &str = r"
DECLARE
    gone record;
BEGIN
    IF current_setting('bemi.quiet', true) = 'on' THEN
        RETURN;
    END IF;
    FOR gone IN
        WITH objects AS MATERIALIZED (
            SELECT o.objid, o.object_type, o.schema_name, o.object_name, o.address_names, o.address_args,
                   o.original OR o.normal AS is_named
            FROM pg_event_trigger_dropped_objects() AS o
            WHERE NOT o.is_temporary AND o.object_type IN ('table', 'table column', 'publication relation')
        ), published AS (
            SELECT DISTINCT o.address_names[1] AS of_schema, o.address_names[2] AS of_table
            FROM objects o
            JOIN bemi.settings s ON o.address_args = ARRAY[s.publication]
                                 OR o.address_args = ARRAY[s.publication || '_insert_only']
            WHERE o.object_type = 'publication relation'
        )
        SELECT CASE WHEN o.objid IS NULL THEN 'untracked' ELSE 'dropped' END AS event,
               p.of_schema, p.of_table, coalesce(o.objid, c.oid) AS relation
        FROM published p
        LEFT JOIN objects o ON o.object_type = 'table'
                            AND o.schema_name = p.of_schema AND o.object_name = p.of_table
        LEFT JOIN pg_namespace n ON n.nspname = p.of_schema
        LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.of_table AND o.objid IS NULL
        WHERE o.objid IS NOT NULL OR c.oid IS NOT NULL AND NOT EXISTS (
            SELECT FROM pg_publication_rel m JOIN pg_publication b ON b.oid = m.prpubid
            JOIN bemi.settings s ON b.pubname IN (s.publication, s.publication || '_insert_only')
            WHERE m.prrelid = c.oid)
        UNION ALL
        SELECT DISTINCT 'altered', NULL, NULL, m.prrelid
        FROM objects o
        JOIN pg_publication_rel m ON m.prrelid = coalesce(pg_partition_root(o.objid), o.objid)
        JOIN pg_publication b ON b.oid = m.prpubid
        JOIN bemi.settings s ON b.pubname IN (s.publication, s.publication || '_insert_only')
        WHERE o.object_type = 'table column' AND o.is_named
        ORDER BY 2, 3
    LOOP
        IF gone.event = 'dropped' THEN
            PERFORM pg_logical_emit_message(true, '_bemi_table', jsonb_build_object(
                'event', gone.event, 'schema', gone.of_schema, 'table', gone.of_table,
                'relation', gone.relation::bigint)::text);
            PERFORM pg_logical_emit_message(true, '_bemi_spacer', '');
        ELSE
            PERFORM bemi.emit_table_event(gone.event, gone.relation, false);
        END IF;
    END LOOP;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'bemi: it is not recorded what this % did: %', tg_tag, sqlerrm
        USING HINT = 'Run bemi-worker setup again.';
END
";
