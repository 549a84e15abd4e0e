//! What somebody with rights in the database can do about the trail. The docs have the list; this proves it.

use bemi_tests::{Tracked, WORKER_ROLE, shared_cluster};
use serde_json::json;
use tokio_postgres::error::SqlState;

use super::expected::{
    commit_each, created, emit, free_slot, keeping_identities, recorded, server_version, updated,
};

/// `pg_logical_emit_message` is everybody's: a context is what the application says, and nobody's proof.
#[tokio::test]
async fn who_may_write_may_say_any_context() {
    let tracked = Tracked::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    let role = tracked.database.unique_name("clerk");
    let forged = json!({"user": "the director"});
    tracked
        .sql(&format!(
            "CREATE ROLE {role}; GRANT INSERT ON t TO {role}; SET ROLE {role}; \
             {} INSERT INTO t VALUES (1); RESET ROLE",
            emit(&forged)
        ))
        .await;
    assert_eq!(recorded(&tracked).await, [created("t", "1", json!({"id": 1})).by(forged)]);
    // It can be taken from everybody; who is granted it can go on, as the worker must, for its heartbeats.
    tracked
        .sql(&format!(
            "DO $$ DECLARE emit regprocedure; BEGIN \
                 FOR emit IN SELECT oid FROM pg_proc WHERE proname = 'pg_logical_emit_message' LOOP \
                     EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', emit); \
                     EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO {WORKER_ROLE}', emit); \
                 END LOOP; END $$"
        ))
        .await;
    tracked.sql(&format!("SET ROLE {role}")).await;
    let refused = tracked.client.batch_execute(&emit(&json!({}))).await.unwrap_err();
    assert_eq!(refused.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
    tracked.sql("INSERT INTO t VALUES (2); RESET ROLE").await;
    assert_eq!(recorded(&tracked).await[1], created("t", "2", json!({"id": 2})));
    tracked.sql(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

/// A row cannot be written unseen by who may only write rows: whatever turns triggers off does not turn the WAL off.
#[tokio::test]
async fn who_owns_a_table_can_have_less_recorded_of_it() {
    let tracked = keeping_identities("CREATE TABLE t (id int PRIMARY KEY, a int)").await;
    let transactions = [
        "INSERT INTO t VALUES (1, 1)",
        // Without an identity, UPDATE and DELETE are not published: they would fail.
        "ALTER TABLE t REPLICA IDENTITY NOTHING",
        "UPDATE t SET a = 2",
        "ALTER TABLE t REPLICA IDENTITY DEFAULT",
        "UPDATE t SET a = 3",
        // All values change, and no row is a change.
        "ALTER TABLE t ALTER a TYPE int USING a + 1",
        "UPDATE t SET id = 2",
    ];
    commit_each(&tracked, &transactions).await;
    let key = json!({"id": 1});
    assert_eq!(
        recorded(&tracked).await,
        [
            created("t", "1", json!({"id": 1, "a": 1})),
            updated("t", "1", key.clone(), json!({"id": 1, "a": 3})).incomplete(),
            updated("t", "2", key, json!({"id": 2, "a": 4})).previously("1").incomplete(),
        ]
    );
}

/// The event trigger that tracks new tables can be quieted by a session, and disabled by a superuser. Doctor tells of both,
/// and setup mends it.
#[tokio::test]
async fn who_makes_tables_can_make_one_that_is_not_tracked_until_somebody_looks() {
    let tracked = Tracked::new("").await;
    for evading in ["SET LOCAL bemi.quiet = 'on'", "ALTER EVENT TRIGGER bemi_track_tables DISABLE"]
    {
        tracked.sql(&format!("{evading}; CREATE TABLE hidden (id int PRIMARY KEY)")).await;
        tracked.sql("INSERT INTO hidden VALUES (1)").await;
        let told = tracked.worker(&["doctor"]).run_to_end().await.assert_code(3);
        assert!(told.stdout.contains("B014  FAIL"), "{told}");
        assert_eq!(told.stdout.contains("B016  warn"), evading.contains("DISABLE"), "{told}");
        tracked.setup(&[]).await;
        tracked.sql("INSERT INTO hidden VALUES (2)").await;
        tracked.sql("DROP TABLE hidden; CREATE TABLE seen (id int); DROP TABLE seen").await;
    }
    let changes = recorded(&tracked).await;
    assert_eq!(changes.len(), 2, "{changes:?}");
}

/// Tools that copy a database make its tables in sessions of this kind.
#[tokio::test]
async fn a_table_that_is_made_where_triggers_are_off_is_tracked() {
    let tracked = Tracked::new("").await;
    tracked
        .sql(
            "SET LOCAL session_replication_role = replica; CREATE TABLE t (id int PRIMARY KEY); \
             INSERT INTO t VALUES (1)",
        )
        .await;
    assert_eq!(recorded(&tracked).await, [created("t", "1", json!({"id": 1}))]);
}

/// What is lost of the WAL is lost, and it is written down that it was.
#[tokio::test]
async fn who_may_replicate_can_skip_what_was_written_and_that_is_a_gap() {
    let tracked = Tracked::untracked(shared_cluster(), "CREATE TABLE t (id int PRIMARY KEY)").await;
    tracked.setup(&["--all-tables"]).await;
    tracked.store().await;
    tracked.sql("INSERT INTO t VALUES (1)").await;
    let slot = free_slot(&tracked).await;
    tracked
        .sql(&format!("SELECT pg_replication_slot_advance('{slot}', pg_current_wal_lsn())"))
        .await;
    let refused = tracked.worker(&["run", "--once"]).run_to_end().await.assert_code(3);
    assert!(refused.stderr.contains("--on-gap continue"), "{refused}");
    assert_eq!(tracked.value::<i64>("SELECT count(*) FROM bemi.gaps").await, 1);
}

/// Since 15 a publication can filter. Whoever owns it can have it leave out rows and columns, and the stream does not say so.
#[tokio::test]
async fn who_owns_the_publication_can_have_it_leave_things_out() {
    let tracked = keeping_identities("CREATE TABLE t (id int PRIMARY KEY, a int)").await;
    tracked.sql("ALTER PUBLICATION bemi DROP TABLE t; INSERT INTO t VALUES (1, 1)").await;
    let mut expected = Vec::new();
    if server_version(&tracked).await >= 150_000 {
        tracked.sql("ALTER PUBLICATION bemi ADD TABLE t (id) WHERE (id > 2)").await;
        tracked.sql("INSERT INTO t VALUES (2, 2), (3, 3)").await;
        expected.push(created("t", "3", json!({"id": 3})));
        tracked.sql("ALTER PUBLICATION bemi DROP TABLE t").await;
    }
    // Setup puts back what is missing.
    tracked.setup(&[]).await;
    tracked.sql("INSERT INTO t VALUES (4, 4)").await;
    expected.push(created("t", "4", json!({"id": 4, "a": 4})));
    assert_eq!(recorded(&tracked).await, expected);
}
