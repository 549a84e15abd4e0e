//! Servers that go away and come back.

use bemi_tests::{
    Cluster, ClusterOptions, RunningWorker, STORED_WITHIN, StopMode, TestDatabase, Tracked,
    eventually,
};

use super::truth;

const SCHEMA: &str = "SET timezone = 'UTC'; CREATE TABLE t (id bigint PRIMARY KEY, a text)";

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_restarts_is_streamed_from_again() {
    let cluster = Cluster::start(&ClusterOptions::new()).unwrap();
    let mut tracked = Tracked::untracked(&cluster, SCHEMA).await;
    truth::install(&tracked, &["t"]).await;
    // Its truth must survive a crash too.
    tracked.sql("ALTER TABLE truth.log SET LOGGED").await;
    tracked.setup(&["--tables", "t", "--replica-identity", "full"]).await;
    let worker = tracked.run().await;
    for (restart, mode) in
        [StopMode::Fast, StopMode::Immediate, StopMode::Fast].into_iter().enumerate()
    {
        let from = restart * 100;
        tracked
            .sql(&format!("INSERT INTO t SELECT g FROM generate_series({from}, {from} + 99) g"))
            .await;
        cluster.restart(mode).unwrap();
        tracked.client = tracked.database.connect().await.unwrap();
    }
    tracked.sql("UPDATE t SET a = 'x'").await;
    tracked.wait_for_count(600).await;
    assert_eq!(truth::require(&tracked).await, 600);
    worker.stop().await;
}

/// A fast shutdown waits until every walsender's client has acknowledged everything. A worker that did
/// not would hang its primary.
#[tokio::test(flavor = "multi_thread")]
async fn it_does_not_keep_the_source_from_shutting_down() {
    let source = Cluster::start(&ClusterOptions::new()).unwrap();
    let destination = Cluster::start(&ClusterOptions::new()).unwrap();
    let tracked = Tracked::untracked(&source, SCHEMA).await;
    let changes = TestDatabase::create(&destination).await.unwrap();
    let worker = run_into(&changes, &tracked).await;
    tracked.sql("INSERT INTO t VALUES (1)").await;
    // Ends only when the worker has answered; the harness fails if the server does not stop.
    source.restart(StopMode::Fast).unwrap();
    let client = tracked.database.connect().await.unwrap();
    client.batch_execute("INSERT INTO t VALUES (2)").await.unwrap();
    wait_for_count_in(&changes, 2).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_restarts_gets_what_it_missed() {
    let destination = Cluster::start(&ClusterOptions::new()).unwrap();
    let tracked = Tracked::untracked(bemi_tests::shared_cluster(), SCHEMA).await;
    let changes = TestDatabase::create(&destination).await.unwrap();
    let worker = run_into(&changes, &tracked).await;
    for (count, mode) in [(1, StopMode::Fast), (2, StopMode::Immediate)] {
        destination.stop(mode).unwrap();
        tracked.sql(&format!("INSERT INTO t VALUES ({count})")).await;
        eventually(STORED_WITHIN, "the worker to notice", async || {
            (worker.stderr().matches("interrupted").count() >= count).then_some(())
        })
        .await;
        destination.start_again().unwrap();
        wait_for_count_in(&changes, i64::try_from(count).unwrap()).await;
    }
    worker.stop().await;
}

/// A worker that streams from `tracked` and stores elsewhere.
async fn run_into(changes: &TestDatabase, tracked: &Tracked) -> RunningWorker {
    let command = |arguments: &[&str]| {
        tracked.worker(arguments).env("DESTINATION_DATABASE_URL", changes.url())
    };
    command(&["setup", "--all-tables"]).run_to_end().await.assert_code(0);
    let mut worker = command(&["run"]).spawn();
    worker.wait_for_log("streaming").await;
    worker
}

async fn wait_for_count_in(changes: &TestDatabase, count: i64) {
    let client = changes.connect().await.unwrap();
    eventually(STORED_WITHIN, &format!("{count} changes"), async || {
        let row = client.query_one("SELECT count(*) FROM changes", &[]).await.unwrap();
        (row.get::<_, i64>(0) == count).then_some(())
    })
    .await;
}

/// While `changes` is locked for longer than the source waits for a sign of life, the worker gives one,
/// and acknowledges nothing.
#[tokio::test(flavor = "multi_thread")]
async fn the_source_hears_of_a_worker_whose_sink_is_stuck() {
    let cluster = Cluster::start(&ClusterOptions::new().set("wal_sender_timeout", "3s")).unwrap();
    let tracked = Tracked::on(&cluster, SCHEMA).await;
    let worker = tracked.run().await;
    let locker = tracked.database.connect().await.unwrap();
    locker.batch_execute("BEGIN; LOCK TABLE changes").await.unwrap();
    tracked.sql("INSERT INTO t VALUES (1)").await;
    let inserted: i64 = tracked.value("SELECT (pg_current_wal_lsn() - '0/0')::bigint").await;
    eventually(STORED_WITHIN, "three times the timeout to pass", async || {
        let heard: bool = locker
            .query_one(
                "SELECT coalesce(bool_or(reply_time > now() + interval '9 s'), false) \
                 FROM pg_stat_replication",
                &[],
            )
            .await
            .unwrap()
            .get(0);
        heard.then_some(())
    })
    .await;
    let confirmed: i64 = tracked
        .value("SELECT (confirmed_flush_lsn - '0/0')::bigint FROM pg_replication_slots")
        .await;
    assert!(confirmed < inserted, "what is not stored was acknowledged");
    assert!(!worker.stderr().contains("interrupted"), "{}", worker.stderr());
    locker.batch_execute("COMMIT").await.unwrap();
    tracked.wait_for_count(1).await;
    worker.stop().await;
}
