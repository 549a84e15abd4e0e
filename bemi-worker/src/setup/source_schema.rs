//! What setup keeps in the source, in schema `bemi`: what it made, which tables are tracked, and the
//! function that puts tables into the publications.
//!
//! Invariant: nothing in here can make a statement of the application fail. What goes wrong in the
//! event trigger becomes a warning.

use postgres_protocol::escape::{escape_identifier, escape_literal};

use super::table_events;

/// The statements that create the tables, one each. The schema is there.
pub(crate) const CREATE_TABLES: [&str; 6] = [
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
    CREATE_GIVEN_UP,
];

/// Slots that a worker gave up, as it was told to, each the last time: what was not stored up to
/// `position` is lost. No version before made it.
pub(crate) const CREATE_GIVEN_UP: &str = "CREATE TABLE IF NOT EXISTS bemi.given_up (
    slot text PRIMARY KEY,
    reason text NOT NULL,
    position bigint NOT NULL,
    given_up_at timestamptz NOT NULL DEFAULT now()
)";

/// Brings the tables of versions before to what [`CREATE_TABLES`] makes, and moves what they hold: one policy
/// for all replica identities, and columns that were left out before there were other rules for columns.
pub(crate) const UPGRADE_TABLES: &str = "DO $bemi$
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_attribute
               WHERE attrelid = 'bemi.settings'::pg_catalog.regclass AND attname = 'replica_identity'
                 AND NOT attisdropped) THEN
        INSERT INTO bemi.full_identity (pattern, schema_like, table_like)
        SELECT '*.*', '%', '%' FROM bemi.settings WHERE replica_identity = 'full'
        ON CONFLICT DO NOTHING;
        ALTER TABLE bemi.settings DROP COLUMN replica_identity;
    END IF;
    IF pg_catalog.to_regclass('bemi.excluded_columns') IS NOT NULL THEN
        INSERT INTO bemi.column_rules (pattern, rule, mask)
        SELECT pg_catalog.concat_ws('.', schema_name, table_name, column_name), 'mask', 'drop'
        FROM bemi.excluded_columns
        ON CONFLICT DO NOTHING;
        DROP TABLE bemi.excluded_columns;
    END IF;
END
$bemi$";

/// The tables of [`CREATE_TABLES`], and nothing else, in the order in which to drop them.
pub(crate) const TABLES: [&str; 6] = [
    "bemi.given_up",
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

/// The names and bodies of the functions that the event triggers run.
pub(crate) fn functions() -> impl Iterator<Item = (&'static str, &'static str)> {
    [("track_table", TRACK_TABLE), ("is_published", IS_PUBLISHED)]
        .into_iter()
        .chain(table_events::functions())
}

/// The session setting that keeps the event trigger still while setup, or the trigger itself, works.
pub(crate) const QUIET: &str = "bemi.quiet";

/// Creates functions and event triggers, or brings those of an older version up to date.
///
/// They run as their owner, who may publish every table, with a search path that nobody else can
/// put anything into.
pub(crate) fn create_event_triggers() -> Vec<String> {
    let mut sql = vec![
        format!(
            "CREATE OR REPLACE FUNCTION bemi.is_published(published oid) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $bemi${IS_PUBLISHED}$bemi$"
        ),
        "REVOKE ALL ON FUNCTION bemi.is_published(oid) FROM PUBLIC".to_owned(),
        format!(
            "CREATE OR REPLACE FUNCTION bemi.track_table(published oid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET {QUIET} = 'on'
AS $bemi${TRACK_TABLE}$bemi$"
        ),
        "REVOKE ALL ON FUNCTION bemi.track_table(oid) FROM PUBLIC".to_owned(),
    ];
    sql.extend(table_events::create());
    sql
}

/// Lets an event trigger fire also where a session plays a replica: tools that copy databases make tables
/// in one.
pub(super) fn always(event_trigger: &str) -> String {
    format!("ALTER EVENT TRIGGER {event_trigger} ENABLE ALWAYS")
}

/// Drops what [`create_event_triggers`] created.
pub(crate) fn drop_event_triggers() -> Vec<String> {
    let mut sql = table_events::drop();
    sql.push("DROP FUNCTION IF EXISTS bemi.track_table(oid)".to_owned());
    sql.push("DROP FUNCTION IF EXISTS bemi.is_published(oid)".to_owned());
    sql
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
        SELECT p.pubname, n.nspname, c.relname, c.oid
        FROM pg_partition_tree(published) AS tree
        JOIN pg_publication_rel m ON m.prrelid = tree.relid
        JOIN pg_publication p ON p.oid = m.prpubid
        JOIN pg_class c ON c.oid = tree.relid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE tree.relid <> published AND p.pubname IN (all_operations, insert_only)
    LOOP
        EXECUTE format('ALTER PUBLICATION %I DROP TABLE ONLY %I.%I',
                       part.pubname, part.nspname, part.relname);
        PERFORM bemi.emit_table_event('untracked', part.oid, false);
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

/// Looks at each table that the command touched, and at whatever has changed with it; puts it into the
/// publication where it belongs, and tells what became of it.
///
/// What is tracked must not depend on what is told: each has a subtransaction of its own.
pub(super) const TRACK_TABLES: &str = r"
DECLARE
    touched record;
    part record;
    rewritten oid[];
    partitions jsonb;
    labels jsonb;
    was_tracked boolean;
    is_certain boolean;
    rows_moved boolean;
BEGIN
    IF current_setting('bemi.quiet', true) = 'on' THEN
        RETURN;
    END IF;
    -- What was noted is of this command.
    rewritten := string_to_array(nullif(current_setting('bemi.rewritten', true), ''), ' ');
    partitions := nullif(current_setting('bemi.partitions', true), '');
    labels := nullif(current_setting('bemi.labels', true), '');
    PERFORM set_config('bemi.rewritten', '', true), set_config('bemi.partitions', '', false),
            set_config('bemi.labels', '', true);
    FOR touched IN
        WITH RECURSIVE commands AS MATERIALIZED (
            -- The first that is told of an object is the command itself.
            SELECT DISTINCT ON (c.objid) c.objid, c.command_tag, coalesce(o.relkind, '?') AS relkind, o.reltype,
                   coalesce(pg_partition_root(c.objid), c.objid) AS root
            FROM pg_event_trigger_ddl_commands() WITH ORDINALITY
                AS c (classid, objid, objsubid, command_tag, object_type, schema_name, object_identity,
                      in_extension, command, place)
            -- An older snapshot may not see a table that somebody else made.
            LEFT JOIN pg_class o ON o.oid = c.objid
            WHERE c.classid = 'pg_class'::regclass AND NOT c.in_extension
              AND (o.relkind IN ('r', 'p', 'c') OR o.oid IS NULL AND c.object_type IN ('table', 'table column'))
            ORDER BY c.objid, c.place
        ), noted AS MATERIALIZED (
            SELECT p.root::oid AS root, p.members::oid[] AS members
            FROM jsonb_to_recordset(partitions) AS p (root bigint, members text)
        ), children (child) AS (
            -- By INHERITS: they are tables of their own, and the command does not name them.
            SELECT i.inhrelid FROM commands c JOIN pg_inherits i ON i.inhparent = c.objid
            WHERE c.relkind = 'r'
            UNION
            SELECT i.inhrelid FROM children h JOIN pg_inherits i ON i.inhparent = h.child
        ), types (type) AS (
            -- A value of a type that was altered is another one in JSON, wherever it is.
            SELECT c.reltype FROM commands c WHERE tg_tag IN ('ALTER TABLE', 'ALTER TYPE') AND c.reltype <> 0
            UNION
            SELECT e.enumtypid FROM jsonb_each_text(labels) AS l JOIN pg_enum e ON e.oid = l.key::oid
            WHERE e.enumlabel <> l.value
            UNION
            SELECT coalesce(r.reltype, d.objid)
            FROM types t
            JOIN pg_depend d ON d.refclassid = 'pg_type'::regclass AND d.refobjid = t.type
            LEFT JOIN pg_class r ON d.classid = 'pg_class'::regclass AND r.oid = d.objid
            WHERE d.classid = 'pg_type'::regclass OR d.classid = 'pg_class'::regclass AND d.objsubid > 0
        ), tables (published, is_created, is_rewritten) AS (
            SELECT c.root, c.root = c.objid AND c.command_tag = 'CREATE TABLE', false
            FROM commands c WHERE c.relkind IN ('r', 'p', '?')
            UNION ALL
            SELECT child, false, false FROM children
            UNION ALL
            SELECT coalesce(pg_partition_root(r), r), false, true FROM unnest(rewritten) AS r
            UNION ALL
            SELECT coalesce(pg_partition_root(u.oid), u.oid), false, true
            FROM types t JOIN pg_type y ON y.oid = t.type JOIN pg_class u ON u.oid = y.typrelid
            WHERE u.relkind IN ('r', 'p') AND u.oid NOT IN (SELECT c.objid FROM commands c)
            UNION ALL
            -- A schema that has another name now may be one whose tables are to be tracked.
            SELECT t.oid, false, false
            FROM pg_event_trigger_ddl_commands() AS c
            JOIN pg_class t ON t.relnamespace = c.objid
            WHERE c.classid = 'pg_namespace'::regclass AND tg_tag = 'ALTER SCHEMA'
              AND t.relkind IN ('r', 'p') AND NOT t.relispartition
            UNION ALL
            -- A partition that was detached is a table now; the command names its former root.
            SELECT t.oid, false, false
            FROM pg_class t
            JOIN pg_namespace n ON n.oid = t.relnamespace
            JOIN bemi.tracked_tables p
              ON NOT p.excluded AND n.nspname LIKE p.schema_like AND t.relname LIKE p.table_like
            WHERE tg_tag = 'ALTER TABLE' AND t.relkind IN ('r', 'p') AND NOT t.relispartition
              AND NOT EXISTS (SELECT FROM pg_publication_rel m WHERE m.prrelid = t.oid)
              AND EXISTS (SELECT FROM commands c WHERE c.relkind = 'p')
            UNION ALL
            -- A partition was dropped. The commands that attach and detach one name its root.
            SELECT n.root, false, false
            FROM noted n JOIN pg_class c ON c.oid = n.root
            WHERE tg_tag LIKE 'DROP %' AND (SELECT array_agg(m ORDER BY m) FROM unnest(n.members) AS m)
                  <> (SELECT array_agg(tree.relid::oid ORDER BY tree.relid::oid) FROM pg_partition_tree(n.root) AS tree)
            UNION ALL
            -- The index of a key was dropped, or went with something else: whose it was is not known any more.
            SELECT m.prrelid, false, false
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
        )
        SELECT t.published, bool_or(t.is_created) AS is_created, bool_or(t.is_rewritten) AS is_rewritten,
               (SELECT n.members FROM noted n WHERE n.root = t.published) AS members,
               NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.published) AS is_hidden
        FROM tables t GROUP BY t.published ORDER BY t.published
    LOOP
        was_tracked := bemi.is_published(touched.published);
        is_certain := true;
        BEGIN
            PERFORM bemi.track_table(touched.published);
        EXCEPTION WHEN OTHERS THEN
            is_certain := false;
            RAISE WARNING 'bemi: changes of % may not be tracked: %', touched.published::regclass, sqlerrm
                USING HINT = 'Run bemi-worker setup again.';
        END;
        BEGIN
            IF NOT is_certain THEN
                PERFORM bemi.emit_table_event('untracked', touched.published, false);
                CONTINUE;
            END IF;
            CONTINUE WHEN NOT (touched.is_hidden OR bemi.is_published(touched.published));
            rows_moved := false;
            FOR part IN
                SELECT m.member, c.oid IS NULL AS is_gone
                FROM ((SELECT unnest(touched.members) EXCEPT SELECT tree.relid FROM pg_partition_tree(touched.published) AS tree)
                      UNION ALL
                      (SELECT tree.relid FROM pg_partition_tree(touched.published) AS tree EXCEPT SELECT unnest(touched.members))
                     ) AS m (member)
                LEFT JOIN pg_class c ON c.oid = m.member
                WHERE touched.members IS NOT NULL AND coalesce(c.relkind, 'r') = 'r'
            LOOP
                -- How many rows went with it, nobody knows.
                rows_moved := part.is_gone;
                IF NOT rows_moved THEN
                    EXECUTE format('SELECT EXISTS (SELECT FROM %s)', part.member::regclass) INTO rows_moved;
                END IF;
                EXIT WHEN rows_moved;
            END LOOP;
            IF was_tracked AND rows_moved THEN
                -- They came or went without a change of theirs: nothing that was known is known any more.
                PERFORM bemi.emit_table_event('untracked', touched.published, false);
                PERFORM bemi.emit_table_event('tracked', touched.published, false);
            ELSE
                PERFORM bemi.emit_table_event(
                    CASE WHEN was_tracked THEN 'altered' WHEN touched.is_created THEN 'created' ELSE 'tracked' END,
                    touched.published, touched.is_rewritten AND was_tracked);
            END IF;
        EXCEPTION WHEN OTHERS THEN
            RAISE WARNING 'bemi: what became of % is not recorded: %', touched.published::regclass, sqlerrm
                USING HINT = 'Run bemi-worker doctor.';
        END;
    END LOOP;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'bemi: changes of this table may not be tracked: %', sqlerrm
        USING HINT = 'Run bemi-worker setup again.';
END
";

/// Whether one of our publications has a table.
const IS_PUBLISHED: &str = r"
BEGIN
    RETURN EXISTS (SELECT FROM pg_publication_rel m JOIN pg_publication p ON p.oid = m.prpubid
                   JOIN bemi.settings s ON p.pubname IN (s.publication, s.publication || '_insert_only')
                   WHERE m.prrelid = published);
END
";
