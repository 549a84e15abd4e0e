//! The same on the oldest and the newest PostgreSQL, and as a role that may do little.

use bemi_tests::{Cluster, ClusterOptions, Tracked, Wanted, smoke_majors};
use serde_json::json;

/// Setup, a context, every kind of change, a worker that is stopped, and teardown.
async fn smoke(cluster: &Cluster) {
    let tracked = Tracked::on(
        cluster,
        "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a text, \
             at timestamptz DEFAULT '2024-02-29 12:00:00+00', tags text[])",
    )
    .await;
    let worker = tracked.run().await;
    tracked
        .sql(
            "BEGIN; SELECT pg_logical_emit_message(true, '_bemi', '{\"user\": 1}'); \
             INSERT INTO t (a, tags) VALUES ('x', '{a,NULL}'); UPDATE t SET a = 'y'; DELETE FROM t; COMMIT; \
             CREATE TABLE later (id int PRIMARY KEY); INSERT INTO later VALUES (1); TRUNCATE t",
        )
        .await;
    tracked.wait_for_count(5).await;
    worker.stop().await;
    let changes = tracked.changes().await;
    let what: Vec<_> =
        changes.iter().map(|change| (change.table.as_str(), change.what())).collect();
    assert_eq!(
        what,
        [
            ("t", ("CREATE", "1")),
            ("t", ("UPDATE", "1")),
            ("t", ("DELETE", "1")),
            ("later", ("CREATE", "1")),
            ("t", ("TRUNCATE", "-")),
        ]
    );
    let row = json!({"id": 1, "a": "y", "at": "2024-02-29T12:00:00+00:00", "tags": ["a", null]});
    assert_eq!(changes[2].before, row);
    assert_eq!(changes[2].context, json!({"user": 1}));
    assert_eq!(changes[3].context, json!({}));
    tracked.worker(&["doctor"]).run_to_end().await.assert_code(0);
    tracked.worker(&["status"]).run_to_end().await.assert_code(0);
    tracked.worker(&["teardown"]).run_to_end().await.assert_code(0);
    let slots: i64 = tracked
        .value(&format!(
            "SELECT count(*) FROM pg_replication_slots WHERE slot_name = '{}'",
            tracked.database.slot_name()
        ))
        .await;
    assert_eq!(slots, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_works_on_the_oldest_and_the_newest_postgresql() {
    for major in smoke_majors() {
        let cluster = Cluster::start(&ClusterOptions::new().wanted(Wanted::Major(major))).unwrap();
        smoke(&cluster).await;
    }
}

/// The roles of docs/guide/roles.md: one that sets up and is a member of the owner, and one that runs and
/// owns nothing. Neither is a superuser.
#[tokio::test(flavor = "multi_thread")]
async fn it_works_as_roles_that_may_do_little() {
    let cluster = Cluster::start(&ClusterOptions::new()).unwrap();
    let tracked = Tracked::untracked(
        &cluster,
        "CREATE ROLE app_owner; CREATE TABLE t (id int PRIMARY KEY, a text); ALTER TABLE t OWNER TO app_owner; \
         CREATE ROLE bemi LOGIN REPLICATION; GRANT app_owner TO bemi; \
         CREATE ROLE bemi_run LOGIN REPLICATION",
    )
    .await;
    let name = tracked.database.name();
    tracked.sql(&format!("GRANT CREATE ON DATABASE {name} TO bemi")).await;
    let as_role = |role: &str, arguments: &[&str]| {
        let url = tracked.database.url().replace("postgres@", &format!("{role}@"));
        assert!(url.contains(role), "{url}");
        tracked.worker(arguments).env("DATABASE_URL", url).env("BEMI_CHANGES_SCHEMA", "audit")
    };
    let setup =
        ["setup", "--all-tables", "--replica-identity", "full", "--grant-worker", "bemi_run"];
    as_role("bemi", &setup).run_to_end().await.assert_code(0);
    tracked.sql("INSERT INTO t VALUES (1, 'x'); UPDATE t SET a = 'y'").await;
    as_role("bemi_run", &["run", "--once"]).run_to_end().await.assert_code(0);
    let stored: i64 =
        tracked.value("SELECT count(*) FROM audit.changes WHERE before_complete").await;
    assert_eq!(stored, 2);
    as_role("bemi_run", &["status"]).run_to_end().await.assert_code(0);
    let doctor = as_role("bemi", &["doctor"]).run_to_end().await;
    assert!(matches!(doctor.code, Some(0 | 3)), "{doctor}");
    as_role("bemi", &["teardown"]).run_to_end().await.assert_code(0);
}
