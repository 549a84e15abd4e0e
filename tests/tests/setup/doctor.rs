//! Doctor finds what is wrong, and status tells how it goes, from the databases alone.

use serde_json::Value;

use super::fresh::Fresh;

pub(crate) async fn finding(fresh: &Fresh, code: &str) -> Option<String> {
    let output = fresh.worker(&["doctor", "--format", "json"]).run_to_end().await;
    let diagnosis: Value = serde_json::from_str(&output.stdout).unwrap();
    let findings = diagnosis["findings"].as_array().unwrap();
    for finding in findings.iter().filter(|finding| finding["level"] != "ok") {
        let says = |part: &str| !finding[part].as_str().unwrap().is_empty();
        assert!(says("what") && says("why") && says("fix"), "{finding}");
    }
    let failed = findings.iter().any(|finding| finding["level"] == "fail");
    assert_eq!(output.code, Some(if failed { 3 } else { 0 }), "{output}");
    findings
        .iter()
        .find(|finding| finding["code"] == code)
        .map(|finding| finding["level"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_database_that_was_never_set_up() {
    let fresh = Fresh::new("").await;
    assert_eq!(finding(&fresh, "B011").await.as_deref(), Some("fail"));
    let status = fresh.worker(&["status"]).run_to_end().await.assert_code(3);
    assert!(status.stdout.contains("run `bemi-worker setup`"), "{status}");
}

#[tokio::test]
async fn each_thing_that_goes_wrong_is_found_and_mended_by_its_fix() {
    let fresh = Fresh::new("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (a int)").await;
    fresh.ok(&["setup", "--all-tables"]).await;
    let healthy = fresh.worker(&["doctor"]).run_to_end().await.assert_code(0);
    assert!(!healthy.stdout.contains("FAIL"), "{healthy}");
    assert_eq!(finding(&fresh, "B017").await.as_deref(), Some("warn"));
    assert_eq!(finding(&fresh, "B018").await.as_deref(), Some("warn"));
    assert_eq!(finding(&fresh, "B024").await.as_deref(), Some("warn"), "no worker runs");

    for (damage, code) in [
        ("ALTER PUBLICATION bemi DROP TABLE t", "B014"),
        ("DROP PUBLICATION bemi_insert_only", "B012"),
        ("SET bemi.quiet = 'on'; ALTER TABLE t DROP CONSTRAINT t_pkey; RESET bemi.quiet", "B013"),
        ("DROP TABLE changes", "B031"),
        ("DROP TABLE bemi.quarantine", "B030"),
    ] {
        fresh.sql(damage).await;
        assert_eq!(finding(&fresh, code).await.as_deref(), Some("fail"), "{damage}");
        fresh.ok(&["setup"]).await;
        assert_ne!(finding(&fresh, code).await.as_deref(), Some("fail"), "{damage}");
    }
    fresh.sql("ALTER TABLE changes DROP COLUMN sequence").await;
    assert_eq!(finding(&fresh, "B031").await.as_deref(), Some("fail"));
    fresh.refused(&["setup"], 3, &["it has no column sequence"]).await;
}

#[tokio::test]
async fn a_slot_that_somebody_moved_on_is_a_gap_before_the_worker_meets_it() {
    let fresh = Fresh::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    fresh.ok(&["setup", "--all-tables"]).await;
    fresh.sql("INSERT INTO t VALUES (1)").await;
    let slot = fresh.database.slot_name();
    fresh.sql(&format!("SELECT pg_replication_slot_advance('{slot}', pg_current_wal_lsn())")).await;
    assert_eq!(finding(&fresh, "B033").await.as_deref(), Some("fail"));
}

#[tokio::test]
async fn status_tells_what_is_stored_and_what_is_not() {
    let fresh = Fresh::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    fresh.ok(&["setup", "--all-tables"]).await;
    fresh.sql("INSERT INTO t SELECT generate_series(1, 10)").await;
    let read = async || -> Value {
        serde_json::from_str(&fresh.ok(&["status", "--format", "json"]).await).unwrap()
    };
    let before = read().await;
    assert_eq!(before["stored"]["changes"], 0);
    assert!(before["lag_bytes"].as_u64().unwrap() > 0);
    assert_eq!(before["slot"]["active"], false);

    fresh.ok(&["run", "--once"]).await;
    let after = read().await;
    assert_eq!(after["stored"]["changes"], 10);
    assert_eq!(after["stored"]["transactions"], 1);
    assert!(after["stored"]["last_commit"].is_string(), "{after}");
    let table = fresh.ok(&["status"]).await;
    assert!(table.contains("changes             10\n"), "{table}");
}
