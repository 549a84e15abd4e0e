//! Connections that lead nowhere any more, and nobody says so: the worker finds out by itself.

use std::time::Duration;

use bemi_tests::faults::{Place, Side, Stage, Which};

const SCHEMA: &str = "CREATE TABLE t (id bigint PRIMARY KEY)";

/// The worker asks a source that is silent after half a minute, and waits for a slot that is in use.
const NOTICED_WITHIN: Duration = Duration::from_secs(120);

async fn notices(side: Side, which: Which) {
    let stage = Stage::with(Place::TwoClusters, SCHEMA, &["t"]).await;
    stage.worker(&["setup", "--tables", "t"]).run_to_end().await.assert_code(0);
    let worker = stage.run().await;
    let client = stage.tracked().connect().await.unwrap();
    client.batch_execute("INSERT INTO t VALUES (1)").await.unwrap();
    stage.wait_until_stored().await;
    stage.network(side).strand(which);
    client.batch_execute("INSERT INTO t VALUES (2)").await.unwrap();
    assert!(stage.is_stored_within(NOTICED_WITHIN).await, "{}", worker.stderr());
    assert_eq!(stage.require_truth().await, 2);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_is_forgotten_and_nothing_else() {
    notices(Side::Source, Which::Replication).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_connection_to_the_source_is_forgotten() {
    notices(Side::Source, Which::All).await;
}
