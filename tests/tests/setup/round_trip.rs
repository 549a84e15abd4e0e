//! Setup can be run again, and teardown leaves the database as it was.

use bemi_tests::{Cluster, ClusterOptions, TestDatabase};

use super::fresh::Fresh;

/// Names with everything that names may hold.
pub(crate) const SCHEMA: &str = r#"
CREATE TABLE todo (id bigint PRIMARY KEY, task text);
CREATE TABLE log (line text);
CREATE TABLE indexed (code int NOT NULL CONSTRAINT "by code" UNIQUE);
ALTER TABLE indexed REPLICA IDENTITY USING INDEX "by code";
CREATE TABLE nothing (id int PRIMARY KEY);
ALTER TABLE nothing REPLICA IDENTITY NOTHING;
CREATE TABLE already (id int PRIMARY KEY);
ALTER TABLE already REPLICA IDENTITY FULL;
CREATE SCHEMA "My ""Schema"".x";
CREATE TABLE "My ""Schema"".x"."T.a'b\😀 %I" ("Id" int PRIMARY KEY);
CREATE TABLE events (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE UNLOGGED TABLE cache (id int PRIMARY KEY);
CREATE PUBLICATION somebody FOR TABLE todo;
"#;

/// Everything in the catalog that setup could have touched, one line each.
pub(crate) async fn catalog(fresh: &Fresh) -> Vec<String> {
    fresh
        .value(
            "SELECT array_agg(line ORDER BY line) FROM (
                 SELECT format('relation %s.%s %s identity %s', n.nspname, c.relname, c.relkind,
                               c.relreplident) AS line
                 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                 WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
                 UNION ALL
                 SELECT format('identity index %s', indexrelid::regclass) FROM pg_index
                 WHERE indisreplident
                 UNION ALL
                 SELECT format('schema %s %s %s', nspname, obj_description(oid), nspacl) FROM pg_namespace
                 WHERE nspname NOT LIKE 'pg\\_%'
                 UNION ALL
                 SELECT format('publication %s', pubname) FROM pg_publication
                 UNION ALL
                 SELECT format('published %s %s.%s', pubname, schemaname, tablename)
                 FROM pg_publication_tables
                 UNION ALL
                 SELECT format('event trigger %s', evtname) FROM pg_event_trigger
                 UNION ALL
                 SELECT format('function %s', p.oid::regprocedure) FROM pg_proc p
                 WHERE p.oid >= 16384
                 UNION ALL
                 SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
                 UNION ALL
                 SELECT format('slot %s', slot_name) FROM pg_replication_slots
                 WHERE database = current_database()
             ) AS lines",
        )
        .await
}

#[tokio::test]
async fn setup_twice_changes_nothing_the_second_time() {
    let fresh = Fresh::new(SCHEMA).await;
    let first = fresh.ok(&["setup", "--all-tables", "--replica-identity", "full"]).await;
    assert!(first.contains("create publication bemi: "), "{first}");
    assert!(first.contains("create replication slot "), "{first}");
    let after_first = catalog(&fresh).await;
    for arguments in
        [&["setup"][..], &["setup", "--all-tables", "--replica-identity", "full"], &["setup"]]
    {
        let again = fresh.ok(arguments).await;
        assert!(again.starts_with("nothing to do\n"), "{again}");
    }
    assert_eq!(catalog(&fresh).await, after_first);
}

#[tokio::test]
async fn run_sets_up_first_where_it_is_told_to_and_else_creates_nothing() {
    let fresh = Fresh::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    let before = catalog(&fresh).await;
    fresh.refused(&["run", "--once"], 3, &["bemi-worker setup"]).await;
    assert_eq!(catalog(&fresh).await, before);
    let arguments = ["run", "--once", "--setup"];
    let first = fresh.worker(&[&arguments[..], &["--all-tables"]].concat()).run_to_end().await;
    assert!(first.assert_code(0).stderr.contains("create replication slot"));
    fresh.sql("INSERT INTO t VALUES (1)").await;
    fresh.ok(&arguments).await;
    assert_eq!(fresh.value::<i64>("SELECT count(*) FROM changes").await, 1);
}

#[tokio::test]
async fn teardown_leaves_the_database_as_it_was() {
    let fresh = Fresh::new(SCHEMA).await;
    let before = catalog(&fresh).await;
    for policy in ["keep", "full"] {
        let arguments =
            ["setup", "--all-tables", "--exclude", "log,*.*.secret", "--replica-identity", policy];
        fresh.ok(&arguments).await;
        assert_ne!(catalog(&fresh).await, before);
        fresh.ok(&["teardown", "--drop-changes"]).await;
        assert_eq!(catalog(&fresh).await, before, "after {policy}");
    }
    let again = fresh.ok(&["teardown", "--drop-changes"]).await;
    assert!(again.starts_with("nothing to do\n"), "{again}");
}

#[tokio::test]
async fn teardown_keeps_what_was_stored_and_setup_goes_on_with_a_gap() {
    let fresh = Fresh::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    fresh.ok(&["setup", "--all-tables"]).await;
    fresh.sql("INSERT INTO t VALUES (1)").await;
    fresh.ok(&["run", "--once"]).await;
    fresh.ok(&["teardown"]).await;
    assert_eq!(fresh.value::<i64>("SELECT count(*) FROM changes").await, 1);
    fresh.sql("INSERT INTO t VALUES (2)").await;

    let told = fresh.ok(&["setup", "--all-tables"]).await;
    assert!(told.contains("gap"), "{told}");
    fresh.sql("INSERT INTO t VALUES (3)").await;
    fresh.ok(&["run", "--once"]).await;
    let keys: Vec<String> =
        fresh.value("SELECT array_agg(primary_key ORDER BY commit_position) FROM changes").await;
    assert_eq!(keys, ["1", "3"]);
    let gaps = "SELECT count(*) FROM bemi.gaps WHERE to_position > from_position";
    assert_eq!(fresh.value::<i64>(gaps).await, 1);
}

#[tokio::test]
async fn a_dry_run_tells_what_it_would_do_and_does_nothing() {
    let fresh = Fresh::new(SCHEMA).await;
    let before = catalog(&fresh).await;
    let told = fresh.ok(&["setup", "--all-tables", "--dry-run"]).await;
    assert!(told.contains("would create publication bemi: "), "{told}");
    assert_eq!(catalog(&fresh).await, before);

    fresh.ok(&["setup", "--all-tables"]).await;
    let after = catalog(&fresh).await;
    let told = fresh.ok(&["teardown", "--dry-run"]).await;
    assert!(told.contains("would drop publication bemi\n"), "{told}");
    assert_eq!(catalog(&fresh).await, after);
}

#[tokio::test]
async fn what_is_printed_for_an_administrator_does_all_that_setup_does() {
    let fresh = Fresh::new(SCHEMA).await;
    let arguments = ["setup", "--all-tables", "--replica-identity", "full"];
    let before = catalog(&fresh).await;
    let script = fresh.ok(&[&arguments[..], &["--print-sql"]].concat()).await;
    assert_eq!(catalog(&fresh).await, before);
    // Step by step, as psql would: the slot cannot be made in a transaction that has written.
    for step in script.split("\n-- ") {
        fresh.sql(&format!("-- {step}").replace("-- SET", "SET")).await;
    }
    let told = fresh.ok(&arguments).await;
    assert!(told.starts_with("nothing to do\n"), "{told}");
    fresh.ok(&["teardown", "--drop-changes"]).await;
    assert_eq!(catalog(&fresh).await, before);
}

#[tokio::test]
async fn source_and_destination_may_be_two_databases() {
    let fresh = Fresh::new(
        "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE changes (id int PRIMARY KEY)",
    )
    .await;
    let destination = TestDatabase::create(bemi_tests::shared_cluster()).await.unwrap();
    let run = async |arguments: &[&str]| {
        let command = fresh.worker(arguments).env("DESTINATION_DATABASE_URL", destination.url());
        command.run_to_end().await.assert_code(0).stdout
    };
    run(&["setup", "--all-tables", "--changes-schema", "Audit Trail"]).await;
    assert!(run(&["setup", "--changes-schema", "Audit Trail"]).await.starts_with("nothing to do"));
    // The application's own table of that name is tracked like any other.
    assert_eq!(fresh.published("bemi").await, ["public.changes", "public.t"]);
    fresh.sql("INSERT INTO changes VALUES (1)").await;
    run(&["run", "--once", "--changes-schema", "Audit Trail"]).await;

    let stored = destination.connect().await.unwrap();
    let count = "SELECT count(*) FROM \"Audit Trail\".changes";
    assert_eq!(stored.query_one(count, &[]).await.unwrap().get::<_, i64>(0), 1);
    run(&["teardown", "--drop-changes", "--changes-schema", "Audit Trail"]).await;
    let left = "SELECT count(*) FROM pg_namespace WHERE nspname IN ('bemi', 'Audit Trail')";
    assert_eq!(stored.query_one(left, &[]).await.unwrap().get::<_, i64>(0), 0);
    destination.close().await.unwrap();
}

#[tokio::test]
async fn a_table_that_is_in_use_does_not_make_the_application_wait() {
    // A cluster of its own: a slot that is made meanwhile waits for the transaction, in any database.
    let cluster = Cluster::start(&ClusterOptions::new()).unwrap();
    let fresh = Fresh::on(&cluster, "CREATE TABLE busy (id int PRIMARY KEY)").await;
    fresh.sql("BEGIN; INSERT INTO busy VALUES (1)").await;
    let arguments = ["setup", "--all-tables", "--replica-identity", "full"];
    fresh.refused(&arguments, 1, &["cannot lock table \"public\".\"busy\"", "try"]).await;
    fresh.sql("COMMIT").await;
    let told = fresh.ok(&arguments).await;
    assert!(told.contains("set REPLICA IDENTITY FULL on public.busy\n"), "{told}");
}

#[tokio::test]
async fn teardown_waits_for_the_worker_to_be_stopped() {
    let fresh = Fresh::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    fresh.ok(&["setup", "--all-tables"]).await;
    let mut worker = fresh.worker(&["run"]).spawn();
    let active = "SELECT active FROM pg_replication_slots WHERE database = current_database()";
    bemi_tests::eventually(
        std::time::Duration::from_secs(30),
        "the worker to stream",
        async || fresh.value::<bool>(active).await.then_some(()),
    )
    .await;
    fresh.refused(&["teardown"], 1, &["in use by process"]).await;
    worker.terminate();
    worker.wait(std::time::Duration::from_secs(30)).await.assert_code(0);
    fresh.ok(&["teardown"]).await;
}
