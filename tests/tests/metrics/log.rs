//! The log: quiet when well, a line for each change of state, few lines when ill, and no secret ever.

use bemi_tests::{
    Auth, Cluster, ClusterOptions, STORED_WITHIN, StopMode, TestDatabase, Tracked, eventually,
    shared_cluster,
};
use serde_json::Value;

use super::observed::Observed;

const SCHEMA: &str = "CREATE TABLE t (id int PRIMARY KEY)";

/// The lines of a log, and of those that are of this worker, what happened.
fn messages(log: &str) -> Vec<String> {
    let lines =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")));
    lines.map(|line: Value| line["message"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_well_worker_says_that_it_starts_streams_and_stops_and_nothing_else() {
    let tracked = Tracked::new(SCHEMA).await;
    let command = tracked.worker(&["run", "--metrics", "0"]).env("BEMI_LOG_FORMAT", "text");
    let observed = Observed::start(command).await;
    let before = observed.worker.stderr();
    for id in 0..200 {
        tracked.sql(&format!("INSERT INTO t VALUES ({id})")).await;
    }
    tracked.sql("INSERT INTO t SELECT g FROM generate_series(1000, 40000) g").await;
    tracked.wait_for_count(200 + 39_001).await;
    // Both databases have been asked for the metrics by now.
    observed
        .scrape_until("everything to be known", |scrape| {
            scrape.get("bemi_gaps", &[]).is_some() && scrape.get("bemi_lag_bytes", &[]).is_some()
        })
        .await;
    assert_eq!(observed.worker.stderr(), before, "it said something");
    let log = observed.worker.stop().await.stderr;
    let lines: Vec<&str> = log.lines().collect();
    for (line, expected) in lines.iter().zip([
        "starting",
        "listening for metrics",
        "streaming",
        "told to stop",
        "stopped",
    ]) {
        assert!(line.contains(expected), "{expected}: {log}");
    }
    assert_eq!(lines.len(), 5, "{log}");
    assert!(lines[4].contains("changes=39201") && lines[4].contains("transactions=201"), "{log}");
}

/// The destination is down while the worker tries many times: that is two lines, however often.
#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_cannot_be_reached_for_a_while_is_few_lines() {
    let destination = Cluster::start(&ClusterOptions::new().auth(Auth::ScramSha256)).unwrap();
    let tracked = Tracked::untracked(shared_cluster(), SCHEMA).await;
    let changes = TestDatabase::create(&destination).await.unwrap();
    let command = |arguments: &[&str]| {
        tracked
            .worker(arguments)
            .env("DESTINATION_DATABASE_URL", changes.url())
            .env("BEMI_LOG_FORMAT", "json")
    };
    command(&["setup", "--all-tables"]).run_to_end().await.assert_code(0);
    let mut worker = command(&["run", "--metrics", "0"]).spawn();
    worker.wait_for_log("streaming").await;
    let log = worker.stderr();
    let line = log.lines().find(|line| line.contains("listening for metrics")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    let address = line["address"].as_str().unwrap().to_owned();
    let observed = Observed { worker, address };

    destination.stop(StopMode::Fast).unwrap();
    // It needs something to store, or it would not notice.
    tracked.sql("INSERT INTO t SELECT g FROM generate_series(1, 1000) g").await;
    observed
        .scrape_until("many attempts", |scrape| {
            scrape.labelled("bemi_retries_total", "side", "destination") >= 6.0
        })
        .await;
    let while_ill = messages(&observed.worker.stderr());
    // Each minute one more, should the machine be that slow.
    assert!(while_ill.len() <= 6, "{while_ill:#?}");
    let interrupted = |messages: &[String]| {
        messages.iter().filter(|message| message.starts_with("interrupted")).count()
    };
    assert!(interrupted(&while_ill) >= 1, "{while_ill:#?}");

    destination.start_again().unwrap();
    let client = changes.connect().await.unwrap();
    eventually(STORED_WITHIN, "what was missed", async || {
        let row = client.query_one("SELECT count(*) FROM changes", &[]).await.unwrap();
        (row.get::<_, i64>(0) == 1000).then_some(())
    })
    .await;
    let log = observed.worker.stop().await.stderr;
    let again: Value = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .find(|line: &Value| line["message"] == "streaming again")
        .unwrap_or_else(|| panic!("{log}"));
    assert!(again["lasted_s"].as_f64().unwrap() > 0.0, "{again}");
    assert!(again["held_back"].as_u64().unwrap() >= 1, "{again}");
    require_fields(&log);
    // The password of the destination, which is made up for each cluster.
    let url = changes.url();
    let (_, authority) = url.split_once("://").unwrap();
    let (_, password) = authority.split_once('@').unwrap().0.split_once(':').unwrap();
    assert!(password.len() > 5 && !log.contains(password), "a secret is in the log");
}

/// What docs/metrics.md promises of each line.
fn require_fields(log: &str) {
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = |field: &str| line[field].as_str().unwrap_or_else(|| panic!("{field}: {line}"));
        assert!(text("timestamp").parse::<jiff::Timestamp>().is_ok(), "{line}");
        assert!(["INFO", "WARN", "ERROR"].contains(&text("level")), "{line}");
        assert!(text("target").starts_with("bemi_worker"), "{line}");
        assert!(!text("message").is_empty(), "{line}");
        match text("message") {
            "starting" => {
                assert!(text("version").starts_with(|first: char| first.is_ascii_digit()));
                assert!(text("slot").len() > 3 && text("source").contains('@'), "{line}");
                assert!(text("destination").contains('@'), "{line}");
            }
            "streaming" | "streaming again" => assert!(text("position").contains('/'), "{line}"),
            "interrupted; trying again until it works" => {
                assert_eq!(text("side"), "destination");
                assert!(!text("cause").is_empty(), "{line}");
                assert!(line["retry_in_ms"].as_u64().is_some(), "{line}");
                assert!(line["held_back"].as_u64().is_some(), "{line}");
            }
            _ => {}
        }
    }
}

/// Thousands of bad rows and contexts are a line each, not thousands.
#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_with_every_row_is_not_said_of_every_row() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked.sql("ALTER TABLE changes ADD CHECK (\"table\" <> 't')").await;
    let observed = Observed::run(&tracked).await;
    tracked
        .sql(
            "DO $$ BEGIN FOR i IN 1..300 LOOP \
                 PERFORM pg_logical_emit_message(true, '_bemi', 'garbage'); \
                 INSERT INTO t VALUES (i); END LOOP; END $$",
        )
        .await;
    observed
        .scrape_until("all of them to be set aside", |scrape| {
            scrape.value("bemi_quarantined_changes_total") >= 300.0
        })
        .await;
    let log = observed.worker.stop().await.stderr;
    let count = |text: &str| log.matches(text).count();
    assert!((1..=5).contains(&count("the destination refused a change")), "{log}");
    assert!((1..=5).contains(&count("context message is not stored as it is")), "{log}");
    assert!(log.len() < 8_000, "{log}");
}

/// A worker that is started behind says so, and that it has caught up.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_behind_says_so_once_and_that_it_has_caught_up() {
    let tracked = Tracked::new(SCHEMA).await;
    tracked.sql("INSERT INTO t VALUES (1)").await;
    tracked.store().await;
    // As if that had been long ago: what is behind it may be as old.
    tracked.sql("UPDATE bemi.checkpoint SET committed_at = committed_at - interval '1 hour'").await;
    tracked.sql("INSERT INTO t SELECT g FROM generate_series(2, 20000) g").await;
    // It waits for this, and cannot store.
    let locker = tracked.database.connect().await.unwrap();
    locker.batch_execute("BEGIN; LOCK TABLE changes").await.unwrap();
    let mut worker = tracked.worker(&["run", "--metrics", "0"]).spawn();
    worker.wait_for_log(" behind").await;
    locker.batch_execute("COMMIT").await.unwrap();
    worker.wait_for_log("caught up").await;
    let log = worker.stop().await.stderr;
    assert_eq!((log.matches(" behind").count(), log.matches("caught up").count()), (1, 1), "{log}");
}
