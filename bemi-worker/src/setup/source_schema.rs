//! What setup keeps in the source, in schema `bemi`: what it made, which tables are tracked, and the
//! event trigger that keeps the publications up to date.
//!
//! Invariant: nothing in here can make a statement of the application fail. What goes wrong in the
//! event trigger becomes a warning.

use postgres_protocol::escape::{escape_identifier, escape_literal};

/// The statements that create the tables, one each. The schema is there.
pub(crate) const CREATE_TABLES: [&str; 5] = [
    // `former` is what to put back; of a slot, the position where it began.
    "CREATE TABLE IF NOT EXISTS bemi.installation (
    kind text NOT NULL,
    name text NOT NULL,
    former text,
    made_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, name)
)",
    "CREATE TABLE IF NOT EXISTS bemi.settings (
    publication text PRIMARY KEY
)",
    // Patterns of tables whose old rows are to be whole.
    "CREATE TABLE IF NOT EXISTS bemi.full_identity (
    pattern text PRIMARY KEY,
    schema_like text NOT NULL,
    table_like text NOT NULL
)",
    // The patterns as they were given, and for the event trigger as LIKE takes them.
    "CREATE TABLE IF NOT EXISTS bemi.tracked_tables (
    pattern text NOT NULL,
    excluded boolean NOT NULL,
    schema_like text NOT NULL,
    table_like text NOT NULL,
    PRIMARY KEY (pattern, excluded)
)",
    // The patterns and masks as they were given. A column may be both ignored and masked.
    "CREATE TABLE IF NOT EXISTS bemi.column_rules (
    pattern text NOT NULL,
    rule text NOT NULL CHECK (rule IN ('ignore', 'mask')),
    mask text,
    PRIMARY KEY (pattern, rule),
    CHECK ((rule = 'mask') = (mask IS NOT NULL))
)",
];

/// The tables of [`CREATE_TABLES`], and nothing else, in the order in which to drop them.
pub(crate) const TABLES: [&str; 5] = [
    "bemi.column_rules",
    "bemi.tracked_tables",
    "bemi.full_identity",
    "bemi.settings",
    "bemi.installation",
];

/// What the comment on a schema says that setup made. Only such a schema is dropped again.
const SCHEMA_COMMENT: &str = "Made by bemi-worker setup.";

/// Creates a schema that is known as ours.
pub(crate) fn create_schema(name: &str) -> Vec<String> {
    let name = escape_identifier(name);
    vec![
        format!("CREATE SCHEMA {name}"),
        format!("COMMENT ON SCHEMA {name} IS {}", escape_literal(SCHEMA_COMMENT)),
    ]
}

/// Drops a schema if it is ours, and nobody has put anything into it.
pub(crate) fn drop_schema(name: &str) -> String {
    let body = format!(
        "BEGIN \
             IF (SELECT pg_catalog.obj_description(oid, 'pg_namespace') FROM pg_catalog.pg_namespace \
                 WHERE nspname = {}) = {} \
             THEN DROP SCHEMA {}; END IF; \
         EXCEPTION WHEN dependent_objects_still_exist THEN NULL; \
         END",
        escape_literal(name),
        escape_literal(SCHEMA_COMMENT),
        escape_identifier(name)
    );
    format!("DO {}", escape_literal(&body))
}

/// The name of the event trigger.
pub(crate) const EVENT_TRIGGER: &str = "bemi_track_tables";

/// The event trigger's functions: name and body.
pub(crate) const FUNCTIONS: [(&str, &str); 2] =
    [("track_table", TRACK_TABLE), ("track_tables", TRACK_TABLES)];

/// The session setting that keeps the event trigger still while setup, or the trigger itself, works.
pub(crate) const QUIET: &str = "bemi.quiet";

/// Creates functions and event trigger, or brings those of an older version up to date.
///
/// They run as their owner, who may publish every table, with a search path that nobody else can
/// put anything into.
pub(crate) fn create_event_trigger() -> Vec<String> {
    vec![
        format!(
            "CREATE OR REPLACE FUNCTION bemi.track_table(published oid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET {QUIET} = 'on'
AS $bemi${TRACK_TABLE}$bemi$"
        ),
        "REVOKE ALL ON FUNCTION bemi.track_table(oid) FROM PUBLIC".to_owned(),
        format!(
            "CREATE OR REPLACE FUNCTION bemi.track_tables() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $bemi${TRACK_TABLES}$bemi$"
        ),
        format!("DROP EVENT TRIGGER IF EXISTS {EVENT_TRIGGER}"),
        format!(
            "CREATE EVENT TRIGGER {EVENT_TRIGGER} ON ddl_command_end
WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'CREATE SCHEMA', 'ALTER SCHEMA', 'ALTER TABLE',
            'DROP INDEX', 'DROP TABLE', 'DROP SCHEMA', 'DROP TYPE', 'DROP DOMAIN', 'DROP COLLATION', 'DROP FUNCTION',
            'DROP ROUTINE', 'DROP OPERATOR CLASS', 'DROP OPERATOR FAMILY', 'DROP EXTENSION', 'DROP OWNED')
EXECUTE FUNCTION bemi.track_tables()"
        ),
        always(EVENT_TRIGGER),
    ]
}

/// Lets an event trigger fire also where a session plays a replica: tools that copy databases make tables
/// in one.
pub(super) fn always(event_trigger: &str) -> String {
    format!("ALTER EVENT TRIGGER {event_trigger} ENABLE ALWAYS")
}

/// Drops what [`create_event_trigger`] created.
pub(crate) fn drop_event_trigger() -> Vec<String> {
    vec![
        format!("DROP EVENT TRIGGER IF EXISTS {EVENT_TRIGGER}"),
        "DROP FUNCTION IF EXISTS bemi.track_tables()".to_owned(),
        "DROP FUNCTION IF EXISTS bemi.track_table(oid)".to_owned(),
    ]
}

/// Puts one table, not a partition, into the publication where it belongs now, with the trigger that
/// takes the context of requests, where setup was told so. A table whose key is gone must leave the
/// first publication in the same transaction: its UPDATEs would fail.
const TRACK_TABLE: &str = r#"
DECLARE
    all_operations text;
    insert_only text;
    target record;
    part record;
    identified boolean;
    belongs text;
    other text;
BEGIN
    SELECT s.publication, s.publication || '_insert_only'
    INTO all_operations, insert_only FROM bemi.settings s;
    IF NOT FOUND THEN
        RETURN;
    END IF;

    SELECT n.nspname, c.relname,
           EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid
                   AND a.attgenerated = 'v' AND NOT a.attisdropped) AS has_virtual_columns,
           EXISTS (SELECT FROM bemi.full_identity f
                   WHERE n.nspname LIKE f.schema_like AND c.relname LIKE f.table_like) AS wants_full,
           EXISTS (SELECT FROM bemi.tracked_tables t WHERE NOT t.excluded
                   AND n.nspname LIKE t.schema_like AND c.relname LIKE t.table_like)
           AND NOT EXISTS (SELECT FROM bemi.tracked_tables t WHERE t.excluded
                   AND n.nspname LIKE t.schema_like AND c.relname LIKE t.table_like) AS matches
    INTO target
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = published AND c.relkind IN ('r', 'p') AND c.relpersistence = 'p'
      AND NOT c.relispartition
      AND n.nspname NOT LIKE 'pg\_%' AND n.nspname NOT IN ('information_schema', 'bemi')
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                      AND d.objid = c.oid AND d.deptype = 'e');
    IF NOT FOUND THEN
        RETURN;
    END IF;
    -- What is published stays published, so that a renamed table is not lost.
    IF NOT target.matches AND NOT EXISTS (
        SELECT FROM pg_publication_rel m JOIN pg_publication p ON p.oid = m.prpubid
        WHERE m.prrelid = published AND p.pubname IN (all_operations, insert_only))
    THEN
        RETURN;
    END IF;

    -- FULL with a virtual column makes UPDATE and DELETE of the application fail.
    IF target.has_virtual_columns THEN
        FOR part IN
            SELECT n.nspname, c.relname, i.kind, i.name, i.former
            FROM (SELECT published AS oid
                  UNION SELECT tree.relid FROM pg_partition_tree(published) AS tree) AS parts
            JOIN pg_class c ON c.oid = parts.oid
            JOIN pg_namespace n ON n.oid = c.relnamespace
            JOIN bemi.installation i ON i.kind = 'replica identity'
                AND i.name = format('"%s"."%s"', replace(n.nspname, '"', '""'),
                                    replace(c.relname, '"', '""'))
            WHERE c.relreplident = 'f' AND i.former IS NOT NULL
        LOOP
            EXECUTE format('ALTER TABLE %I.%I REPLICA IDENTITY %s', part.nspname, part.relname,
                           part.former);
            DELETE FROM bemi.installation i WHERE i.kind = part.kind AND i.name = part.name;
        END LOOP;
    ELSIF target.wants_full THEN
        FOR part IN
            SELECT n.nspname, c.relname, c.relreplident,
                   (SELECT i.relname FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
                    WHERE x.indrelid = c.oid AND x.indisreplident) AS index_name
            FROM (SELECT published AS oid
                  UNION SELECT tree.relid FROM pg_partition_tree(published) AS tree) AS parts
            JOIN pg_class c ON c.oid = parts.oid
            JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relreplident <> 'f' AND c.relkind IN ('r', 'p') AND c.relpersistence = 'p'
        LOOP
            INSERT INTO bemi.installation (kind, name, former)
            VALUES ('replica identity',
                    format('"%s"."%s"', replace(part.nspname, '"', '""'),
                           replace(part.relname, '"', '""')),
                    CASE part.relreplident
                        WHEN 'n' THEN 'NOTHING'
                        WHEN 'i' THEN coalesce('USING INDEX ' || quote_ident(part.index_name), 'NOTHING')
                        ELSE 'DEFAULT'
                    END)
            ON CONFLICT DO NOTHING;
            EXECUTE format('ALTER TABLE %I.%I REPLICA IDENTITY FULL', part.nspname, part.relname);
        END LOOP;
    END IF;

    SELECT coalesce(bool_and(
        CASE c.relreplident
            WHEN 'f' THEN NOT target.has_virtual_columns
            WHEN 'n' THEN false
            WHEN 'i' THEN EXISTS (SELECT FROM pg_index x WHERE x.indrelid = c.oid
                                  AND x.indisreplident AND x.indisvalid)
            ELSE EXISTS (SELECT FROM pg_index x WHERE x.indrelid = c.oid
                         AND x.indisprimary AND x.indimmediate AND x.indisvalid)
        END), false)
    INTO identified
    FROM (SELECT published AS oid
          UNION SELECT tree.relid FROM pg_partition_tree(published) AS tree) AS parts
    JOIN pg_class c ON c.oid = parts.oid
    WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p';

    belongs := CASE WHEN identified THEN all_operations ELSE insert_only END;
    other := CASE WHEN identified THEN insert_only ELSE all_operations END;
    IF EXISTS (SELECT FROM pg_publication_rel m JOIN pg_publication p ON p.oid = m.prpubid
               WHERE m.prrelid = published AND p.pubname = other)
    THEN
        EXECUTE format('ALTER PUBLICATION %I DROP TABLE ONLY %I.%I',
                       other, target.nspname, target.relname);
    END IF;
    IF NOT EXISTS (SELECT FROM pg_publication_rel m JOIN pg_publication p ON p.oid = m.prpubid
                   WHERE m.prrelid = published AND p.pubname = belongs)
    THEN
        EXECUTE format('ALTER PUBLICATION %I ADD TABLE ONLY %I.%I',
                       belongs, target.nspname, target.relname);
    END IF;

    -- A table that was attached is published by its root. Published by itself as well, it keeps its own
    -- name for the session of PostgreSQL 14 that streams.
    FOR part IN
        SELECT p.pubname, n.nspname, c.relname
        FROM pg_partition_tree(published) AS tree
        JOIN pg_publication_rel m ON m.prrelid = tree.relid
        JOIN pg_publication p ON p.oid = m.prpubid
        JOIN pg_class c ON c.oid = tree.relid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE tree.relid <> published AND p.pubname IN (all_operations, insert_only)
    LOOP
        EXECUTE format('ALTER PUBLICATION %I DROP TABLE ONLY %I.%I',
                       part.pubname, part.nspname, part.relname);
    END LOOP;

    IF EXISTS (SELECT FROM bemi.installation i
               WHERE i.kind = 'function' AND i.name = 'bemi.emit_request_context()')
    THEN
        FOR part IN
            SELECT n.nspname, c.relname
            FROM (SELECT published AS oid
                  UNION SELECT tree.relid FROM pg_partition_tree(published) AS tree) AS parts
            JOIN pg_class c ON c.oid = parts.oid
            JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p'
              AND NOT EXISTS (SELECT FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid
                              JOIN pg_namespace pn ON pn.oid = p.pronamespace
                              WHERE g.tgrelid = c.oid AND NOT g.tgisinternal
                                AND pn.nspname = 'bemi' AND p.proname = 'emit_request_context')
        LOOP
            BEGIN
                EXECUTE format('CREATE TRIGGER "!bemi_context" '
                               'BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %I.%I '
                               'FOR EACH STATEMENT EXECUTE FUNCTION bemi.emit_request_context()',
                               part.nspname, part.relname);
            EXCEPTION WHEN OTHERS THEN
                -- Tracked without it all the same.
                RAISE WARNING 'bemi: requests may leave no context on %.%: %',
                              part.nspname, part.relname, sqlerrm
                    USING HINT = 'Run bemi-worker setup again.';
            END;
        END LOOP;
    END IF;
END
"#;

/// Looks at each table that the command touched, at those of a schema that was renamed, and after
/// something was dropped at every published table whose rows have lost their identity by that.
const TRACK_TABLES: &str = r"
DECLARE
    touched oid;
BEGIN
    IF current_setting('bemi.quiet', true) = 'on' THEN
        RETURN;
    END IF;
    FOR touched IN
        SELECT DISTINCT coalesce(pg_partition_root(c.objid), c.objid)
        FROM pg_event_trigger_ddl_commands() AS c
        WHERE c.classid = 'pg_class'::regclass AND c.object_type = 'table' AND NOT c.in_extension
        UNION
        -- A schema that has another name now may be one whose tables are to be tracked.
        SELECT t.oid
        FROM pg_event_trigger_ddl_commands() AS c
        JOIN pg_class t ON t.relnamespace = c.objid
        WHERE c.classid = 'pg_namespace'::regclass AND tg_tag = 'ALTER SCHEMA'
          AND t.relkind IN ('r', 'p') AND NOT t.relispartition
        UNION
        -- A partition that was detached is a table now; the command names its former root.
        SELECT t.oid
        FROM pg_class t
        JOIN pg_namespace n ON n.oid = t.relnamespace
        JOIN bemi.tracked_tables p
          ON NOT p.excluded AND n.nspname LIKE p.schema_like AND t.relname LIKE p.table_like
        WHERE tg_tag = 'ALTER TABLE' AND t.relkind IN ('r', 'p') AND NOT t.relispartition
          AND NOT EXISTS (SELECT FROM pg_publication_rel m WHERE m.prrelid = t.oid)
          AND EXISTS (SELECT FROM pg_event_trigger_ddl_commands() AS c
                      JOIN pg_class r ON r.oid = c.objid
                      WHERE c.classid = 'pg_class'::regclass AND r.relkind = 'p')
        UNION
        -- The index of a key was dropped, or went with something else: whose it was is not known any more.
        SELECT m.prrelid
        FROM pg_publication_rel m
        JOIN pg_publication p ON p.oid = m.prpubid
        JOIN bemi.settings s ON p.pubname = s.publication
        WHERE tg_tag LIKE 'DROP %' AND EXISTS (
            SELECT FROM (SELECT m.prrelid AS oid
                         UNION SELECT tree.relid FROM pg_partition_tree(m.prrelid) AS tree) AS parts
            JOIN pg_class c ON c.oid = parts.oid
            WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND c.relreplident <> 'f' AND NOT EXISTS (
                SELECT FROM pg_index x WHERE x.indrelid = c.oid AND x.indisvalid
                AND CASE c.relreplident WHEN 'd' THEN x.indisprimary AND x.indimmediate
                                        ELSE x.indisreplident END))
    LOOP
        BEGIN
            PERFORM bemi.track_table(touched);
        EXCEPTION WHEN OTHERS THEN
            RAISE WARNING 'bemi: changes of % may not be tracked: %', touched::regclass, sqlerrm
                USING HINT = 'Run bemi-worker setup again.';
        END;
    END LOOP;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'bemi: changes of this table may not be tracked: %', sqlerrm
        USING HINT = 'Run bemi-worker setup again.';
END
";
