//! Teardown takes back what setup made, and nothing else.

use bemi_tests::{TestDatabase, Tracked, shared_cluster};

const SCHEMA: &str = "
CREATE TABLE t (id int PRIMARY KEY, body text);
CREATE TABLE keyless (line text);
CREATE TABLE indexed (code int NOT NULL CONSTRAINT by_code UNIQUE);
ALTER TABLE indexed REPLICA IDENTITY USING INDEX by_code;
CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY LIST (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER stamp BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE FUNCTION seen() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE VIEW bodies AS SELECT body FROM t;
CREATE PUBLICATION somebody FOR TABLE t;
COMMENT ON TABLE t IS 'theirs';
GRANT SELECT ON t TO PUBLIC;";

/// Everything that is in the catalogs of a database, one line each, without oids and what only counts.
async fn catalog(tracked: &Tracked) -> Vec<String> {
    let tables: Vec<(String, bool)> = tracked
        .client
        .query(
            "SELECT c.relname::text, c.relisshared FROM pg_class c
             WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind = 'r'
               AND c.relname IN ('pg_namespace', 'pg_proc', 'pg_trigger', 'pg_event_trigger', 'pg_type',
                                 'pg_constraint', 'pg_attrdef', 'pg_rewrite', 'pg_policy', 'pg_publication',
                                 'pg_default_acl', 'pg_description', 'pg_extension', 'pg_db_role_setting')
             ORDER BY 1",
            &[],
        )
        .await
        .unwrap()
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect();
    let mut lines = Vec::new();
    for (table, _) in tables {
        let rows: Vec<String> = tracked
            .value(&format!(
                "SELECT coalesce(array_agg('{table} ' || to_jsonb(c)::text ORDER BY to_jsonb(c)::text), '{{}}')
                 FROM {table} c"
            ))
            .await;
        lines.extend(rows);
    }
    // What changes by being looked at and vacuumed is left out.
    let others: Vec<String> = tracked
        .value(
            "SELECT array_agg(line ORDER BY line) FROM (
                 SELECT format('relation %s.%s %s %s %s %s %s', relnamespace::regnamespace, relname, relkind,
                               relreplident, relacl, relowner::regrole, reloptions) AS line
                 FROM pg_class WHERE relnamespace <> 'pg_toast'::regnamespace
                 UNION ALL SELECT format('identity %s', indexrelid::regclass) FROM pg_index WHERE indisreplident
                 UNION ALL SELECT format('published %s %s', prpubid, prrelid::regclass) FROM pg_publication_rel
                 UNION ALL SELECT format('slot %s', slot_name) FROM pg_replication_slots
                 WHERE database = current_database()
             ) AS lines",
        )
        .await;
    lines.extend(others);
    lines
}

fn difference(one: &[String], other: &[String]) -> String {
    let only = |these: &[String], those: &[String], sign: char| -> String {
        these
            .iter()
            .filter(|line| !those.contains(line))
            .map(|line| format!("{sign} {line}\n"))
            .collect()
    };
    only(one, other, '-') + &only(other, one, '+')
}

#[tokio::test]
async fn after_setup_and_teardown_the_catalog_is_as_before() {
    let tracked = Tracked::untracked(shared_cluster(), SCHEMA).await;
    let before = catalog(&tracked).await;
    for arguments in [
        &["--all-tables"][..],
        &["--all-tables", "--replica-identity", "full", "--ddl", "--postgrest", "--sql-pack"],
    ] {
        tracked.setup(arguments).await;
        tracked.sql("INSERT INTO t VALUES (1, 'x'); DELETE FROM t").await;
        tracked.store().await;
        assert_ne!(catalog(&tracked).await, before);
        tracked.worker(&["teardown", "--drop-changes"]).run_to_end().await.assert_code(0);
        let after = catalog(&tracked).await;
        assert!(after == before, "{arguments:?} left:\n{}", difference(&before, &after));
    }
}

#[tokio::test]
async fn what_took_the_place_of_ours_stays_and_is_named() {
    let tracked = Tracked::untracked(shared_cluster(), SCHEMA).await;
    tracked.setup(&["--all-tables", "--ddl"]).await;
    let slot = tracked.database.slot_name();
    tracked.sql(&format!("SELECT pg_drop_replication_slot('{slot}')")).await;
    tracked
        .sql(
            "DROP PUBLICATION bemi; CREATE PUBLICATION bemi FOR ALL TABLES;
             DROP EVENT TRIGGER bemi_record_ddl;
             CREATE EVENT TRIGGER bemi_record_ddl ON ddl_command_end EXECUTE FUNCTION seen();
             DROP EVENT TRIGGER bemi_note_labels;
             CREATE EVENT TRIGGER bemi_note_labels ON ddl_command_end EXECUTE FUNCTION seen();
             ALTER TABLE t REPLICA IDENTITY NOTHING;
             CREATE TABLE bemi.theirs (id int)",
        )
        .await;
    tracked.sql(&format!("SELECT pg_create_physical_replication_slot('{slot}')")).await;

    for arguments in [&["teardown", "--dry-run"][..], &["teardown", "--drop-changes"]] {
        let told = tracked.worker(arguments).run_to_end().await.assert_code(0).stdout;
        for kept in [
            &format!("replication slot {slot} is a physical slot by now"),
            "publication bemi is of all tables, or of a schema, by now",
            "event trigger bemi_record_ddl runs a function that setup did not make",
            "event trigger bemi_note_labels runs a function that setup did not make",
        ] {
            assert!(told.contains(kept), "no {kept:?} in\n{told}");
        }
        assert!(!told.contains("drop publication bemi\n"), "{told}");
    }
    let left: Vec<String> = tracked
        .value(
            "SELECT array_agg(what ORDER BY what) FROM (
                 SELECT pubname::text AS what FROM pg_publication
                 UNION ALL SELECT evtname FROM pg_event_trigger
                 UNION ALL SELECT 'bemi.' || relname FROM pg_class WHERE relnamespace = 'bemi'::regnamespace
                 UNION ALL SELECT 't ' || relreplident::text FROM pg_class WHERE relname = 't') AS left_over",
        )
        .await;
    let expected =
        ["bemi", "bemi.theirs", "bemi_note_labels", "bemi_record_ddl", "somebody", "t n"];
    assert_eq!(left, expected);
    tracked.sql(&format!("SELECT pg_drop_replication_slot('{slot}')")).await;
}

#[tokio::test]
async fn what_another_slot_stores_in_the_same_destination_stays() {
    let audit = TestDatabase::create(shared_cluster()).await.unwrap();
    let mut sources = Vec::new();
    for _ in 0..2 {
        let tracked =
            Tracked::untracked(shared_cluster(), "CREATE TABLE t (id int PRIMARY KEY)").await;
        let run = |arguments: &[&str]| {
            tracked.worker(arguments).env("DESTINATION_DATABASE_URL", audit.url()).run_to_end()
        };
        run(&["setup", "--all-tables"]).await.assert_code(0);
        tracked.sql("INSERT INTO t VALUES (1)").await;
        run(&["run", "--once"]).await.assert_code(0);
        tracked.database.wait_for_free_slot(&tracked.database.slot_name()).await;
        sources.push(tracked);
    }
    let teardown = sources[0].worker(&["teardown", "--drop-changes"]);
    let teardown = teardown.env("DESTINATION_DATABASE_URL", audit.url());
    let told = teardown.run_to_end().await.assert_code(0).stdout;
    assert!(told.contains("changes of slot") && told.contains("are stored there, too"), "{told}");
    let client = audit.connect().await.unwrap();
    let stored: i64 = client.query_one("SELECT count(*) FROM changes", &[]).await.unwrap().get(0);
    assert_eq!(stored, 2);
    drop(client);
    drop(sources);
    audit.close().await.unwrap();
}

#[tokio::test]
async fn no_slot_is_taken_from_under_a_worker_of_another_name() {
    let tracked = Tracked::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    let other = tracked.database.unique_name("other");
    tracked.setup(&["--slot", &other]).await;
    let mut worker = tracked.worker(&["run", "--slot", &other]).spawn();
    worker.wait_for_log("streaming").await;
    let refused = tracked.worker(&["teardown"]).run_to_end().await.assert_code(1);
    assert!(refused.stderr.contains(&format!("replication slot {other} is in use")), "{refused}");
    let made: bool = tracked.value("SELECT to_regclass('bemi.installation') IS NOT NULL").await;
    assert!(made, "nothing was taken back");
    worker.stop().await;
    tracked.database.wait_for_free_slot(&other).await;
    tracked.worker(&["teardown"]).run_to_end().await.assert_code(0);
}
