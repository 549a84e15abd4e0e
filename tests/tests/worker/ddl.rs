//! Commands that change what a table is are stored where they happened, and no more of their text than
//! tells why.

use bemi_tests::Tracked;
use serde_json::{Value, json};

/// A database whose DDL is recorded.
async fn recording(schema: &str) -> Tracked {
    let tracked = Tracked::new(schema).await;
    tracked.setup(&["--ddl"]).await;
    tracked
}

/// What is stored of DDL: command, type and name of the object, and under which schema and table.
async fn commands(tracked: &Tracked) -> Vec<String> {
    tracked.store().await;
    tracked
        .value(
            "SELECT coalesce(array_agg(concat_ws(' ', after ->> 'command', '|', after ->> 'object_type', \
                 after ->> 'object', '|', schema || '.' || \"table\") \
                 ORDER BY commit_position, sequence), '{}') \
             FROM changes WHERE operation = 'DDL'",
        )
        .await
}

/// The texts that are stored of DDL.
async fn texts(tracked: &Tracked) -> Vec<Option<String>> {
    tracked.store().await;
    tracked
        .value(
            "SELECT coalesce(array_agg(after ->> 'sql' ORDER BY commit_position, sequence), '{}') \
             FROM changes WHERE operation = 'DDL'",
        )
        .await
}

#[tokio::test]
async fn a_command_stands_between_the_changes_before_and_behind_it() {
    let tracked = recording("CREATE TABLE todo (id int PRIMARY KEY, task text)").await;
    tracked
        .sql(
            "BEGIN; SELECT bemi.set_context('{\"migration\": 7}');
             INSERT INTO todo VALUES (1, 'a');
             ALTER TABLE todo ADD COLUMN note varchar(255) DEFAULT 'none', DROP COLUMN task, ADD b int;
             SAVEPOINT s; ALTER TABLE todo ADD COLUMN never int; ROLLBACK TO s;
             INSERT INTO todo VALUES (2, 'b'); COMMIT",
        )
        .await;
    tracked.store().await;
    let changes = tracked.changes().await;
    let what: Vec<_> =
        changes.iter().map(|change| (change.operation.as_str(), change.sequence)).collect();
    assert_eq!(what, [("CREATE", 1), ("DDL", 2), ("CREATE", 3)]);
    let ddl = &changes[1];
    assert_eq!((ddl.table.as_str(), &ddl.primary_key, &ddl.before), ("todo", &None, &json!({})));
    assert_eq!((&ddl.context, ddl.before_complete), (&json!({"migration": 7}), false));
    assert_eq!(
        ddl.after,
        json!({
            "command": "ALTER TABLE", "object_type": "table", "object": "public.todo",
            // All that was sent at once; what may have run the command by itself is kept, without data.
            "sql": "BEGIN; SELECT bemi.set_context(?); INSERT INTO todo VALUES (?, ?); \
                    ALTER TABLE todo ADD COLUMN note varchar(255) DEFAULT ?, DROP COLUMN task, ADD b int; \
                    SAVEPOINT s; ALTER TABLE todo ADD COLUMN never int; ROLLBACK TO s; \
                    INSERT INTO todo VALUES (?, ?); COMMIT"
        })
    );
    assert_eq!(changes[2].after, json!({"id": 2, "note": "b", "b": null}));
}

#[tokio::test]
async fn each_command_is_one_row_for_each_thing_that_it_names() {
    let tracked = recording("CREATE TABLE already (id int)").await;
    for sql in [
        "CREATE TABLE t (id serial PRIMARY KEY, up int REFERENCES t (id))",
        "ALTER TABLE t RENAME COLUMN up TO parent",
        "ALTER TABLE t RENAME TO \"T \"\"x\"",
        "CREATE INDEX ON already (id)",
        "SELECT 1 AS a INTO c",
        "CREATE TABLE d AS SELECT 2 AS a",
        "CREATE SCHEMA s CREATE TABLE e (id int)",
        "ALTER TABLE c SET SCHEMA s",
        "ALTER SCHEMA s RENAME TO \"S\"",
        "CREATE TYPE mood AS ENUM ('sad')",
        "ALTER TYPE mood ADD VALUE 'ok'",
        "CREATE TYPE pair AS (a int, b int)",
        "ALTER TYPE pair ADD ATTRIBUTE c int",
        "CREATE DOMAIN positive AS int CHECK (value > 0)",
        "ALTER TABLE d ADD m mood",
        "DROP INDEX already_id_idx",
        "DROP TABLE already, \"T \"\"x\"",
        "DROP TYPE mood, pair CASCADE",
        "DROP DOMAIN positive",
        "DROP SCHEMA \"S\" CASCADE",
    ] {
        tracked.sql(sql).await;
    }
    let expected = [
        "CREATE TABLE | table public.t | public.t",
        "ALTER TABLE | table column public.t.parent | public.t",
        "ALTER TABLE | table public.\"T \"\"x\" | public.T \"x",
        "CREATE INDEX | index public.already_id_idx | public.already",
        "SELECT INTO | table public.c | public.c",
        "CREATE TABLE AS | table public.d | public.d",
        "CREATE TABLE | table s.e | s.e",
        "ALTER TABLE | table s.c | s.c",
        "ALTER SCHEMA | schema \"S\" | S.",
        "CREATE TYPE | type public.mood | public.",
        "ALTER TYPE | type public.mood | public.",
        "CREATE TYPE | type public.pair | public.",
        "ALTER TYPE | composite type public.pair | public.",
        "CREATE DOMAIN | type public.positive | public.",
        "ALTER TABLE | table public.d | public.d",
        "DROP INDEX | index public.already_id_idx | public.",
        "DROP TABLE | table public.already | public.already",
        "DROP TABLE | table public.\"T \"\"x\" | public.T \"x",
        "DROP TYPE | type public.mood | public.",
        "DROP TYPE | table column public.d.m | public.d",
        "DROP TYPE | type public.pair | public.",
        "DROP DOMAIN | type public.positive | public.",
        "DROP SCHEMA | schema \"S\" | S.",
        "DROP SCHEMA | table \"S\".e | S.e",
        "DROP SCHEMA | table \"S\".c | S.c",
    ];
    let mut stored = commands(&tracked).await;
    // The order of what one DROP takes along is the server's own.
    let sorted = |commands: &mut Vec<String>| {
        for run in commands.chunk_by_mut(|a, b| a.split('|').next() == b.split('|').next()) {
            run.sort();
        }
    };
    let mut expected: Vec<String> = expected.map(str::to_owned).to_vec();
    sorted(&mut stored);
    sorted(&mut expected);
    assert_eq!(stored, expected);
}

#[tokio::test]
async fn what_happens_to_partitions_is_told_of_their_root() {
    let tracked = recording(
        "CREATE TABLE events (id int) PARTITION BY LIST (id);
         CREATE TABLE joining (id int)",
    )
    .await;
    for sql in [
        "CREATE TABLE mid PARTITION OF events FOR VALUES IN (1, 2) PARTITION BY LIST (id)",
        "CREATE TABLE \"Leaf\" PARTITION OF mid FOR VALUES IN (1)",
        "ALTER TABLE \"Leaf\" ADD CHECK (id > 0)",
        "ALTER TABLE mid ATTACH PARTITION joining FOR VALUES IN (2)",
        "CREATE INDEX ON events (id)",
        "ALTER TABLE mid DETACH PARTITION joining",
        "DROP TABLE joining",
        "DROP TABLE \"Leaf\"",
        "DROP TABLE events",
    ] {
        tracked.sql(sql).await;
    }
    assert_eq!(
        commands(&tracked).await,
        [
            "CREATE TABLE | table public.mid | public.events",
            "CREATE TABLE | table public.\"Leaf\" | public.events",
            "ALTER TABLE | table public.\"Leaf\" | public.events",
            "ALTER TABLE | table public.mid | public.events",
            "CREATE INDEX | index public.events_id_idx | public.events",
            "ALTER TABLE | table public.mid | public.events",
            "DROP TABLE | table public.joining | public.joining",
            "DROP TABLE | table public.\"Leaf\" | public.events",
            "DROP TABLE | table public.events | public.events",
            "DROP TABLE | table public.mid | public.events",
        ]
    );
}

#[tokio::test]
async fn commands_that_run_outside_of_a_transaction_are_recorded_and_do_no_harm() {
    let tracked = recording(
        "CREATE TABLE t (id int); CREATE TABLE p (id int) PARTITION BY LIST (id);
         CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)",
    )
    .await;
    for sql in [
        "CREATE INDEX CONCURRENTLY by_id ON t (id)",
        "REINDEX TABLE CONCURRENTLY t",
        "DROP INDEX CONCURRENTLY by_id",
        "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY",
    ] {
        tracked.sql(sql).await;
    }
    assert_eq!(
        commands(&tracked).await,
        [
            "CREATE INDEX | index public.by_id | public.t",
            "DROP INDEX | index public.by_id | public.",
            "ALTER TABLE | table public.p | public.p",
        ]
    );
}

#[tokio::test]
async fn what_is_not_tracked_is_not_recorded() {
    let tracked = recording("CREATE TABLE left_out (id int)").await;
    tracked.setup(&["--exclude", "left_*,later_*"]).await;
    for sql in [
        "ALTER TABLE left_out ADD a int; DROP TABLE left_out; CREATE TABLE later_out (id int)",
        "CREATE TEMPORARY TABLE tt (id int); ALTER TABLE tt ADD a int; DROP TABLE tt",
        "CREATE TEMPORARY TABLE tx (id int) ON COMMIT DROP",
        "CREATE UNLOGGED TABLE u (id int)",
        "CREATE EXTENSION hstore; CREATE EXTENSION pg_trgm; DROP EXTENSION pg_trgm",
        "CREATE VIEW v AS SELECT 1; CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER remote FOREIGN DATA WRAPPER w OPTIONS (password 'x');
         CREATE USER MAPPING FOR CURRENT_USER SERVER remote OPTIONS (password 'hidden');
         CREATE FOREIGN TABLE ft (id int) SERVER remote; ALTER FOREIGN TABLE ft OPTIONS (token 'hidden')",
        "CREATE TABLE bemi.own (id int); DROP TABLE bemi.own; CREATE INDEX ON changes (queued_at)",
        "SET bemi.quiet = 'on'; CREATE TABLE quiet (id int); RESET bemi.quiet",
    ] {
        tracked.sql(sql).await;
    }
    assert!(commands(&tracked).await.is_empty(), "{:?}", commands(&tracked).await);
    // A column that goes with an extension is the table's own loss.
    tracked.sql("CREATE TABLE h (id int, h hstore)").await;
    tracked.sql("DROP EXTENSION hstore CASCADE").await;
    assert_eq!(
        commands(&tracked).await,
        [
            "CREATE TABLE | table public.h | public.h",
            "DROP EXTENSION | table column public.h.h | public.h",
        ]
    );
}

#[tokio::test]
async fn no_string_of_the_text_is_stored() {
    let tracked = recording("CREATE TABLE t (id int)").await;
    let role = tracked.database.unique_name("app");
    tracked
        .sql(&format!(
            "CREATE ROLE {role} PASSWORD 'hidden'; /* hidden */ ALTER TABLE t ADD a text DEFAULT E'hi\\'dden';
             COMMENT ON TABLE t IS $$hidden$$; DROP ROLE {role}"
        ))
        .await;
    tracked.sql("DO $x$ BEGIN ALTER TABLE t ADD b text DEFAULT 'hidden'; END $x$").await;
    tracked.sql("CREATE TABLE pins AS SELECT 1234 AS pin, 'hidden' AS whose").await;
    // Here nobody but the server can tell where a string ends.
    tracked.sql("SET standard_conforming_strings = off").await;
    tracked.sql("ALTER TABLE t ADD c text DEFAULT 'it\\'s hidden'").await;
    let stored = texts(&tracked).await;
    assert_eq!(
        stored,
        [
            Some("ALTER TABLE t ADD a text DEFAULT ?".to_owned()),
            Some("DO ?".to_owned()),
            Some("CREATE TABLE pins AS SELECT ? AS pin, ? AS whose".to_owned()),
            None,
        ]
    );
}

#[tokio::test]
async fn a_long_text_is_cut_and_says_so() {
    let tracked = recording("").await;
    let columns: Vec<String> = (0..1500).map(|i| format!("\"{i:_>60}\" int")).collect();
    tracked.sql(&format!("CREATE TABLE wide ({})", columns.join(", "))).await;
    let stored = texts(&tracked).await;
    let text = stored[0].as_deref().unwrap();
    assert!(text.starts_with("CREATE TABLE wide (\"_") && text.ends_with('…'), "{text}");
    assert!(text.len() > 60_000 && text.len() <= 66_000, "{}", text.len());
}

#[tokio::test]
async fn a_message_that_no_event_trigger_wrote_is_kept_as_it_is() {
    let tracked = Tracked::new("").await;
    tracked
        .sql(
            "SELECT pg_logical_emit_message(true, '_bemi_ddl', 'nonsense');
             SELECT pg_logical_emit_message(true, '_bemi_ddl', '{\"command\": 7}');
             SELECT pg_logical_emit_message(true, '_bemi_ddl', '\\xff00'::bytea);
             SELECT pg_logical_emit_message(false, '_bemi_ddl', 'ignored')",
        )
        .await;
    tracked.store().await;
    let changes = tracked.changes().await;
    assert_eq!(changes.len(), 3);
    assert!(changes.iter().all(|change| change.operation == "DDL" && change.table.is_empty()));
    let raw: Vec<&Value> = changes.iter().map(|change| &change.after["_bemi"]["raw"]).collect();
    assert_eq!(raw, ["nonsense", "{\"command\": 7}", "\u{FFFD}\u{FFFD}"]);
    assert!(changes.iter().all(|change| change.after["_bemi"]["error"].is_string()));
}

#[tokio::test]
async fn an_application_that_may_do_little_is_recorded_and_never_fails() {
    let tracked = recording("").await;
    let role = tracked.database.unique_name("app");
    tracked
        .sql(&format!(
            "CREATE ROLE {role}; CREATE SCHEMA app AUTHORIZATION {role}; SET ROLE {role}; SET search_path = app;
             CREATE TABLE t (id int); CREATE TYPE m AS ENUM ('a'); DROP TYPE m; RESET ROLE; RESET search_path"
        ))
        .await;
    let stored = [
        "CREATE TABLE | table app.t | app.t",
        "CREATE TYPE | type app.m | app.",
        "DROP TYPE | type app.m | app.",
    ];
    assert_eq!(commands(&tracked).await, stored);
    // Somebody dropped what the triggers read.
    tracked.sql("DROP TABLE bemi.tracked_tables CASCADE").await;
    tracked
        .sql(&format!(
            "SET ROLE {role}; CREATE TABLE app.u (id int); ALTER TABLE app.u ADD a int; DROP TABLE app.u; RESET ROLE"
        ))
        .await;
    tracked.sql(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

#[tokio::test]
async fn a_transaction_with_an_older_snapshot_is_recorded_too() {
    let tracked = recording("").await;
    tracked.sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class").await;
    let other = tracked.database.connect().await.unwrap();
    other.batch_execute("CREATE TABLE late (a int)").await.unwrap();
    tracked
        .sql("ALTER TABLE late RENAME COLUMN a TO b; CREATE INDEX by_b ON late (b); COMMIT")
        .await;
    assert_eq!(
        commands(&tracked).await,
        [
            "CREATE TABLE | table public.late | public.late",
            "ALTER TABLE | table column public.late.b | public.late",
            "CREATE INDEX | index public.by_b | public.late",
        ]
    );
}

#[tokio::test]
async fn the_query_for_a_table_as_it_was_passes_over_commands() {
    let tracked = recording("CREATE TABLE todo (id int PRIMARY KEY)").await;
    for sql in [
        "INSERT INTO todo VALUES (1), (2)",
        "ALTER TABLE todo ADD task text",
        "UPDATE todo SET task = 'a' WHERE id = 2; DELETE FROM todo WHERE id = 1",
        "CREATE INDEX ON todo (task)",
    ] {
        tracked.sql(sql).await;
    }
    tracked.store().await;
    // As the docs have it.
    let docs = include_str!("../../../docs/changes.md");
    let (_, from) = docs.split_once("A table as it was at a moment").unwrap();
    let sql = from.split("```").nth(1).unwrap().trim_start_matches("sql");
    assert_eq!(sql.matches("timestamptz '").count(), 2, "{sql}");
    let sql: Vec<&str> = sql.split("timestamptz '").collect();
    let now = |part: &&str| part.split_once('\'').map(|(_, rest)| format!("now() {rest}")).unwrap();
    let rest: String = sql[1..].iter().map(now).collect();
    let rows =
        tracked.client.query(&format!("{}{rest}", sql[0]).replace(';', ""), &[]).await.unwrap();
    let rows: Vec<(Option<String>, Value)> =
        rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(rows, [(Some("2".to_owned()), json!({"id": 2, "task": "a"}))]);
}
