//! A role that runs the worker and can do nothing else, and one that reads what is stored.

use bemi_tests::{Output, Tracked, WorkerCommand};
use tokio_postgres::Client;

const SCHEMA: &str = "CREATE TABLE t (id int PRIMARY KEY, secret text)";

/// A role of that name, of this database alone.
async fn role(tracked: &Tracked, name: &str, attributes: &str) -> String {
    let role = tracked.database.unique_name(name);
    tracked.sql(&format!("CREATE ROLE {role} LOGIN {attributes}")).await;
    role
}

fn url_of(tracked: &Tracked, role: &str) -> String {
    tracked.database.url().replacen("postgres://postgres", &format!("postgres://{role}"), 1)
}

/// The worker, as this role.
async fn run_as(tracked: &Tracked, role: &str, arguments: &[&str]) -> Output {
    let worker = WorkerCommand::under_test(arguments)
        .env("DATABASE_URL", url_of(tracked, role))
        .env("BEMI_SLOT", tracked.database.slot_name());
    worker.run_to_end().await
}

async fn session_of(tracked: &Tracked, role: &str) -> Client {
    let (client, connection) =
        tokio_postgres::connect(&url_of(tracked, role), tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn may_not(client: &Client, statements: &[&str]) {
    for statement in statements {
        let error = client.batch_execute(statement).await.expect_err(statement);
        assert_eq!(error.code().unwrap().code(), "42501", "{statement}: {error:?}");
    }
}

/// The point behind what is stored last.
async fn last_stored(tracked: &Tracked) -> String {
    let last = "SELECT '@lsn:' || ('0/0'::pg_lsn + max(commit_position)) FROM changes";
    tracked.value(last).await
}

async fn drop_role(tracked: &Tracked, role: &str) {
    tracked.sql(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

#[tokio::test]
async fn the_workers_role_stores_and_can_do_nothing_else() {
    let tracked = Tracked::new(SCHEMA).await;
    // As careful administrators have it.
    let database = tracked.database.name();
    tracked
        .sql(&format!(
            "REVOKE ALL ON DATABASE {database} FROM PUBLIC; REVOKE ALL ON SCHEMA public FROM PUBLIC;
             REVOKE ALL ON SCHEMA bemi FROM PUBLIC"
        ))
        .await;
    let role = role(&tracked, "run", "REPLICATION").await;
    tracked.setup(&["--grant-worker", &role]).await;
    tracked
        .sql(
            "INSERT INTO t VALUES (1, 'a'); UPDATE t SET secret = 'b'; CREATE TABLE later (id int)",
        )
        .await;
    run_as(&tracked, &role, &["run", "--once"]).await.assert_code(0);
    assert_eq!(tracked.count().await, 2);
    run_as(&tracked, &role, &["status"]).await.assert_code(0);

    let client = session_of(&tracked, &role).await;
    may_not(
        &client,
        &[
            "SELECT * FROM t",
            "INSERT INTO t VALUES (2)",
            "UPDATE changes SET context = '{}'",
            "DELETE FROM changes",
            "TRUNCATE changes",
            "DROP TABLE changes",
            "ALTER TABLE changes DISABLE TRIGGER ALL",
            "DROP TRIGGER bemi_append_only ON changes",
            "CREATE TABLE mine (id int)",
            "CREATE TABLE bemi.mine (id int)",
            "CREATE SCHEMA mine",
            "DELETE FROM bemi.checkpoint",
            "DELETE FROM bemi.gaps",
            "DELETE FROM bemi.quarantine",
            "UPDATE bemi.quarantine SET error = ''",
            "UPDATE bemi.installation SET former = NULL",
            "DELETE FROM bemi.column_rules",
            "UPDATE bemi.chain SET hash = ''",
            "DELETE FROM bemi.chain",
            "ALTER PUBLICATION bemi DROP TABLE t",
            "COPY t TO PROGRAM 'cat'",
            "CREATE ROLE mine",
        ],
    )
    .await;
    drop(client);
    tracked.setup(&["--revoke", &role]).await;
    run_as(&tracked, &role, &["run", "--once"]).await.assert_code(6);
    drop_role(&tracked, &role).await;
}

#[tokio::test]
async fn a_reader_reads_what_is_stored_and_how_whole_it_is_and_nothing_else() {
    let tracked = Tracked::new(SCHEMA).await;
    let role = role(&tracked, "reader", "").await;
    tracked.setup(&["--grant-reader", &role, "--sql-pack"]).await;
    tracked.sql("INSERT INTO t VALUES (1, 'a'); UPDATE t SET secret = 'b'").await;
    tracked.store().await;
    // What waits in quarantine may not be masked.
    tracked
        .sql(
            "INSERT INTO bemi.quarantine (slot, position, commit_position, sequence, committed_at, \
                 transaction_id, schema, \"table\", error, raw) \
             VALUES ('other', 1, 1, 1, now(), 1, 'public', 'other', 'refused', 'hunter2')",
        )
        .await;
    let then = last_stored(&tracked).await;
    let history = run_as(&tracked, &role, &["history", "t", "1", "--wait", "0s"]).await;
    assert!(history.assert_code(0).stdout.contains("secret"));
    for arguments in [
        &["changes", "--wait", "0s"][..],
        &["as-of", &then, "t", "1", "--wait", "0s"],
        &["coverage", "t"],
        &["status"],
    ] {
        let output = run_as(&tracked, &role, arguments).await;
        // Status asks the source for the rules of setup, too, which are not for readers.
        let is_allowed = output.code == Some(0) || arguments[0] == "status";
        assert!(is_allowed, "{arguments:?}: {output}");
    }
    let client = session_of(&tracked, &role).await;
    for statement in [
        "SELECT * FROM changes",
        "SELECT * FROM bemi.history('t', '1')",
        "SELECT error FROM bemi.quarantine",
        "SELECT * FROM bemi.gaps, bemi.checkpoint, bemi.table_events",
    ] {
        client.batch_execute(statement).await.expect(statement);
    }
    may_not(
        &client,
        &[
            "SELECT raw FROM bemi.quarantine",
            "SELECT * FROM bemi.quarantine",
            "SELECT * FROM t",
            "SELECT * FROM bemi.column_rules",
            "INSERT INTO changes SELECT * FROM changes",
            "UPDATE changes SET context = '{}'",
            "DELETE FROM changes",
            "TRUNCATE changes",
            "UPDATE bemi.checkpoint SET position = 0",
            "DELETE FROM bemi.gaps",
            "UPDATE bemi.erasures SET reason = NULL",
        ],
    )
    .await;
    drop(client);
    tracked.worker(&["teardown", "--drop-changes"]).run_to_end().await.assert_code(0);
    // Nothing is left that would keep it.
    tracked.sql(&format!("DROP ROLE {role}")).await;
}

#[tokio::test]
async fn what_a_later_setup_adds_is_given_by_that_setup() {
    let tracked = Tracked::new(SCHEMA).await;
    let (run, reader) =
        (role(&tracked, "run", "REPLICATION").await, role(&tracked, "reader", "").await);
    tracked.setup(&["--grant-worker", &run, "--grant-reader", &reader]).await;
    // As if these were of a version before.
    tracked.sql("DROP TABLE bemi.retention, bemi.chain_rows CASCADE").await;
    let told = tracked.setup(&[]).await;
    assert!(told.stdout.contains(&format!("let role {run} run the worker")), "{told}");
    assert!(told.stdout.contains(&format!("let role {reader} read what is stored")), "{told}");
    assert!(tracked.setup(&[]).await.stdout.starts_with("nothing to do\n"));
    drop_role(&tracked, &reader).await;
    let told = tracked.setup(&[]).await;
    assert!(told.stdout.contains(&format!("forget role {reader}, which is gone")), "{told}");
    drop_role(&tracked, &run).await;
}

#[tokio::test]
async fn a_role_that_is_not_there_or_may_not_replicate_is_told_and_nothing_is_revoked_by_mistake() {
    let tracked = Tracked::new(SCHEMA).await;
    let setup = ["setup", "--grant-worker", "No \"Such\" Role"];
    let refused = tracked.worker(&setup).run_to_end().await.assert_code(3);
    let says = "CREATE ROLE \"No \"\"Such\"\" Role\" LOGIN REPLICATION";
    assert!(refused.stderr.contains(says), "{refused}");

    let role = role(&tracked, "run", "").await;
    let told = tracked.setup(&["--grant-worker", &role]).await;
    assert!(told.stdout.contains(&format!("ALTER ROLE \"{role}\" LOGIN REPLICATION")), "{told}");
    let printed = tracked.worker(&["setup", "--revoke", &role, "--print-sql"]).run_to_end().await;
    let revoke = format!("REVOKE SELECT, INSERT ON \"public\".changes FROM \"{role}\"");
    assert!(printed.assert_code(0).stdout.contains(&revoke));
    let told = tracked.setup(&["--revoke", "stranger"]).await;
    assert!(told.stdout.contains("role stranger was given nothing by setup"), "{told}");
    drop_role(&tracked, &role).await;
}

#[tokio::test]
async fn a_policy_of_row_security_on_changes_makes_the_past_refuse_rather_than_guess() {
    let tracked = Tracked::new(SCHEMA).await;
    let role = role(&tracked, "reader", "").await;
    tracked.setup(&["--grant-reader", &role]).await;
    tracked.sql("INSERT INTO t VALUES (1, 'a'); INSERT INTO t VALUES (2, 'b')").await;
    tracked.store().await;
    tracked
        .sql(
            "ALTER TABLE changes ENABLE ROW LEVEL SECURITY;
             CREATE POLICY one ON changes FOR SELECT USING (primary_key = '1')",
        )
        .await;
    // What was changed is shown as far as the policy lets it.
    let changes = run_as(&tracked, &role, &["changes", "--wait", "0s", "--format", "json"]).await;
    assert_eq!(changes.assert_code(0).stdout.matches("\"CREATE\"").count(), 1);
    // But that a row was not there must not be said of one that cannot be seen.
    let then = last_stored(&tracked).await;
    let as_of = run_as(&tracked, &role, &["as-of", &then, "t", "2", "--wait", "0s"]).await;
    assert_ne!(as_of.code, Some(0), "{as_of}");
    assert!(as_of.stderr.contains("row-level security"), "{as_of}");
    drop_role(&tracked, &role).await;
}
