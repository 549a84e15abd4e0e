//! Health and readiness, and what makes each fail.

use bemi_tests::{
    Cluster, ClusterOptions, Output, RunningWorker, StopMode, TestDatabase, Tracked, WorkerCommand,
    eventually, shared_cluster,
};

use super::observed::{Answer, KNOWN_WITHIN, Observed, ask, listens_at};

const SCHEMA: &str = "CREATE TABLE t (id int PRIMARY KEY)";

/// `health`, as a container's health check runs it.
async fn health(arguments: &[&str]) -> Output {
    WorkerCommand::under_test([&["health"], arguments].concat()).run_to_end().await
}

async fn ready_until(observed: &Observed, what: &str, wish: impl Fn(&Answer) -> bool) -> Answer {
    eventually(KNOWN_WITHIN, what, async || Some(observed.get("/ready").await).filter(&wish)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_has_caught_up_is_ready_and_its_command_says_so() {
    let tracked = Tracked::new(SCHEMA).await;
    let observed = Observed::run(&tracked).await;
    let ready = ready_until(&observed, "it to be ready", |answer| answer.status == 200).await;
    assert_eq!(ready.json(), serde_json::json!({ "status": "ok", "reasons": [] }));
    let answer = observed.get("/health").await;
    assert_eq!((answer.status, answer.reasons()), (200, Vec::new()));

    let output = health(&[&observed.address]).await.assert_code(0);
    assert!(output.stdout.contains("\"ok\"") && output.stderr.is_empty(), "{output}");
    health(&["--ready", &observed.address]).await.assert_code(0);
    let by_environment =
        WorkerCommand::under_test(["health"]).env("BEMI_METRICS", &observed.address);
    by_environment.run_to_end().await.assert_code(0);

    let address = observed.address.clone();
    observed.worker.stop().await;
    let output = health(&[&address]).await.assert_code(1);
    assert!(output.stderr.contains("nobody answers"), "{output}");
    let output = health(&[]).await.assert_code(2);
    assert!(output.stderr.contains("BEMI_METRICS"), "{output}");
}

/// Nothing that a server does makes the process unhealthy: to start it again would not help.
#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_is_down_makes_it_unready_and_not_unhealthy() {
    let destination = Cluster::start(&ClusterOptions::new()).unwrap();
    let tracked = Tracked::untracked(shared_cluster(), SCHEMA).await;
    let changes = TestDatabase::create(&destination).await.unwrap();
    let command = |arguments: &[&str]| {
        tracked.worker(arguments).env("DESTINATION_DATABASE_URL", changes.url())
    };
    command(&["setup", "--all-tables"]).run_to_end().await.assert_code(0);
    let observed = Observed::start(command(&["run", "--metrics", "127.0.0.1:0"])).await;
    ready_until(&observed, "it to be ready", |answer| answer.status == 200).await;

    destination.stop(StopMode::Fast).unwrap();
    tracked.sql("INSERT INTO t SELECT g FROM generate_series(1, 10000) g").await;
    let unready = ready_until(&observed, "it to be unready", |answer| answer.status == 503).await;
    assert_eq!(unready.json()["status"], "failing");
    assert_eq!(unready.reasons()[0], "not_streaming");
    let reason = &unready.json()["reasons"][0];
    assert!(reason["message"].as_str().unwrap().contains("destination"), "{unready:?}");
    assert!(reason["since"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{unready:?}");
    assert_eq!(observed.get("/health").await.status, 200);
    health(&[&observed.address]).await.assert_code(0);
    let output = health(&["--ready", &observed.address]).await.assert_code(1);
    assert!(output.stdout.contains("not_streaming"), "{output}");

    // What the source holds is known all the same, and that it grows.
    let held = observed
        .scrape_until("the metrics to tell who is down", |scrape| {
            scrape.get("bemi_database_up", &[("side", "destination")]) == Some(0.0)
                && scrape.get("bemi_lag_bytes", &[]).is_some_and(|bytes| bytes > 500_000.0)
        })
        .await;
    assert_eq!(held.labelled("bemi_database_up", "side", "source"), 1.0);
    assert_eq!(held.value("bemi_streaming"), 0.0);
    assert!(held.value("bemi_slot_retained_wal_bytes") > 500_000.0);
    assert!(held.labelled("bemi_retries_total", "side", "destination") >= 1.0);
    assert_eq!(held.labelled("bemi_retries_total", "side", "source"), 0.0);

    destination.start_again().unwrap();
    ready_until(&observed, "it to be ready again", |answer| answer.status == 200).await;
    let scrape = observed.scrape_after(10_000.0).await;
    assert_eq!(scrape.sum("bemi_changes_total"), 10_000.0);
    observed.worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_waits_for_a_lock_is_seen() {
    let tracked = Tracked::new(SCHEMA).await;
    let observed = Observed::run(&tracked).await;
    tracked.sql("BEGIN; LOCK TABLE changes").await;
    let other = tracked.database.connect().await.unwrap();
    other.batch_execute("INSERT INTO t VALUES (1)").await.unwrap();
    let waiting = observed
        .scrape_until("the batch to wait", |scrape| scrape.value("bemi_sink_silence_seconds") > 1.0)
        .await;
    assert_eq!(waiting.value("bemi_sink_batches"), 1.0);
    tracked.sql("COMMIT").await;
    let stored = observed
        .scrape_until("the sink to have nothing left", |scrape| {
            scrape.value("bemi_sink_silence_seconds") == 0.0
        })
        .await;
    assert_eq!(stored.sum("bemi_changes_total"), 1.0);
    observed.worker.stop().await;
}

/// A process that is stopped answers nobody, and its health check says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_does_not_run_is_not_healthy() {
    let tracked = Tracked::new(SCHEMA).await;
    let observed = Observed::run(&tracked).await;
    let pid = nix::unistd::Pid::from_raw(i32::try_from(observed.worker.pid()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).unwrap();
    let output = health(&[&observed.address]).await;
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGCONT).unwrap();
    let output = output.assert_code(1);
    assert!(output.stderr.contains("nobody answers"), "{output}");
    health(&[&observed.address]).await.assert_code(0);
    observed.worker.stop().await;
}

/// It says where it is from the beginning, and answers while it still waits for its slot.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_waits_for_its_slot_answers_and_is_not_ready() {
    let tracked = Tracked::new(SCHEMA).await;
    let first = tracked.run().await;
    let mut second: RunningWorker = tracked.worker(&["run", "--metrics", "127.0.0.1:0"]).spawn();
    let address = listens_at(&mut second).await;
    let answer = ask(&address, "GET", "/ready").await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.reasons()[0], "not_streaming");
    first.stop().await;
    eventually(KNOWN_WITHIN, "the second one to be ready", async || {
        (ask(&address, "GET", "/ready").await.status == 200).then_some(())
    })
    .await;
    second.stop().await;
}
