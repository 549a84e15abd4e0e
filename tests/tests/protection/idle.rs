//! That the worker writes next to nothing when there is nothing to store, and that `status` tells what the slot
//! holds.

use std::time::Duration;

use bemi_tests::{Cluster, STORED_WITHIN, StopMode, Tracked, eventually};
use serde_json::Value;

use super::pair::{Pair, SCHEMA, options};

/// docs/operating.md has a full minute, as it was measured.
const WINDOW: Duration = Duration::from_secs(15);

/// What a worker may write in that time, in bytes, where nothing is written by others: the checkpoint, now and then.
const WRITTEN_MAX: i64 = 64 * 1024;

async fn wal(tracked: &Tracked) -> i64 {
    tracked.value("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint").await
}

async fn growth(tracked: &Tracked) -> i64 {
    let before = wal(tracked).await;
    tokio::time::sleep(WINDOW).await;
    wal(tracked).await - before
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_worker_does_not_feed_itself_where_both_databases_are_one() {
    let cluster = Cluster::start(&options().set("autovacuum", "off")).unwrap();
    let tracked = Tracked::on(&cluster, SCHEMA).await;
    let without = growth(&tracked).await;
    let worker = tracked.run().await;
    tracked.sql("INSERT INTO t VALUES (1)").await;
    tracked.wait_for_count(1).await;
    let with = growth(&tracked).await;
    println!("WAL in {WINDOW:?}: {without} bytes without a worker, {with} with one");
    assert!(with < without + WRITTEN_MAX, "{with} bytes with a worker, {without} without");
    worker.stop().await;
}

/// More of what is not tracked: the worker acknowledges it, and then the server looks what the slot needs.
async fn traffic(client: &tokio_postgres::Client) {
    let sql = "SELECT pg_logical_emit_message(false, 'nobody', repeat('x', 1500000))";
    client.batch_execute(sql).await.unwrap();
    client.batch_execute("CHECKPOINT").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn status_tells_what_the_slot_holds_also_while_the_destination_is_down() {
    let pair = Pair::new(&options(), &options()).await;
    let held = || async {
        let output = pair.worker(&["status", "--format", "json"]).run_to_end().await;
        let status: Value =
            serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output}"));
        status["slot"]["held_bytes"].as_u64().unwrap()
    };
    let worker = pair.run(&[]).await;
    // Traffic that is not tracked: the slot moves on, as far as the server lets it.
    pair.tracked.sql("CREATE UNLOGGED TABLE u (a text)").await;
    let elsewhere = bemi_tests::TestDatabase::create(&pair.source).await.unwrap();
    let client = elsewhere.connect().await.unwrap();
    let much = "CREATE TABLE w AS SELECT g, repeat('x', 1000) FROM generate_series(1, 20000) g";
    client.batch_execute(much).await.unwrap();
    eventually(STORED_WITHIN, "the slot to move on", async || {
        traffic(&client).await;
        (held().await < 5_000_000).then_some(())
    })
    .await;

    pair.destination.stop(StopMode::Immediate).unwrap();
    pair.write_much(1).await;
    assert!(held().await > 10_000_000);
    pair.destination.start_again().unwrap();
    pair.wait_for_key("6000").await;
    eventually(STORED_WITHIN, "the slot to move on", async || {
        traffic(&client).await;
        (held().await < 5_000_000).then_some(())
    })
    .await;
    worker.stop().await;
}
