//! What is stored is never changed: not by who was given too much, and by the owner only on purpose.

use bemi_tests::Tracked;

const SCHEMA: &str = "CREATE TABLE t (id int PRIMARY KEY, n int)";

const ATTEMPTS: [&str; 5] = [
    "UPDATE changes SET context = '{}'",
    "DELETE FROM changes WHERE primary_key = '1'",
    "TRUNCATE changes",
    "MERGE INTO changes USING (VALUES (1)) AS v ON true WHEN MATCHED THEN DELETE",
    "INSERT INTO changes SELECT * FROM changes ON CONFLICT (committed_at, id) \
     DO UPDATE SET context = '{}'",
];

async fn tracked() -> Tracked {
    let tracked = Tracked::new(SCHEMA).await;
    tracked.sql("INSERT INTO t VALUES (1, 1); UPDATE t SET n = 2").await;
    tracked.store().await;
    tracked
}

async fn version(tracked: &Tracked) -> i32 {
    tracked.value("SELECT current_setting('server_version_num')::int4").await
}

/// Each attempt is refused, with this in the message, and nothing is changed.
async fn refuses(tracked: &Tracked, before: &str, says: &str) {
    let stored =
        "SELECT string_agg(c::text, '|' ORDER BY commit_position, sequence) FROM changes c";
    let was: String = tracked.value(stored).await;
    for attempt in ATTEMPTS {
        // From 15 on.
        if attempt.starts_with("MERGE") && version(tracked).await < 150_000 {
            continue;
        }
        let client = tracked.database.connect().await.unwrap();
        client.batch_execute(before).await.unwrap();
        let error = client.batch_execute(attempt).await.expect_err(attempt);
        let error = error.as_db_error().unwrap();
        assert_eq!(error.code().code(), "42501", "{attempt}: {error}");
        assert!(error.message().contains(says), "{attempt}: {error}");
    }
    assert_eq!(tracked.value::<String>(stored).await, was);
}

#[tokio::test]
async fn neither_the_owner_nor_a_superuser_changes_rows_by_mistake() {
    let tracked = tracked().await;
    refuses(&tracked, "", "is refused: what is stored is never changed").await;
}

#[tokio::test]
async fn a_role_that_was_given_everything_changes_nothing_even_if_it_knows_how_the_owner_would() {
    let tracked = tracked().await;
    let role = tracked.database.unique_name("role");
    tracked.sql(&format!("CREATE ROLE {role}; GRANT ALL ON changes TO {role}")).await;
    for before in ["", "SET bemi.append_only = off;"] {
        refuses(&tracked, &format!("{before} SET ROLE {role}"), "is refused").await;
    }
    tracked.sql(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

#[tokio::test]
async fn the_owner_lifts_it_for_one_transaction() {
    let tracked = tracked().await;
    tracked
        .sql(
            "BEGIN; SET LOCAL bemi.append_only = 'off';
             UPDATE changes SET context = '{\"erased\": true}' WHERE operation = 'CREATE';
             DELETE FROM changes WHERE operation = 'UPDATE'; COMMIT",
        )
        .await;
    let changes = tracked.changes().await;
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].context["erased"], true);
    refuses(&tracked, "", "is refused").await;
    tracked.sql("BEGIN; SET LOCAL bemi.append_only = 'off'; TRUNCATE changes; COMMIT").await;
    assert_eq!(tracked.count().await, 0);
}

#[tokio::test]
async fn partitions_are_guarded_with_their_table() {
    let tracked = tracked().await;
    tracked
        .sql(
            "ALTER TABLE changes RENAME TO before_partitions;
             CREATE TABLE changes (LIKE before_partitions INCLUDING DEFAULTS,
                                   PRIMARY KEY (committed_at, id)) PARTITION BY RANGE (committed_at);
             CREATE TABLE changes_all PARTITION OF changes DEFAULT;
             INSERT INTO changes SELECT * FROM before_partitions;
             DROP TABLE before_partitions",
        )
        .await;
    tracked.setup(&[]).await;
    for attempt in ["UPDATE changes_all SET context = '{}'", "DELETE FROM changes_all"] {
        let error = tracked.client.batch_execute(attempt).await.unwrap_err();
        assert!(error.as_db_error().unwrap().message().contains("is refused"), "{error:?}");
    }
    refuses(&tracked, "", "is refused").await;
}

#[tokio::test]
async fn setup_puts_the_guard_back_and_teardown_takes_it_with_it() {
    let tracked = tracked().await;
    tracked
        .sql("ALTER TABLE changes DISABLE TRIGGER bemi_append_only; DROP FUNCTION bemi.refuse_change CASCADE")
        .await;
    let told = tracked.setup(&[]).await;
    assert!(told.stdout.contains("refuse UPDATE, DELETE and TRUNCATE of public.changes"), "{told}");
    assert!(tracked.setup(&[]).await.stdout.starts_with("nothing to do\n"));
    refuses(&tracked, "", "is refused").await;
    tracked.worker(&["teardown", "--drop-changes"]).run_to_end().await.assert_code(0);
    let left: i64 =
        tracked.value("SELECT count(*) FROM pg_proc WHERE proname = 'refuse_change'").await;
    assert_eq!(left, 0);
}
