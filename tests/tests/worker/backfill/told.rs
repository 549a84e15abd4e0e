//! What is refused, and what status and dry run say.

use bemi_tests::{Tracked, shared_cluster};
use serde_json::Value;

use super::backfill;

#[tokio::test]
async fn what_cannot_be_right_is_refused_with_what_to_do() {
    let tracked = Tracked::untracked(
        shared_cluster(),
        "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE other (id int PRIMARY KEY); \
         CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id); \
         CREATE TABLE leaf PARTITION OF parted DEFAULT",
    )
    .await;
    let refused = async |arguments: &[&str], code: i32, why: &str| {
        let output = backfill(&tracked, arguments).await.assert_code(code);
        assert!(output.stderr.contains(why), "{output}");
    };
    refused(&["t"], 3, "bemi-worker setup").await;
    tracked.setup(&["--tables", "t,parted"]).await;
    refused(&["other"], 3, "no tracked table is named public.other").await;
    refused(&["leaf"], 3, "under the table that they belong to").await;
    refused(&["nothing.*"], 3, "nothing.*").await;
    refused(&[], 2, "required").await;
    refused(&["a b"], 2, "not a pattern").await;

    let role = tracked.database.unique_name("role");
    let slot = tracked.database.slot_name();
    tracked
        .sql(&format!(
            "CREATE ROLE {role} LOGIN REPLICATION; GRANT USAGE ON SCHEMA bemi TO {role}; \
             GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA bemi TO {role}; \
             GRANT INSERT ON changes TO {role}"
        ))
        .await;
    let as_role = || {
        let url = tracked.database.url().replace("postgres@", &format!("{role}@"));
        tracked.worker(&["backfill", "t"]).env("DATABASE_URL", url)
    };
    let output = as_role().run_to_end().await.assert_code(6);
    assert!(output.stderr.contains("GRANT SELECT ON \"public\".\"t\""), "{output}");
    tracked
        .sql(&format!(
            "GRANT SELECT ON t TO {role}; ALTER TABLE t ENABLE ROW LEVEL SECURITY; \
             CREATE POLICY hides ON t USING (id > 1); INSERT INTO t VALUES (1), (2)"
        ))
        .await;
    let output = as_role().run_to_end().await.assert_code(6);
    assert!(output.stderr.contains("row-level security"), "{output}");
    tracked.sql("ALTER TABLE t DISABLE ROW LEVEL SECURITY").await;
    as_role().run_to_end().await.assert_code(0);
    assert_eq!(tracked.count().await, 2, "that is all that a role needs");

    tracked.sql("DROP TABLE bemi.backfill").await;
    refused(&["t"], 3, "no table bemi.backfill").await;
    tracked.setup(&[]).await;
    tracked.database.drop_slot(&slot).await;
    refused(&["t", "--again"], 3, "changes were lost").await;
    // The slot begins later now: what was lost is told, and the present is stored again.
    tracked.setup(&["--recreate-slot"]).await;
    refused(&["parted"], 0, "").await;
    tracked.sql(&format!("REVOKE ALL ON ALL TABLES IN SCHEMA bemi, public FROM {role}; REVOKE ALL ON SCHEMA bemi FROM {role}; DROP ROLE {role}")).await;
}

#[tokio::test]
async fn status_and_dry_run_tell_of_baselines_and_teardown_forgets_them() {
    let tracked = Tracked::new(
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 7); \
         CREATE TABLE keyless (a int)",
    )
    .await;
    let planned = backfill(&tracked, &["--all-tables", "--dry-run"]).await.assert_code(0);
    assert!(planned.stdout.contains("would be stored"), "{planned}");
    assert!(planned.stdout.contains("in one transaction"), "{planned}");
    assert_eq!(tracked.count().await, 0);
    let status = async || {
        let output = tracked.worker(&["status", "--format", "json"]).run_to_end().await;
        serde_json::from_str::<Value>(&output.assert_code(0).stdout).unwrap()
    };
    assert_eq!(status().await["baselines"], serde_json::json!([]));
    backfill(&tracked, &["t"]).await.assert_code(0);
    let position: i64 = tracked.value("SELECT max(commit_position) FROM changes").await;
    let told = status().await["baselines"][0].clone();
    assert_eq!((&told["table"], &told["rows"]), (&"public.t".into(), &7.into()));
    assert_eq!(told["finished"], true);
    assert_eq!(told["position"], position);
    let shown = tracked.worker(&["status"]).run_to_end().await.assert_code(0);
    assert!(shown.stdout.contains("1 table, 7 rows"), "{shown}");
    tracked.worker(&["teardown", "--drop-changes"]).run_to_end().await.assert_code(0);
    let left: bool = tracked.value("SELECT to_regclass('bemi.backfill') IS NOT NULL").await;
    assert!(!left);
}
