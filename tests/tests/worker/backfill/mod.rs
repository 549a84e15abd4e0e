//! The baseline: rows that were there before, stored as they were at one moment between two transactions.

mod keys;
mod meanwhile;
mod rows;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bemi_tests::{Output, STORED_WITHIN, Stored, Tracked, eventually};
use bemi_worker::backfill::{self, BackfillEvent, BackfillOptions};
use bemi_worker::config::Config;
use serde_json::Value;

/// As fast as it can, in chunks so small that there are many.
const IN_SMALL_CHUNKS: [&str; 4] = ["--chunk-rows", "50", "--max-rows-per-second", "0"];

async fn backfill(tracked: &Tracked, arguments: &[&str]) -> Output {
    tracked.worker(&[&["backfill"], arguments].concat()).run_to_end().await
}

/// The rows that `changes` lead to, by their keys: SNAPSHOT says how a row is.
fn replay(changes: &[Stored], table: &str) -> BTreeMap<String, Value> {
    let mut rows = BTreeMap::new();
    for change in changes.iter().filter(|change| change.table == table) {
        let key = change.primary_key.clone().unwrap_or_default();
        match change.operation.as_str() {
            "CREATE" => {
                let before = rows.insert(key, change.after.clone());
                assert_eq!(before, None, "a row was there before it was made: {change:?}");
            }
            "SNAPSHOT" => drop(rows.insert(key, change.after.clone())),
            "UPDATE" => {
                rows.remove(change.previous_key.as_ref().unwrap_or(&key));
                rows.insert(key, change.after.clone());
            }
            "DELETE" => drop(rows.remove(&key)),
            "TRUNCATE" => rows.clear(),
            other => panic!("{other}"),
        }
    }
    rows
}

/// The rows of a table, by a key that is text.
async fn present(tracked: &Tracked, table: &str, key: &str) -> BTreeMap<String, Value> {
    let rows = tracked
        .client
        .query(&format!("SELECT ({key})::text, to_jsonb(t) FROM {table} t"), &[])
        .await
        .unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

fn snapshots(changes: &[Stored]) -> Vec<&Stored> {
    changes.iter().filter(|change| change.operation == "SNAPSHOT").collect()
}

const MANY_TYPES: &str = "\
    CREATE TABLE t (id bigint PRIMARY KEY, note text, amount numeric, at timestamptz, tags text[], \
        doc jsonb, raw bytea, flag boolean, ratio float8, u uuid, span interval, wide text); \
    INSERT INTO t SELECT g, E'note\\t\\\\' || g, g * 1.10, timestamptz '2024-02-29 12:00+00' + g * interval '1 hour', \
        ARRAY['a', NULL, 'q\"' || g], jsonb_build_object('n', g, 'deep', jsonb_build_array(g, null)), \
        decode(lpad(to_hex(g), 8, '0'), 'hex'), g % 2 = 0, g / 3.0::float8, md5(g::text)::uuid, \
        g * interval '1 minute', repeat(md5(g::text), 10 + (g % 7)::int * 20) \
    FROM generate_series(1, 3000) g;";

/// Writers insert, update, change keys and delete all the while, the worker stores what they do, and
/// the baseline comes in between.
#[tokio::test(flavor = "multi_thread")]
async fn replaying_baseline_and_changes_gives_the_present_state() {
    let tracked = Tracked::new(MANY_TYPES).await;
    tracked.sql("SET timezone = 'UTC'").await;
    let worker = tracked.run().await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut writers = Vec::new();
    for writer in 0..3_i64 {
        let client = tracked.database.connect().await.unwrap();
        let stopped = stopped.clone();
        writers.push(tokio::spawn(async move {
            let mut round = 0_i64;
            // Some rest, lest the table grow faster than a busy machine stores it.
            while !*stopped.borrow() && round < 1_000 {
                tokio::time::sleep(Duration::from_millis(2)).await;
                round += 1;
                // Each has its own keys, modulo 3. Keys move both ways over whatever was reached.
                let key = (round * 37 % 1000) * 3 + writer;
                let new = 10_000 + round * 3 + writer;
                let (far, near) = (10_000_000 + round * 3 + writer, -(round * 3 + writer));
                client
                    .batch_execute(&format!(
                        "BEGIN; INSERT INTO t (id, note) VALUES ({new}, 'new'); \
                         UPDATE t SET note = note || 'u', amount = amount + 1 WHERE id = {key}; \
                         UPDATE t SET id = {far} WHERE id = {key} AND {round} % 5 = 1; \
                         UPDATE t SET id = {near} WHERE id = {new} AND {round} % 5 = 2; \
                         UPDATE t SET id = {near} WHERE id = {key} AND {round} % 5 = 3; \
                         DELETE FROM t WHERE id = {key} AND {round} % 5 = 4; COMMIT"
                    ))
                    .await
                    .unwrap();
            }
            round
        }));
    }
    let config = config(&tracked);
    let (_keep, shutdown) = tokio::sync::watch::channel(false);
    // Several snapshots, each good for a few chunks.
    let options = BackfillOptions::new()
        .chunk_rows(250)
        .rows_per_second_max(0)
        .snapshot_max(Duration::from_millis(20));
    let mut snapshots_taken = 0;
    let report = backfill::run(&config, &options, shutdown, |event| {
        snapshots_taken += u32::from(matches!(event, BackfillEvent::SnapshotTaken { .. }));
    })
    .await
    .unwrap();
    stop.send(true).unwrap();
    for writer in writers {
        assert!(writer.await.unwrap() > 5, "the writers wrote too little to prove anything");
    }
    assert!(report.tables[0].is_finished && report.rows > 2_000, "{report:?}");
    assert!(snapshots_taken > 1, "one snapshot proves too little");
    worker.stop().await;
    tracked.store().await;

    let changes = tracked.changes().await;
    assert_eq!(replay(&changes, "t"), present(&tracked, "t", "id").await);
    let mut seen = BTreeSet::new();
    for change in snapshots(&changes) {
        assert!(seen.insert((change.commit_position, &change.primary_key)), "twice: {change:?}");
        assert_eq!((&change.before, change.before_complete), (&serde_json::json!({}), true));
        assert_eq!((&change.context, change.unavailable.as_ref()), (&serde_json::json!({}), None));
    }
    let of_transactions: i64 = tracked
        .value(
            "SELECT count(*) FROM changes s JOIN changes c USING (commit_position) \
             WHERE s.operation = 'SNAPSHOT' AND c.operation <> 'SNAPSHOT'",
        )
        .await;
    assert_eq!(of_transactions, 0, "a baseline has a place of its own");
}

/// It is killed several times, somewhere in a chunk, and goes on.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_killed_goes_on_with_nothing_twice_and_nothing_missing() {
    let tracked = Tracked::new(MANY_TYPES).await;
    tracked.sql("SET timezone = 'UTC'").await;
    for stored in [1, 700, 1_500, 2_300] {
        let arguments = ["backfill", "t", "--chunk-rows", "37", "--max-rows-per-second", "3000"];
        let mut running = tracked.worker(&arguments).spawn();
        eventually(STORED_WITHIN, "rows to be stored", async || {
            let rows: Option<i64> =
                tracked.value("SELECT sum(rows)::int8 FROM bemi.backfill").await;
            (rows.unwrap_or(0) >= stored).then_some(())
        })
        .await;
        assert!(running.is_running(), "{}", running.stderr());
        running.kill_9();
    }
    let output = backfill(&tracked, &[&["t"], IN_SMALL_CHUNKS.as_slice()].concat()).await;
    let output = output.assert_code(0);
    assert!(output.stdout.contains("3000"), "{output}");
    let changes = tracked.changes().await;
    assert_eq!(changes.len(), 3_000);
    assert_eq!(replay(&changes, "t"), present(&tracked, "t", "id").await);
    let runs: BTreeSet<_> = changes.iter().map(|change| change.commit_position).collect();
    assert_eq!(runs.len(), 5, "each run has a snapshot of its own");
    let reached: Option<Vec<Vec<u8>>> =
        tracked.value("SELECT key_reached FROM bemi.backfill").await;
    assert_eq!(reached, None, "nobody needs the key any more");
    let slots: i64 = tracked
        .value("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()")
        .await;
    assert_eq!(slots, 1, "no slot is left but the worker's");
}

#[tokio::test]
async fn told_to_stop_it_stores_its_chunk_and_says_how_to_go_on() {
    let tracked = Tracked::new(MANY_TYPES).await;
    let arguments = ["backfill", "t", "--chunk-rows", "100", "--max-rows-per-second", "500"];
    let mut running = tracked.worker(&arguments).spawn();
    eventually(STORED_WITHIN, "rows to be stored", async || {
        (tracked.count().await > 0).then_some(())
    })
    .await;
    running.terminate();
    let output = running.wait(STORED_WITHIN).await.assert_code(130);
    assert!(output.stderr.contains("goes on from here"), "{output}");
    let stored = tracked.count().await;
    assert_eq!(tracked.value::<i64>("SELECT rows FROM bemi.backfill").await, stored);
    assert!((100..3_000).contains(&stored), "{stored}");
    backfill(&tracked, &["t", "--max-rows-per-second", "0"]).await.assert_code(0);
    assert_eq!(tracked.count().await, 3_000);
    let nothing = backfill(&tracked, &["t"]).await.assert_code(0);
    assert!(nothing.stdout.contains("nothing was left"), "{nothing}");
    assert_eq!(tracked.count().await, 3_000);
    backfill(&tracked, &["t", "--again", "--max-rows-per-second", "0"]).await.assert_code(0);
    assert_eq!(tracked.count().await, 6_000, "as they are now");
}

fn config(tracked: &Tracked) -> Config {
    let mut config = Config::new(tracked.database.url().parse().unwrap());
    config.slot = tracked.database.slot_name().parse().unwrap();
    config
}
