//! Status tells how it goes from the databases alone, once or again and again.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use bemi_tests::{STORED_WITHIN, Tracked, eventually, shared_cluster};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

async fn status(tracked: &Tracked) -> Value {
    let output = tracked.worker(&["status", "--format", "json"]).run_to_end().await.assert_code(0);
    serde_json::from_str(&output.stdout).unwrap()
}

#[tokio::test]
async fn a_worker_that_streams_is_told_with_all_that_it_has_stored() {
    let tracked = Tracked::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    tracked.setup(&["--sql-pack"]).await;
    let before = status(&tracked).await;
    assert_eq!(before["worker"], Value::Null);
    assert_eq!(before["slot"]["active"], false);
    assert_eq!(before["sql_pack"], true);

    let worker = tracked.run().await;
    tracked.sql("INSERT INTO t SELECT generate_series(1, 100)").await;
    tracked.wait_for_count(100).await;
    let now = status(&tracked).await;
    assert!(now["worker"]["uptime_seconds"].as_f64().unwrap() >= 0.0, "{now}");
    assert!(now["worker"]["streaming_since"].is_string(), "{now}");
    assert_eq!(now["stored"]["changes"], 100);
    assert_eq!(now["stored"]["gaps"], 0);
    assert_eq!(now["history"]["tables"], 1);
    assert!(now["history"]["all_since"].is_string(), "{now}");
    assert_eq!(now["history"]["kept_since"], Value::Null);
    assert!(now["throughput"]["seconds"].as_f64().unwrap() >= 1.0, "{now}");
    let table = tracked.worker(&["status"]).run_to_end().await.assert_code(0).stdout;
    for row in ["uptime ", "throughput ", "history ", "SQL pack ", "held WAL "] {
        assert!(table.lines().any(|line| line.starts_with(row)), "no {row:?} in\n{table}");
    }
    worker.stop().await;
}

#[tokio::test]
async fn what_is_stored_between_two_looks_is_the_throughput() {
    let tracked = Tracked::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    let worker = tracked.run().await;
    let mut watching = watch(&tracked);
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let first: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(first["throughput"], Value::Null, "one look tells no rate");
    tracked.sql("INSERT INTO t SELECT generate_series(1, 1000)").await;
    tracked.wait_for_count(1000).await;
    let rates = lines.by_ref().take(30).map(|line| {
        let status: Value = serde_json::from_str(&line.unwrap()).unwrap();
        status["throughput"]["changes_per_second"].as_f64().unwrap()
    });
    assert!(rates.into_iter().any(|rate| rate > 0.0), "it stored, and nothing told");
    // Ctrl-C.
    kill(Pid::from_raw(i32::try_from(watching.id()).unwrap()), Signal::SIGINT).unwrap();
    assert_eq!(watching.wait().unwrap().code(), Some(130));
    worker.stop().await;
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_ends_it_well() {
    let tracked = Tracked::new("").await;
    let mut watching = watch(&tracked);
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    drop(lines);
    let ended = eventually(STORED_WITHIN, "the end of it", async || watching.try_wait().unwrap());
    assert!(ended.await.success());
}

/// A watch whose lines can be read as they come.
fn watch(tracked: &Tracked) -> std::process::Child {
    Command::new(env!("CARGO_BIN_EXE_worker-under-test"))
        .args(["status", "--watch", "1", "--format", "json"])
        .env("DATABASE_URL", tracked.database.url())
        .env("BEMI_SLOT", tracked.database.slot_name())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn what_retention_dropped_is_no_gap() {
    let tracked = Tracked::new("").await;
    let slot = tracked.database.slot_name();
    tracked
        .sql(&format!(
            "INSERT INTO bemi.gaps (slot, from_position, to_position, reason, kind, kept_since)
             VALUES ('{slot}', 0, 10, 'retention', 'expired', '2026-01-01 00:00:00+00');
             INSERT INTO bemi.gaps (slot, from_position, to_position, reason) VALUES ('{slot}', 20, 30, 'lost')"
        ))
        .await;
    let now = status(&tracked).await;
    assert_eq!(now["stored"]["gaps"], 1);
    assert!(now["history"]["kept_since"].as_str().unwrap().starts_with("20"), "{now}");
}

#[tokio::test]
async fn a_database_that_was_never_set_up_ends_with_3() {
    let tracked = Tracked::untracked(shared_cluster(), "").await;
    let told = tracked.worker(&["status"]).run_to_end().await.assert_code(3);
    assert!(told.stdout.contains("run `bemi-worker setup`"), "{told}");
}
