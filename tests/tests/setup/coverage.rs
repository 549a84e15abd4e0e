//! Doctor says what PostgreSQL does not tell the worker, and setup never trades the application's
//! statements for it.

use super::doctor::finding;
use super::fresh::Fresh;

const SET_UP: [&str; 4] = ["setup", "--all-tables", "--replica-identity", "full"];

async fn version(fresh: &Fresh) -> i32 {
    fresh.value("SELECT current_setting('server_version_num')::int").await
}

/// The levels of findings, as far as they were found.
async fn levels(fresh: &Fresh, codes: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for code in codes {
        let level = finding(fresh, code).await;
        found.extend(level.map(|level| format!("{code} {level}")));
    }
    found
}

#[tokio::test]
async fn what_an_ordinary_database_does_not_have_is_not_told() {
    let fresh = Fresh::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    fresh.ok(&SET_UP).await;
    let codes = ["B019", "B020", "B043", "B044", "B045", "B046", "B047", "B048", "B049", "B050"];
    assert_eq!(levels(&fresh, &codes).await, ["B019 ok"]);
}

#[tokio::test]
async fn what_is_not_tracked_is_told() {
    let fresh = Fresh::new(
        "CREATE TABLE blobs (id int PRIMARY KEY, content oid);
         CREATE UNLOGGED TABLE cache (id int PRIMARY KEY);
         CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (more int) INHERITS (parent);
         CREATE TABLE generated (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED)",
    )
    .await;
    fresh.ok(&SET_UP).await;
    let before_18 = version(&fresh).await < 180_000;
    assert_eq!(levels(&fresh, &["B019", "B045", "B049", "B050"]).await, ["B019 warn", "B049 note"]);
    assert_eq!(finding(&fresh, "B043").await.as_deref(), before_18.then_some("note"));
    fresh.sql("SELECT lo_create(0)").await;
    fresh.ok(&["setup", "--exclude", "child,cache"]).await;
    let codes = ["B019", "B045", "B049", "B050"];
    let expected = ["B019 ok", "B045 note", "B049 note", "B050 warn"];
    assert_eq!(levels(&fresh, &codes).await, expected);
}

#[tokio::test]
async fn partitions_that_are_unlike_the_others_are_named() {
    let fresh = Fresh::new(
        "CREATE TABLE events (id int PRIMARY KEY) PARTITION BY LIST (id);
         CREATE TABLE events_1 PARTITION OF events FOR VALUES IN (1);
         CREATE TABLE events_2 PARTITION OF events FOR VALUES IN (2);
         CREATE UNLOGGED TABLE events_3 PARTITION OF events FOR VALUES IN (3)",
    )
    .await;
    fresh.ok(&["setup", "--all-tables"]).await;
    let codes = ["B046", "B047", "B048"];
    assert_eq!(levels(&fresh, &codes).await, ["B046 note", "B047 warn"]);
    fresh.sql("ALTER TABLE events_1 REPLICA IDENTITY FULL; DROP TABLE events_3").await;
    assert_eq!(levels(&fresh, &codes).await, ["B046 note", "B048 warn"]);
    let told = fresh.ok(&["doctor"]).await;
    assert!(told.contains("B048  warn  public.events_2: without REPLICA IDENTITY FULL"), "{told}");
    fresh.ok(&["setup", "--replica-identity", "full"]).await;
    assert_eq!(levels(&fresh, &codes).await, ["B046 note"]);
    let offered = fresh.ok(&["doctor"]).await;
    assert!(offered.contains("run `bemi-worker setup --ddl`"), "{offered}");
    fresh.ok(&["setup", "--ddl"]).await;
    let recorded = fresh.ok(&["doctor"]).await;
    assert!(recorded.contains("leave rows of operation DDL"), "{recorded}");
}

/// The letter of the replica identity of each table that has this name or a longer one.
async fn identities(fresh: &Fresh, names: &str) -> String {
    fresh
        .value(&format!(
            "SELECT string_agg(relreplident::text, '' ORDER BY relname) FROM pg_class \
             WHERE relname ^@ '{names}' AND relkind IN ('r', 'p') \
             AND relnamespace::regnamespace::text IN ('public', 'app')"
        ))
        .await
}

#[tokio::test]
async fn whole_old_rows_can_be_had_for_some_tables() {
    let fresh = Fresh::new(
        "CREATE TABLE t_a (id int PRIMARY KEY); CREATE TABLE t_b (id int PRIMARY KEY);
         CREATE TABLE t_c (id int PRIMARY KEY)",
    )
    .await;
    fresh.ok(&["setup", "--all-tables", "--replica-identity", "full:t_a, t_x*"]).await;
    assert_eq!(identities(&fresh, "t_").await, "fdd");
    assert!(fresh.ok(&["setup"]).await.starts_with("nothing to do\n"));
    // By the event trigger, too.
    fresh
        .sql("CREATE TABLE t_x1 (id int PRIMARY KEY); CREATE TABLE t_y (id int PRIMARY KEY)")
        .await;
    assert_eq!(identities(&fresh, "t_").await, "fddfd");
    fresh.ok(&["setup", "--replica-identity", "full:t_b"]).await;
    assert_eq!(identities(&fresh, "t_").await, "ffdfd");
    // Keep leaves them as they are, and ends it for what comes.
    fresh.ok(&["setup", "--replica-identity", "keep"]).await;
    fresh.sql("CREATE TABLE t_x2 (id int PRIMARY KEY)").await;
    assert_eq!(identities(&fresh, "t_").await, "ffdfdd");
    fresh.ok(&["teardown"]).await;
    assert_eq!(identities(&fresh, "t_").await, "dddddd");
}

#[tokio::test]
async fn a_table_that_is_named_for_whole_old_rows_must_be_there() {
    let fresh = Fresh::new(
        "CREATE TABLE root (id int) PARTITION BY LIST (id);
         CREATE TABLE leaf PARTITION OF root FOR VALUES IN (1)",
    )
    .await;
    let arguments = ["setup", "--all-tables", "--replica-identity", "full:missing,leaf"];
    let says = ["there is no table public.missing", "public.leaf is a partition of public.root"];
    fresh.refused(&arguments, 3, &says).await;
    let arguments = ["setup", "--all-tables", "--replica-identity", "all"];
    let output = fresh.worker(&arguments).run_to_end().await.assert_code(2);
    assert!(output.stderr.contains("keep, full, or full:PATTERNS"), "{output}");
}

#[tokio::test]
async fn partitions_get_their_identity_however_they_come() {
    let fresh = Fresh::new("CREATE TABLE p (id int) PARTITION BY LIST (id)").await;
    fresh.ok(&SET_UP).await;
    fresh
        .sql(
            "CREATE TABLE p_1 PARTITION OF p FOR VALUES IN (1, 2, 3) PARTITION BY LIST (id);
             CREATE TABLE p_11 PARTITION OF p_1 FOR VALUES IN (1);
             SET bemi.quiet = 'on'; CREATE TABLE p_12 (id int); CREATE TABLE p_2 (id int) PARTITION BY LIST (id);
             CREATE TABLE p_21 PARTITION OF p_2 FOR VALUES IN (4); RESET bemi.quiet",
        )
        .await;
    assert_eq!(identities(&fresh, "p").await, "fffddd");
    fresh
        .sql(
            "ALTER TABLE p_1 ATTACH PARTITION p_12 FOR VALUES IN (2);
             ALTER TABLE p ATTACH PARTITION p_2 FOR VALUES IN (4)",
        )
        .await;
    assert_eq!(identities(&fresh, "p").await, "ffffff");
    assert!(fresh.ok(&["setup"]).await.starts_with("nothing to do\n"));
}

#[tokio::test]
async fn without_an_event_trigger_a_running_worker_gives_partitions_their_identity() {
    let fresh = Fresh::new("").await;
    let (role, name) = (fresh.database.unique_name("owner"), fresh.database.name());
    fresh
        .sql(&format!(
            "CREATE ROLE {role} LOGIN REPLICATION; GRANT CREATE ON DATABASE {name} TO {role};
             CREATE SCHEMA app AUTHORIZATION {role}; SET ROLE {role}; SET search_path = app;
             CREATE TABLE p (id int) PARTITION BY LIST (id)"
        ))
        .await;
    let url = fresh.database.url().replace("postgres@", &format!("{role}@"));
    let command =
        |arguments: &[&str]| fresh.worker_at(&url, arguments).env("BEMI_CHANGES_SCHEMA", "audit");
    let arguments = ["setup", "--tables", "app.*", "--replica-identity", "full"];
    command(&arguments).run_to_end().await.assert_code(0);
    fresh
        .sql(
            "CREATE TABLE p_1 PARTITION OF p FOR VALUES IN (1, 2, 3) PARTITION BY LIST (id);
             CREATE TABLE p_11 PARTITION OF p_1 FOR VALUES IN (1);
             CREATE TABLE p_12 (id int); ALTER TABLE p_1 ATTACH PARTITION p_12 FOR VALUES IN (2)",
        )
        .await;
    assert_eq!(identities(&fresh, "p").await, "fddd");
    // It looks when it starts, and then at intervals.
    let mut worker = command(&["run"]).spawn();
    worker.wait_for_log("REPLICA IDENTITY FULL on app.p_12").await;
    bemi_tests::eventually(bemi_tests::STORED_WITHIN, "all identities", async || {
        (identities(&fresh, "p").await == "ffff").then_some(())
    })
    .await;
    worker.stop().await;
    command(&["teardown", "--drop-changes"]).run_to_end().await.assert_code(0);
    fresh.sql(&format!("RESET ROLE; DROP OWNED BY {role} CASCADE; DROP ROLE {role}")).await;
}

#[tokio::test]
async fn a_virtual_column_never_makes_statements_of_the_application_fail() {
    let fresh = Fresh::new(
        "CREATE TABLE v_own (id int PRIMARY KEY, a int); CREATE TABLE v_set (id int PRIMARY KEY, a int);
         CREATE TABLE v_part (id int PRIMARY KEY, a int) PARTITION BY LIST (id);
         CREATE TABLE v_part_1 PARTITION OF v_part FOR VALUES IN (1);
         ALTER TABLE v_own REPLICA IDENTITY FULL",
    )
    .await;
    // PostgreSQL has virtual columns since 18.
    if version(&fresh).await < 180_000 {
        return;
    }
    fresh.ok(&SET_UP).await;
    assert_eq!(identities(&fresh, "v_").await, "ffff");
    let add =
        |table: &str| format!("ALTER TABLE {table} ADD v int GENERATED ALWAYS AS (a * 2) VIRTUAL");
    for table in ["v_own", "v_set", "v_part"] {
        fresh
            .sql(&format!(
                "BEGIN; {}; INSERT INTO {table} VALUES (1, 1); UPDATE {table} SET a = 2; COMMIT;
                 DELETE FROM {table}",
                add(table)
            ))
            .await;
    }
    // What setup made FULL has its key again; what somebody else did is left to them.
    assert_eq!(identities(&fresh, "v_").await, "fddd");
    assert_eq!(fresh.published("bemi_insert_only").await, ["public.v_own"]);
    assert!(fresh.ok(&["setup"]).await.starts_with("nothing to do\n"));
    let told = fresh.ok(&["doctor"]).await;
    assert!(told.contains("B020  warn"), "{told}");
    let says = ["UPDATE and DELETE of public.v_set fail", "make them STORED"];
    fresh.refused(&["setup", "--replica-identity", "full:v_set"], 3, &says).await;

    // Where the event trigger does not see it, setup mends it.
    fresh.sql("CREATE TABLE v_late (id int PRIMARY KEY, a int)").await;
    fresh.sql(&format!("SET bemi.quiet = 'on'; {}; RESET bemi.quiet", add("v_late"))).await;
    assert_eq!(finding(&fresh, "B013").await.as_deref(), Some("fail"));
    let told = fresh.ok(&["setup"]).await;
    assert!(told.contains("set REPLICA IDENTITY DEFAULT on public.v_late, as it was"), "{told}");
    assert_eq!(finding(&fresh, "B013").await, None);
    fresh
        .sql("INSERT INTO v_late VALUES (1, 1); UPDATE v_late SET a = 2; DELETE FROM v_late")
        .await;
    assert!(fresh.published("bemi").await.contains(&"public.v_late".to_owned()));
    fresh.ok(&["teardown"]).await;
    assert_eq!(identities(&fresh, "v_").await, "dfddd");
}

#[tokio::test]
async fn a_publication_of_an_older_server_gets_what_full_needs() {
    let fresh = Fresh::new(
        "CREATE TABLE g (id int PRIMARY KEY, a int, s int GENERATED ALWAYS AS (a * 2) STORED)",
    )
    .await;
    // PostgreSQL publishes generated columns since 18.
    if version(&fresh).await < 180_000 {
        return;
    }
    fresh.ok(&SET_UP).await;
    fresh.sql("INSERT INTO g VALUES (1, 1); UPDATE g SET a = 2").await;
    // As it is after pg_upgrade.
    fresh.sql("ALTER PUBLICATION bemi SET (publish_generated_columns = none)").await;
    assert!(fresh.client.batch_execute("UPDATE g SET a = 3").await.is_err());
    assert_eq!(finding(&fresh, "B044").await.as_deref(), Some("fail"));
    fresh.ok(&["setup"]).await;
    assert_eq!(finding(&fresh, "B044").await, None);
    fresh.sql("UPDATE g SET a = 3").await;
}

#[tokio::test]
async fn what_a_publication_leaves_out_is_told_and_put_right() {
    let fresh = Fresh::new(
        "CREATE TABLE t (id int PRIMARY KEY, secret text); CREATE TABLE keyless (id int)",
    )
    .await;
    fresh.ok(&["setup", "--all-tables"]).await;
    assert_eq!(levels(&fresh, &["B051"]).await, ["B051 ok"]);
    let mut narrowings = vec![
        "ALTER PUBLICATION bemi SET (publish = 'insert, update')",
        "ALTER PUBLICATION bemi SET (publish_via_partition_root = false)",
        "ALTER PUBLICATION bemi_insert_only SET (publish = 'truncate')",
    ];
    if version(&fresh).await >= 150_000 {
        narrowings.extend([
            "ALTER PUBLICATION bemi SET TABLE t WHERE (id > 0)",
            "ALTER PUBLICATION bemi SET TABLE t (id)",
            "ALTER PUBLICATION bemi_insert_only SET TABLE keyless WHERE (id > 0)",
        ]);
    }
    for narrowing in narrowings {
        fresh.sql(narrowing).await;
        assert_eq!(levels(&fresh, &["B051"]).await, ["B051 fail"], "{narrowing}");
        fresh.ok(&["setup"]).await;
        assert_eq!(levels(&fresh, &["B051"]).await, ["B051 ok"], "{narrowing}");
    }
    assert!(fresh.ok(&["setup"]).await.starts_with("nothing to do"));
    fresh
        .sql("INSERT INTO t VALUES (-1, 'x'); DELETE FROM t; INSERT INTO keyless VALUES (-1)")
        .await;
    fresh.ok(&["run", "--once"]).await;
    assert_eq!(fresh.value::<i64>("SELECT count(*) FROM changes").await, 3);
}
