//! Doctor on a deliberately broken server: every fault that can be planted is found.

use std::collections::BTreeSet;

use bemi_tests::{TestDatabase, Tracked, free_port, shared_cluster};
use serde_json::Value;

use super::examined::{cluster, examine, examined, read, version};
use super::page::codes;

/// Planted at once on every version, by [`plant`].
const AT_ONCE: [&str; 47] = [
    "B010", "B013", "B014", "B015", "B016", "B017", "B018", "B019", "B024", "B025", "B034", "B035",
    "B036", "B037", "B038", "B039", "B040", "B041", "B042", "B043", "B045", "B046", "B047", "B048",
    "B049", "B050", "B051", "B052", "B053", "B055", "B058", "B059", "B063", "B064", "B065", "B066",
    "B067", "B068", "B069", "B070", "B072", "B074", "B075", "B076", "B020", "B044", "B073",
];

/// Those of the above that PostgreSQL has from 18 on.
const SINCE_18: [&str; 3] = ["B020", "B044", "B073"];

/// Those that hide others, or need a server of their own: each has a test below.
const ALONE: [&str; 20] = [
    "B001", "B002", "B004", "B005", "B006", "B007", "B008", "B009", "B011", "B012", "B021", "B022",
    "B023", "B030", "B031", "B032", "B033", "B054", "B056", "B057",
];

/// Tested elsewhere, or nowhere on a server, and why.
const NOT_HERE: [(&str, &str); 4] = [
    ("B003", "no server before 14 can be had; that it is refused is a unit test of setup's"),
    ("B060", "all clocks are that of this machine; a unit test has others"),
    (
        "B061",
        "only 14 has no fixes any more; there it is planted by itself; a unit test has the rest",
    ),
    ("B062", "only the newest minor versions can be had; a unit test has the others"),
];

/// What doctor mends by itself, as far as it is planted at once.
const SAFE: [&str; 15] = [
    "B013", "B014", "B015", "B016", "B036", "B037", "B038", "B042", "B044", "B051", "B052", "B053",
    "B069", "B070", "B012",
];

#[test]
fn each_code_is_planted_or_has_a_reason_why_not() {
    let mut known: BTreeSet<&str> = AT_ONCE.into_iter().chain(ALONE).chain(["B071"]).collect();
    known.extend(NOT_HERE.map(|(code, _)| code));
    // From there on, the tests of what the codes are for plant them.
    let ours: BTreeSet<String> =
        codes().into_iter().filter(|code| code.as_str() < "B080").collect();
    assert_eq!(ours, known.into_iter().map(str::to_owned).collect());
}

const SCHEMA: &str = "
CREATE TABLE keyless (a int);
CREATE TABLE partial (id int PRIMARY KEY, body text);
CREATE TABLE loses_key (id int PRIMARY KEY);
CREATE TABLE forgotten (id int PRIMARY KEY);
CREATE TABLE gets_key (id int NOT NULL);
CREATE TABLE renamed (id int PRIMARY KEY, secret text);
CREATE UNLOGGED TABLE cache (id int PRIMARY KEY);
CREATE TABLE generated (id int PRIMARY KEY, a int, b int GENERATED ALWAYS AS (a * 2) STORED);
CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY LIST (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES IN (2);
CREATE UNLOGGED TABLE parts_3 PARTITION OF parts FOR VALUES IN (3);
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (more int) INHERITS (parent);
CREATE TABLE huge (id int PRIMARY KEY, content text);
ALTER TABLE huge ALTER content SET STORAGE EXTERNAL;
ALTER TABLE huge REPLICA IDENTITY FULL;";

const SETUP: [&str; 8] = [
    "--all-tables",
    "--exclude",
    "child",
    "--mask",
    "renamed.secret=drop",
    "--ddl",
    "--postgrest",
    "--sql-pack",
];

/// Breaks what is set up, in as many ways as go together.
async fn plant(tracked: &Tracked) {
    let (name, slot) = (tracked.database.name(), tracked.database.slot_name());
    // An open transaction holds back WAL that is stored, and a slot that nobody reads all of it.
    tracked.sql("SELECT pg_create_physical_replication_slot('nobodys', true)").await;
    let open = tracked.database.connect().await.unwrap();
    open.batch_execute("BEGIN; INSERT INTO huge VALUES (0, 'x')").await.unwrap();
    for _ in 0..34 {
        tracked.sql("SELECT pg_logical_emit_message(false, 'x', 'x')").await;
        tracked.sql("SELECT pg_switch_wal()").await;
    }
    tracked.store().await;
    // Kept until the end of the process, as forgotten sessions are.
    std::mem::forget(open);

    tracked.sql("SET bemi.quiet = 'on'").await;
    tracked
        .sql(
            "INSERT INTO huge VALUES (1, repeat('x', 128 * 1024 * 1024));
             ALTER TABLE loses_key DROP CONSTRAINT loses_key_pkey;
             ALTER PUBLICATION bemi DROP TABLE forgotten;
             ALTER TABLE gets_key ADD PRIMARY KEY (id);
             ALTER TABLE renamed RENAME secret TO confidential;
             ALTER TABLE parts_1 REPLICA IDENTITY FULL;
             SELECT lo_create(0);
             ALTER PUBLICATION bemi SET (publish = 'insert, update, delete');
             ALTER PUBLICATION bemi ADD TABLE bemi.quarantine;
             DROP EVENT TRIGGER bemi_note_labels;
             DROP EVENT TRIGGER bemi_record_ddl;
             DO $$ DECLARE f regprocedure; BEGIN
                 FOR f IN SELECT oid FROM pg_proc WHERE proname IN ('set_context', 'bemi_set_context') LOOP
                     EXECUTE 'DROP FUNCTION ' || f;
                 END LOOP;
             END $$;
             DROP TRIGGER \"!bemi_context\" ON partial;
             ALTER TABLE keyless DISABLE TRIGGER \"!bemi_context\";
             REVOKE USAGE ON SCHEMA bemi FROM PUBLIC;
             DELETE FROM bemi.table_events; DELETE FROM bemi.installation WHERE kind = 'table event';
             UPDATE bemi.sql_pack SET digest = 'another version''s' WHERE place = 0;
             ALTER TABLE bemi.backfill DROP COLUMN started_at;
             ALTER TABLE bemi.gaps SET UNLOGGED;
             DROP INDEX changes_record_idx;
             CREATE INDEX theirs ON changes (schema);
             ALTER TABLE changes ADD CONSTRAINT theirs CHECK (operation <> 'NOTHING');
             CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
             CREATE TRIGGER theirs BEFORE INSERT ON changes FOR EACH ROW EXECUTE FUNCTION theirs()",
        )
        .await;
    tracked
        .sql(&format!(
            "INSERT INTO bemi.gaps (slot, from_position, to_position, reason) VALUES ('{slot}', 1, 2, 'planted');
             INSERT INTO bemi.quarantine (slot, position, commit_position, sequence, committed_at,
                                          transaction_id, error, raw)
             VALUES ('{slot}', 1, 1, 1, now(), 1, 'planted', '');
             ALTER DATABASE {name} SET statement_timeout = '10min'"
        ))
        .await;
    if version(tracked).await >= 180_000 {
        tracked
            .sql(
                "CREATE TABLE virtual (id int PRIMARY KEY, a int, b int GENERATED ALWAYS AS (a) VIRTUAL);
                 ALTER TABLE generated REPLICA IDENTITY FULL;
                 CREATE TABLE generated_too (id int PRIMARY KEY, b int GENERATED ALWAYS AS (id) STORED);
                 ALTER PUBLICATION bemi ADD TABLE virtual, generated_too;
                 ALTER PUBLICATION bemi SET (publish_generated_columns = none)",
            )
            .await;
        tracked.sql("ALTER SYSTEM SET idle_replication_slot_timeout = '1d'").await;
    }
    // Whoever commits must not wait for it.
    tracked.sql("ALTER SYSTEM SET synchronous_commit = local").await;
    tracked.sql("ALTER SYSTEM SET synchronous_standby_names = '*'").await;
    tracked.sql("SELECT pg_reload_conf()").await;
}

/// What must never be changed by itself.
async fn identities_and_slots(tracked: &Tracked) -> Vec<String> {
    tracked
        .value(
            "SELECT array_agg(line ORDER BY line) FROM (
                 SELECT format('%s %s', relname, relreplident) AS line FROM pg_class
                 WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
                 UNION ALL SELECT format('%s %s', slot_name, confirmed_flush_lsn) FROM pg_replication_slots
             ) AS lines",
        )
        .await
}

#[tokio::test]
async fn every_fault_is_found_at_once_and_the_safe_ones_are_mended() {
    let cluster = cluster(&[("wal_sender_timeout", "2s")]);
    let tracked = Tracked::untracked(&cluster, SCHEMA).await;
    tracked.setup(&SETUP).await;
    plant(&tracked).await;
    let is_18 = version(&tracked).await >= 180_000;

    let broken = examine(&tracked).await;
    let expected = AT_ONCE.into_iter().filter(|code| is_18 || !SINCE_18.contains(code));
    let missed: Vec<&str> = expected.filter(|code| broken.level(code).is_none()).collect();
    assert!(missed.is_empty(), "missed {missed:?} in\n{}", broken.said);
    if version(&tracked).await < 150_000 {
        assert_eq!(broken.level("B061"), Some("warn"));
    }

    // Whoever forgot the transaction has ended it.
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'";
    tracked.client.execute(end, &[]).await.unwrap();

    let before = identities_and_slots(&tracked).await;
    let fix = async |arguments: &[&str]| {
        let arguments = [&["doctor", "--fix", "--format", "json"], arguments].concat();
        let output = tracked.worker(&arguments).run_to_end().await;
        let fixed: Value = serde_json::from_str(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {output}"));
        (fixed["fixes"].as_array().unwrap().clone(), read(&output))
    };
    let (planned, still_broken) = fix(&["--dry-run"]).await;
    assert!(planned.iter().all(|fix| fix["result"] == "planned"), "{planned:?}");
    assert!(still_broken.level("B014").is_some(), "a dry run mends nothing");

    let (fixes, mended) = fix(&[]).await;
    assert!(fixes.iter().all(|fix| fix["result"] == "done"), "{fixes:#?}");
    let left: Vec<&str> = SAFE.into_iter().filter(|code| mended.level(code).is_some()).collect();
    assert!(left.is_empty(), "{left:?} were not mended: {}\n{fixes:#?}", mended.said);
    assert_eq!(identities_and_slots(&tracked).await, before);
    for code in ["B018", "B039", "B040", "B041", "B055", "B058", "B066", "B074", "B075"] {
        assert!(mended.level(code).is_some(), "{code} is not for doctor to mend: {fixes:#?}");
    }
    // The application's statements go on.
    tracked.sql("INSERT INTO loses_key VALUES (1); UPDATE loses_key SET id = 2").await;

    let (again, _) = fix(&[]).await;
    assert!(again.is_empty(), "the second time there is nothing to do: {again:#?}");
}

#[tokio::test]
async fn databases_that_cannot_be_reached() {
    let tracked = Tracked::untracked(shared_cluster(), "").await;
    let nobody = format!("postgres://postgres@127.0.0.1:{}/shop", free_port().unwrap());
    let command = tracked.worker(&["doctor", "--format", "json"]).env("DATABASE_URL", &nobody);
    assert_eq!(examined(command).await.level("B001"), Some("fail"));
    let command = tracked.worker(&["doctor", "--format", "json"]);
    let command = command.env("DESTINATION_DATABASE_URL", &nobody);
    assert_eq!(examined(command).await.level("B002"), Some("fail"));
}

#[tokio::test]
async fn a_standby_is_neither_a_source_nor_a_destination() {
    let primary = cluster(&[]);
    let tracked = Tracked::on(&primary, "CREATE TABLE t (id int PRIMARY KEY)").await;
    let standby = primary.standby().await.unwrap();
    let url = standby.url(tracked.database.name());
    // What is set up has to arrive there.
    bemi_tests::eventually(bemi_tests::STORED_WITHIN, "the standby to follow", async || {
        let client = standby.connect(tracked.database.name()).await.ok()?;
        let row =
            client.query_one("SELECT to_regclass('public.changes') IS NOT NULL", &[]).await.ok()?;
        row.get::<_, bool>(0).then_some(())
    })
    .await;
    let command = tracked.worker(&["doctor", "--format", "json"]).env("DATABASE_URL", &url);
    assert_eq!(examined(command).await.level("B004"), Some("fail"));
    let command = tracked.worker(&["doctor", "--format", "json"]);
    let found = examined(command.env("DESTINATION_DATABASE_URL", &url)).await;
    assert_eq!(found.level("B056"), Some("fail"), "{}", found.said);
    // A standby that streams without a slot counts, too.
    assert!(examine(&tracked).await.level("B072").is_some());
}

#[tokio::test]
async fn a_read_only_destination() {
    let tracked = Tracked::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    let name = tracked.database.name();
    tracked.sql(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    assert_eq!(examine(&tracked).await.level("B056"), Some("fail"));
}

#[tokio::test]
async fn a_server_that_has_no_room() {
    let cluster = cluster(&[("wal_level", "replica"), ("max_replication_slots", "1")]);
    let tracked = Tracked::untracked(&cluster, "").await;
    tracked.sql("SELECT pg_create_physical_replication_slot('standby')").await;
    let found = examine(&tracked).await;
    for code in ["B005", "B007", "B011"] {
        assert_eq!(found.level(code), Some("fail"), "{code}");
    }
}

#[tokio::test]
async fn all_wal_senders_are_in_use_by_others() {
    let cluster = cluster(&[("max_wal_senders", "1"), ("wal_sender_timeout", "0")]);
    let other = Tracked::on(&cluster, "CREATE TABLE t (id int PRIMARY KEY)").await;
    let tracked = Tracked::untracked(&cluster, "").await;
    let worker = other.run().await;
    let found = examine(&tracked).await;
    for (code, level) in [("B008", "fail"), ("B009", "fail"), ("B057", "warn")] {
        assert_eq!(found.level(code), Some(level), "{code}: {}", found.said);
    }
    worker.stop().await;
}

#[tokio::test]
async fn a_role_that_may_not() {
    let tracked = Tracked::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    let role = tracked.database.unique_name("weak");
    tracked.sql(&format!("CREATE ROLE {role} LOGIN")).await;
    let url = tracked.database.url().replace("postgres@", &format!("{role}@"));
    let doctor = || {
        let command = tracked.worker(&["doctor", "--format", "json"]);
        examined(command.env("DATABASE_URL", &url))
    };
    let found = doctor().await;
    assert_eq!(found.level("B054"), Some("fail"), "{}", found.said);
    // It may look, and no more.
    tracked
        .sql(&format!(
            "GRANT USAGE ON SCHEMA bemi TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA bemi TO {role}"
        ))
        .await;
    let found = doctor().await;
    for code in ["B006", "B071"] {
        assert_eq!(found.level(code), Some("fail"), "{code}: {}", found.said);
    }
    assert!(
        found.said.contains(&format!("GRANT INSERT ON public.changes TO {role}")),
        "{}",
        found.said
    );
    tracked.sql(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

#[tokio::test]
async fn what_setup_made_is_gone() {
    for (damage, code) in [
        ("DROP PUBLICATION bemi_insert_only", "B012"),
        ("DROP TABLE bemi.quarantine", "B030"),
        ("DROP TABLE changes", "B031"),
    ] {
        let tracked = Tracked::new("CREATE TABLE t (id int PRIMARY KEY)").await;
        tracked.sql(damage).await;
        assert_eq!(examine(&tracked).await.level(code), Some("fail"), "{damage}");
        let fixed = tracked.worker(&["doctor", "--fix"]).run_to_end().await.assert_code(0);
        assert!(fixed.stdout.contains("done     create"), "{fixed}");
        assert_eq!(examine(&tracked).await.level(code), None, "{damage}");
        let again = tracked.worker(&["doctor", "--fix"]).run_to_end().await.assert_code(0);
        assert!(again.stdout.starts_with("nothing to mend"), "{again}");
    }
}

#[tokio::test]
async fn what_is_lost_is_never_mended_by_itself() {
    let tracked = Tracked::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    let slot = tracked.database.slot_name();
    let fails = async |damage: String, code: &str| {
        tracked.sql(&damage).await;
        let output = tracked.worker(&["doctor", "--fix", "--format", "json"]).run_to_end().await;
        let found = read(&output.assert_code(3));
        assert_eq!(found.level(code), Some("fail"), "{damage}: {}", found.said);
    };
    tracked.sql("INSERT INTO t VALUES (1)").await;
    let moved = format!("SELECT pg_replication_slot_advance('{slot}', pg_current_wal_lsn())");
    fails(moved, "B033").await;
    fails("DELETE FROM bemi.checkpoint".to_owned(), "B032").await;
    fails(format!("SELECT pg_drop_replication_slot('{slot}')"), "B021").await;
    fails(format!("SELECT pg_create_physical_replication_slot('{slot}')"), "B022").await;
    tracked.sql(&format!("SELECT pg_drop_replication_slot('{slot}')")).await;
}

#[tokio::test]
async fn a_slot_that_the_server_gave_up() {
    let cluster = cluster(&[("max_slot_wal_keep_size", "1MB"), ("max_wal_size", "32MB")]);
    let tracked = Tracked::on(&cluster, "CREATE TABLE t (id int PRIMARY KEY)").await;
    for _ in 0..4 {
        tracked.sql("SELECT pg_logical_emit_message(false, 'x', 'x')").await;
        tracked.sql("SELECT pg_switch_wal()").await;
    }
    tracked.sql("CHECKPOINT").await;
    let found = examine(&tracked).await;
    assert_eq!(found.level("B023"), Some("fail"), "{}", found.said);
}

#[tokio::test]
async fn the_slot_of_another_database_in_the_destination_is_not_ours() {
    let tracked = Tracked::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    let elsewhere = TestDatabase::create(shared_cluster()).await.unwrap();
    let command = tracked.worker(&["doctor", "--fix", "--format", "json"]);
    let command = command.env("DESTINATION_DATABASE_URL", elsewhere.url());
    let found = examined(command).await;
    // The tables are made there; where to go on only setup can say.
    assert_eq!(found.level("B032"), Some("fail"), "{}", found.said);
    elsewhere.close().await.unwrap();
}
