//! Setup and the worker as a role that may log in, replicate, create in the database, and owns the
//! tables; and what it is told where it may not.

use std::time::Duration;

use bemi_tests::eventually;

use super::fresh::{Fresh, says_all};

const SOON: Duration = Duration::from_secs(60);

/// A database with such a role, and its URL.
async fn with_role() -> (Fresh, String, String) {
    let fresh = Fresh::new("").await;
    let role = fresh.database.unique_name("role");
    let database = fresh.database.name();
    fresh
        .sql(&format!(
            "CREATE ROLE {role} LOGIN REPLICATION;
             GRANT CREATE ON DATABASE {database} TO {role};
             GRANT ALL ON SCHEMA public TO {role};
             SET ROLE {role}; CREATE TABLE t (id int PRIMARY KEY); RESET ROLE"
        ))
        .await;
    let url = fresh.database.url().replace("postgres://postgres@", &format!("postgres://{role}@"));
    (fresh, role, url)
}

async fn drop_role(fresh: &Fresh, role: &str) {
    fresh.sql(&format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}")).await;
}

#[tokio::test]
async fn it_is_enough_for_all_but_the_event_trigger() {
    let (fresh, role, url) = with_role().await;
    let run = async |arguments: &[&str]| {
        fresh.worker_at(&url, arguments).run_to_end().await.assert_code(0).stdout
    };
    let told = run(&["setup", "--all-tables", "--replica-identity", "full"]).await;
    assert!(told.contains("new tables are not tracked as they are made"), "{told}");
    assert!(run(&["setup"]).await.starts_with("nothing to do\n"));
    fresh.sql(&format!("SET ROLE {role}; INSERT INTO t VALUES (1); UPDATE t SET id = 2")).await;
    run(&["run", "--once"]).await;
    assert_eq!(fresh.value::<i64>("SELECT count(*) FROM changes").await, 2);

    // Without the event trigger, doctor tells what setup must be run again for.
    fresh.sql("CREATE TABLE later (id int PRIMARY KEY); RESET ROLE").await;
    let doctor = fresh.worker_at(&url, &["doctor"]).run_to_end().await.assert_code(3);
    assert!(doctor.stdout.contains("public.later: to be tracked, but not published"), "{doctor}");
    assert!(doctor.stdout.contains("B016  warn"), "{doctor}");
    run(&["setup"]).await;
    assert_eq!(fresh.published("bemi").await, ["public.later", "public.t"]);
    run(&["doctor"]).await;
    run(&["status"]).await;

    // A superuser's event trigger must not rely on what this role owns.
    let told = fresh.ok(&["setup"]).await;
    assert!(told.contains(&format!("schema bemi belongs to role {role}")), "{told}");
    assert_eq!(fresh.value::<i64>("SELECT count(*) FROM pg_event_trigger").await, 0);
    run(&["teardown", "--drop-changes"]).await;
    drop_role(&fresh, &role).await;
}

#[tokio::test]
async fn a_running_worker_looks_for_new_tables_where_there_is_no_event_trigger() {
    let (fresh, role, url) = with_role().await;
    let setup = ["setup", "--all-tables", "--replica-identity", "full", "--postgrest"];
    fresh.worker_at(&url, &setup).run_to_end().await.assert_code(0);
    let mut worker = fresh.worker_at(&url, &["run"]).spawn();
    worker.wait_for_log("streaming").await;
    // Once it has looked for the first time, so that it is the interval that finds what follows.
    fresh.sql(&format!("SET ROLE {role}; CREATE TABLE first (a int); RESET ROLE")).await;
    published(&fresh, "public.first").await;
    fresh
        .sql(&format!(
            "CREATE TABLE not_ours (id int PRIMARY KEY);
             SET ROLE {role};
             CREATE TABLE root (id int) PARTITION BY LIST (id);
             CREATE TABLE leaf PARTITION OF root FOR VALUES IN (1, 2);
             RESET ROLE"
        ))
        .await;
    published(&fresh, "public.root").await;
    assert!(!fresh.published("bemi").await.contains(&"public.not_ours".to_owned()));
    fresh
        .sql(
            "BEGIN; SELECT set_config('request.method', 'POST', true);
             INSERT INTO root VALUES (1); UPDATE root SET id = 2; COMMIT",
        )
        .await;
    eventually(SOON, "two changes", async || {
        let stored = "SELECT count(*) FROM changes WHERE \"table\" = 'root' AND before_complete \
            AND context->'request'->>'method' = 'POST'";
        (fresh.value::<i64>(stored).await == 2).then_some(())
    })
    .await;
    worker.terminate();
    worker.wait(SOON).await.assert_code(0);
    fresh.worker_at(&url, &["teardown", "--drop-changes"]).run_to_end().await.assert_code(0);
    drop_role(&fresh, &role).await;
}

#[tokio::test]
async fn a_worker_that_may_not_track_them_says_so_and_goes_on() {
    let (fresh, role, url) = with_role().await;
    fresh.worker_at(&url, &["setup", "--all-tables"]).run_to_end().await.assert_code(0);
    // It may read what setup made, and not change it.
    let runner = fresh.database.unique_name("runner");
    fresh
        .sql(&format!(
            "CREATE ROLE {runner} LOGIN REPLICATION; GRANT USAGE ON SCHEMA bemi TO {runner};
             GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA bemi TO {runner};
             GRANT INSERT ON changes TO {runner}"
        ))
        .await;
    let url =
        fresh.database.url().replace("postgres://postgres@", &format!("postgres://{runner}@"));
    let mut worker = fresh.worker_at(&url, &["run"]).spawn();
    worker.wait_for_log("new tables may not be tracked").await;
    worker.wait_for_log(&format!("role {runner} may not change what setup has made")).await;
    fresh.sql("INSERT INTO t VALUES (1)").await;
    eventually(SOON, "a change", async || {
        (fresh.value::<i64>("SELECT count(*) FROM changes").await == 1).then_some(())
    })
    .await;
    worker.terminate();
    worker.wait(SOON).await.assert_code(0);
    fresh.ok(&["teardown", "--drop-changes"]).await;
    drop_role(&fresh, &runner).await;
    drop_role(&fresh, &role).await;
}

async fn published(fresh: &Fresh, table: &str) {
    eventually(SOON, "the worker to find the table", async || {
        fresh.published("bemi").await.contains(&table.to_owned()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn all_that_it_may_not_do_is_told_at_once_and_nothing_is_changed() {
    let (fresh, role, url) = with_role().await;
    fresh.sql("CREATE TABLE not_ours (id int PRIMARY KEY)").await;
    fresh
        .sql(&format!(
            "ALTER ROLE {role} NOREPLICATION;
             REVOKE CREATE ON DATABASE {} FROM {role};
             REVOKE ALL ON SCHEMA public FROM {role}; REVOKE ALL ON SCHEMA public FROM PUBLIC",
            fresh.database.name()
        ))
        .await;
    let output =
        fresh.worker_at(&url, &["setup", "--all-tables"]).run_to_end().await.assert_code(6);
    let says = [
        "4 things must be mended first",
        &format!("ALTER ROLE {role} REPLICATION"),
        "GRANT CREATE ON DATABASE",
        "does not own public.not_ours",
        "may not create table changes in schema public",
    ];
    says_all(output, &says);
    assert!(fresh.value::<bool>("SELECT to_regnamespace('bemi') IS NULL").await);

    let doctor = fresh.worker_at(&url, &["doctor"]).run_to_end().await.assert_code(3);
    assert!(doctor.stdout.contains("B006  FAIL"), "{doctor}");
    // An administrator can still be handed the statements.
    let printed = fresh.worker_at(&url, &["setup", "--all-tables", "--print-sql"]);
    let printed = printed.run_to_end().await.assert_code(0);
    assert!(printed.stdout.contains("CREATE PUBLICATION \"bemi\""), "{printed}");
    assert!(printed.stderr.contains("does not own public.not_ours"), "{printed}");
    drop_role(&fresh, &role).await;
}
