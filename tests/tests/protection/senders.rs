//! A source that has no place left for the worker.

use bemi_tests::{STORED_WITHIN, Tracked, eventually};

use super::pair::{Pair, SCHEMA, options};

/// It waits, says why, and goes on when there is one.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_out_of_wal_senders_is_waited_for() {
    let pair = Pair::new(&options().set("max_wal_senders", "1"), &options()).await;
    let other = Tracked::on(&pair.source, SCHEMA).await;
    let occupant = other.run().await;
    pair.tracked.sql("INSERT INTO t VALUES (1)").await;
    let mut worker = pair.worker(&["run"]).spawn();
    worker.wait_for_log("max_wal_senders").await;
    occupant.stop().await;
    worker.wait_for_log("streaming").await;
    pair.wait_for_key("1").await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_out_of_connections_is_waited_for_once_the_worker_has_streamed() {
    let source = options().set("max_connections", "12").set("superuser_reserved_connections", "1");
    let pair = Pair::new(&source, &options()).await;
    let mut worker = pair.run(&[]).await;
    let slot = pair.tracked.database.slot_name();
    let mut crowd = Vec::new();
    while let Ok(client) = pair.tracked.database.connect().await {
        crowd.push(client);
    }
    // Its sessions end, and the crowd takes their places before it is back.
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE application_name = 'bemi-worker'";
    pair.tracked.sql(end).await;
    // The log says the same thing once a minute.
    eventually(STORED_WITHIN * 3, "the worker to be locked out", async || {
        while let Ok(client) = pair.tracked.database.connect().await {
            crowd.push(client);
        }
        pair.tracked.sql(end).await;
        let free: bool = pair
            .tracked
            .value(&format!(
                "SELECT NOT active FROM pg_replication_slots WHERE slot_name = '{slot}'"
            ))
            .await;
        (free && worker.stderr().contains("takes no connections now")).then_some(())
    })
    .await;
    pair.tracked.sql("INSERT INTO t VALUES (1)").await;
    drop(crowd);
    pair.wait_for_key("1").await;
    assert!(worker.is_running());
    worker.stop().await;
}
