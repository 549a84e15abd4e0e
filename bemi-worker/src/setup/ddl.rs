//! The event triggers that leave a message of each command that changes what a tracked row looks like,
//! or what its table is.
//!
//! ```text
//! sql_drop        ─▶ record_drops: what went, also by CASCADE
//! ddl_command_end ─▶ record_ddl:   what was made or altered
//! ```
//!
//! Which partition was whose, `note_partitions` has noted ([`super::table_events`]).
//!
//! Tables are recorded where they are tracked; types, domains and schemas wherever they are, since what
//! uses them is known to nobody once they are gone. Never recorded is what may carry a secret in its
//! options, such as servers, user mappings, subscriptions, roles and foreign tables.
//!
//! Invariants: nothing in here can make a statement of the application fail: what goes wrong becomes a
//! warning. A message is part of the transaction of its command, and goes with a savepoint.

use super::source_schema::always;

/// An event trigger that records DDL.
#[derive(Debug)]
pub(crate) struct DdlTrigger {
    pub(crate) name: &'static str,
    /// When it fires, and on which commands.
    event: &'static str,
    pub(crate) function: &'static str,
    pub(crate) body: &'static str,
}

/// All of them. They fire in the order of their names, before the one that tracks new tables.
pub(crate) const DDL_TRIGGERS: [DdlTrigger; 2] = [
    DdlTrigger {
        name: "bemi_record_ddl",
        event: "ddl_command_end WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', \
                'ALTER TABLE', 'CREATE INDEX', 'CREATE TYPE', 'ALTER TYPE', 'CREATE DOMAIN', \
                'ALTER DOMAIN', 'CREATE SCHEMA', 'ALTER SCHEMA')",
        function: "record_ddl",
        body: RECORD_DDL,
    },
    DdlTrigger {
        name: "bemi_record_drops",
        event: "sql_drop",
        function: "record_drops",
        body: RECORD_DROPS,
    },
];

/// The function that the others emit by.
pub(crate) const EMIT_DDL_NAME: &str = "emit_ddl";

/// Creates functions and event triggers, or brings those of an older version up to date.
///
/// They run as their owner, who may read the rules, with a search path that nobody else can put
/// anything into.
pub(crate) fn create() -> Vec<String> {
    let mut sql = vec![
        format!(
            "CREATE OR REPLACE FUNCTION bemi.{EMIT_DDL_NAME}\
             (command text, object_type text, object text, of_schema text, of_table text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $bemi${EMIT_DDL}$bemi$"
        ),
        format!(
            "REVOKE ALL ON FUNCTION bemi.{EMIT_DDL_NAME}(text, text, text, text, text) FROM PUBLIC"
        ),
    ];
    for DdlTrigger { name, event, function, body } in &DDL_TRIGGERS {
        sql.push(format!(
            "CREATE OR REPLACE FUNCTION bemi.{function}() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
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
pub(crate) fn drop() -> Vec<String> {
    let mut sql: Vec<String> = DDL_TRIGGERS
        .iter()
        .map(|trigger| format!("DROP EVENT TRIGGER IF EXISTS {}", trigger.name))
        .collect();
    sql.extend(
        DDL_TRIGGERS
            .iter()
            .map(|trigger| format!("DROP FUNCTION IF EXISTS bemi.{}()", trigger.function)),
    );
    sql.push(format!("DROP FUNCTION IF EXISTS bemi.{EMIT_DDL_NAME}(text, text, text, text, text)"));
    sql
}

/// The names and bodies of the functions.
pub(crate) fn functions() -> impl Iterator<Item = (&'static str, &'static str)> {
    DDL_TRIGGERS
        .iter()
        .map(|trigger| (trigger.function, trigger.body))
        .chain([(EMIT_DDL_NAME, EMIT_DDL)])
}

/// Where strings escape by backslashes, the worker could not tell where they end: then there is no
/// text. It is cut, since each command of a text carries it all.
const EMIT_DDL: &str = r"
DECLARE
    text_max CONSTANT integer := 65536;
    statement text;
    message text;
BEGIN
    IF current_setting('standard_conforming_strings') = 'on' THEN
        statement := current_query();
    END IF;
    message := json_build_object('command', command, 'object_type', object_type, 'object', object,
        'schema', coalesce(of_schema, ''), 'table', coalesce(of_table, ''),
        'sql', left(statement, text_max), 'cut', coalesce(length(statement) > text_max, false));
    -- In the server's encoding, as everybody's messages are: the worker converts them.
    PERFORM pg_logical_emit_message(true, '_bemi_ddl', message);
    -- Else a change behind it could come first: see bemi.emit_table_event.
    PERFORM pg_logical_emit_message(true, '_bemi_spacer', '');
END
";

/// One message for each object that the command names or, as CREATE SCHEMA may, makes. An index that
/// comes with its table is not one of them.
const RECORD_DDL: &str = r"
DECLARE
    touched record;
BEGIN
    IF current_setting('bemi.quiet', true) = 'on' THEN
        RETURN;
    END IF;
    FOR touched IN
        WITH commands AS (
            -- The first that is told of an object is the command itself.
            SELECT DISTINCT ON (c.classid, c.objid) c.classid, c.objid, c.command_tag,
                   c.object_type, c.schema_name, c.object_identity, c.place
            FROM pg_event_trigger_ddl_commands() WITH ORDINALITY
                AS c (classid, objid, objsubid, command_tag, object_type, schema_name, object_identity,
                      in_extension, command, place)
            WHERE NOT c.in_extension
              AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = c.classid
                              AND d.objid = c.objid AND d.deptype = 'e')
            ORDER BY c.classid, c.objid, c.place
        ), relations AS MATERIALIZED (
            -- What happens to a partition is told of its root, as its changes are.
            SELECT c.*, coalesce(pg_partition_root(coalesce(x.indrelid, c.objid)),
                                 x.indrelid, c.objid) AS root
            FROM commands c
            LEFT JOIN pg_class o ON o.oid = c.objid
            LEFT JOIN pg_index x ON x.indexrelid = c.objid
            WHERE c.classid = 'pg_class'::regclass
              AND (c.object_type IN ('table', 'table column')
                   OR c.object_type = 'index' AND tg_tag = 'CREATE INDEX')
              AND coalesce(o.relpersistence, 'p') = 'p'
        )
        SELECT r.place, r.command_tag, r.object_type, r.object_identity,
               a.object_names[1] AS of_schema, a.object_names[2] AS of_table
        FROM relations r
        -- By its name as it is now: an older snapshot may not see a table that somebody else made.
        CROSS JOIN LATERAL pg_identify_object_as_address('pg_class'::regclass, r.root, 0) AS a
        WHERE a.type = 'table'
          AND a.object_names[1] NOT LIKE 'pg\_%'
          AND a.object_names[1] NOT IN ('information_schema', 'bemi')
          AND (EXISTS (SELECT FROM bemi.tracked_tables t WHERE NOT t.excluded
                       AND a.object_names[1] LIKE t.schema_like AND a.object_names[2] LIKE t.table_like)
               AND NOT EXISTS (SELECT FROM bemi.tracked_tables t WHERE t.excluded
                       AND a.object_names[1] LIKE t.schema_like AND a.object_names[2] LIKE t.table_like)
               -- What was renamed is still published.
               OR EXISTS (SELECT FROM pg_publication_rel m
                          JOIN pg_publication p ON p.oid = m.prpubid
                          JOIN bemi.settings s
                            ON p.pubname IN (s.publication, s.publication || '_insert_only')
                          WHERE m.prrelid = r.root))
        UNION ALL
        SELECT c.place, c.command_tag, c.object_type, c.object_identity,
               coalesce(n.nspname, c.schema_name), NULL
        FROM commands c
        LEFT JOIN pg_namespace n ON c.classid = 'pg_namespace'::regclass AND n.oid = c.objid
        WHERE c.command_tag IN ('CREATE TYPE', 'ALTER TYPE', 'CREATE DOMAIN', 'ALTER DOMAIN',
                                'ALTER SCHEMA')
          AND coalesce(n.nspname, c.schema_name) NOT LIKE 'pg\_%'
          AND coalesce(n.nspname, c.schema_name) NOT IN ('information_schema', 'bemi')
        ORDER BY place
    LOOP
        PERFORM bemi.emit_ddl(touched.command_tag, touched.object_type, touched.object_identity,
                              touched.of_schema, touched.of_table);
    END LOOP;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'bemi: this % is not recorded: %', tg_tag, sqlerrm
        USING HINT = 'Run bemi-worker doctor.';
END
";

/// What went is not in the catalog any more: a table is judged by its name. The row type of a table,
/// the indexes of it and the like, which go with it, are not named.
const RECORD_DROPS: &str = r#"
DECLARE
    dropped record;
BEGIN
    IF current_setting('bemi.quiet', true) = 'on' THEN
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_event_trigger_dropped_objects() AS o WHERE NOT o.is_temporary) THEN
        RETURN;
    END IF;
    FOR dropped IN
        WITH objects AS MATERIALIZED (
            SELECT o.*, o.original OR o.normal AS is_named
            FROM pg_event_trigger_dropped_objects() WITH ORDINALITY
                AS o (classid, objid, objsubid, original, normal, is_temporary, object_type,
                      schema_name, object_name, object_identity, address_names, address_args, place)
            WHERE NOT o.is_temporary
        ), partitions AS MATERIALIZED (
            SELECT r.schema, r.table, unnest(r.members::oid[]) AS member
            FROM jsonb_to_recordset(nullif(current_setting('bemi.partitions', true), '')::jsonb)
                AS r (schema text, "table" text, members text)
        ), published AS MATERIALIZED (
            SELECT DISTINCT o.address_names AS names
            FROM objects o
            JOIN bemi.settings s ON o.address_args = ARRAY[s.publication]
                                 OR o.address_args = ARRAY[s.publication || '_insert_only']
            WHERE o.object_type = 'publication relation'
        ), candidates AS (
            SELECT o.place, o.object_type, o.object_identity,
                   CASE o.object_type WHEN 'schema' THEN o.object_name
                                      ELSE coalesce(m.schema, o.schema_name) END AS of_schema,
                   coalesce(m.table, o.object_name) AS of_table,
                   p.names IS NOT NULL AS was_published
            FROM objects o
            LEFT JOIN partitions m ON m.member = o.objid AND o.object_type = 'table'
            LEFT JOIN published p ON p.names = ARRAY[o.schema_name, o.object_name]
                                  AND o.object_type = 'table'
            -- What belongs to an extension goes with it.
            WHERE tg_tag NOT IN ('DROP EXTENSION', 'CREATE EXTENSION', 'ALTER EXTENSION')
              AND (o.object_type = 'table'
                   OR o.object_type IN ('type', 'schema', 'index') AND o.is_named)
            UNION ALL
            -- A column that went with its type. What ALTER TABLE drops, it says itself.
            SELECT o.place, o.object_type, o.object_identity, n.nspname, c.relname, false
            FROM objects o
            JOIN pg_class c ON c.oid = o.objid AND c.relkind IN ('r', 'p') AND NOT c.relispartition
            JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE o.object_type = 'table column' AND o.is_named AND tg_tag <> 'ALTER TABLE'
        )
        SELECT o.place, o.object_type, o.object_identity, o.of_schema,
               CASE WHEN o.object_type IN ('table', 'table column') THEN o.of_table END AS of_table
        FROM candidates o
        WHERE o.of_schema NOT LIKE 'pg\_%' AND o.of_schema NOT IN ('information_schema', 'bemi')
          AND (o.object_type IN ('type', 'schema')
               OR o.was_published
               -- The table of an index is not known: one of that schema will have been tracked.
               OR EXISTS (SELECT FROM bemi.tracked_tables t WHERE NOT t.excluded
                          AND o.of_schema LIKE t.schema_like
                          AND (o.object_type = 'index' OR o.of_table LIKE t.table_like))
                  AND NOT EXISTS (SELECT FROM bemi.tracked_tables t WHERE t.excluded
                          AND o.object_type <> 'index'
                          AND o.of_schema LIKE t.schema_like AND o.of_table LIKE t.table_like))
        ORDER BY o.place
    LOOP
        PERFORM bemi.emit_ddl(tg_tag, dropped.object_type, dropped.object_identity,
                              dropped.of_schema, dropped.of_table);
    END LOOP;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'bemi: this % is not recorded: %', tg_tag, sqlerrm
        USING HINT = 'Run bemi-worker doctor.';
END
"#;
