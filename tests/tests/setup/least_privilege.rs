//! Setup and the worker as a role that may log in, replicate, create in the database, and owns the
//! tables; and what it is told where it may not.

use super::fresh::{Fresh, says_all};

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
    assert!(told.contains("new tables are not tracked by themselves"), "{told}");
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
