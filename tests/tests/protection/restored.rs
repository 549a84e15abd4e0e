//! Sources and destinations that are as they were before: restored from a backup, or from a snapshot.

use std::path::Path;
use std::process::Command;

use bemi_tests::{Cluster, STORED_WITHIN, StopMode, eventually};

use super::pair::{Pair, options};

/// A copy of a server's files, as a snapshot of its disk has them.
struct Snapshot(tempfile::TempDir);

impl Snapshot {
    fn of(cluster: &Cluster) -> Self {
        let folder = tempfile::tempdir().unwrap();
        cluster.stop(StopMode::Fast).unwrap();
        copy(&cluster.data_dir(), &folder.path().join("data"));
        cluster.start_again().unwrap();
        Self(folder)
    }

    fn restore(&self, cluster: &Cluster) {
        cluster.stop(StopMode::Immediate).unwrap();
        std::fs::remove_dir_all(cluster.data_dir()).unwrap();
        copy(&self.0.path().join("data"), &cluster.data_dir());
        cluster.start_again().unwrap();
    }
}

/// With owners and permissions.
fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_restored_from_an_older_backup_is_a_gap_that_says_so() {
    let pair = Pair::new(&options(), &options()).await;
    pair.tracked.sql("INSERT INTO t VALUES (1)").await;
    pair.store(&[]).await;
    let backup = Snapshot::of(&pair.destination);
    pair.tracked.sql("INSERT INTO t VALUES (2)").await;
    pair.store(&[]).await;
    backup.restore(&pair.destination);
    pair.tracked.sql("INSERT INTO t VALUES (3)").await;
    for _ in 0..2 {
        let refused = pair.worker(&["run"]).run_to_end().await.assert_code(3);
        assert!(refused.stderr.contains("restored from a backup"), "{refused}");
    }
    pair.store(&["--on-gap", "continue"]).await;
    assert_eq!(pair.keys().await, ["1", "3"]);
    let gaps = pair.gaps().await;
    assert!(gaps.len() == 1 && gaps[0].to > gaps[0].from, "{gaps:?}");
}

/// What the slot was not acknowledged for it still has: the worker was killed between storing and acknowledging.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_restored_destination_lacks_is_replayed_where_the_slot_still_has_it() {
    let pair = Pair::new(&options(), &options()).await;
    pair.tracked.sql("INSERT INTO t VALUES (1)").await;
    pair.store(&[]).await;
    let backup = Snapshot::of(&pair.destination);
    pair.tracked.sql("INSERT INTO t VALUES (2)").await;
    // What it stores first may be a position alone.
    eventually(STORED_WITHIN, "the second change to be stored", async || {
        let worker = pair.worker(&["run"]).env("BEMI_FAILPOINT", "before-acknowledge:1");
        worker.spawn().wait(STORED_WITHIN).await;
        (pair.keys().await == ["1", "2"]).then_some(())
    })
    .await;
    backup.restore(&pair.destination);
    assert_eq!(pair.keys().await, ["1"]);
    pair.tracked.sql("INSERT INTO t VALUES (3)").await;
    pair.store(&[]).await;
    assert_eq!(pair.keys().await, ["1", "2", "3"]);
    assert_eq!(pair.gaps().await, []);
}

/// As docs/operating.md says: a copy of the slot, made before the backup, has everything that a destination
/// restored from it lacks.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_the_slot_that_is_older_than_the_backup_brings_everything_back() {
    let pair = Pair::new(&options(), &options()).await;
    let slot = pair.tracked.database.slot_name();
    pair.tracked.sql("INSERT INTO t VALUES (1)").await;
    pair.store(&[]).await;
    pair.tracked
        .sql(&format!("SELECT pg_copy_logical_replication_slot('{slot}', '{slot}_backup')"))
        .await;
    let backup = Snapshot::of(&pair.destination);
    pair.tracked.sql("INSERT INTO t VALUES (2)").await;
    pair.store(&[]).await;
    backup.restore(&pair.destination);
    pair.tracked.sql("INSERT INTO t VALUES (3)").await;
    pair.tracked
        .sql(&format!(
            "SELECT pg_drop_replication_slot('{slot}'); \
             SELECT pg_copy_logical_replication_slot('{slot}_backup', '{slot}')"
        ))
        .await;
    pair.store(&[]).await;
    assert_eq!(pair.keys().await, ["1", "2", "3"]);
    assert_eq!(pair.gaps().await, []);
}

/// The same system identifier, the same timeline, and WAL that ends before what is stored: a worker that
/// started there would wait for WAL that is already another, and miss what is in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_restored_from_a_snapshot_is_a_gap_and_not_silence() {
    let mut pair = Pair::new(&options(), &options()).await;
    pair.tracked.sql("INSERT INTO t VALUES (1)").await;
    pair.store(&[]).await;
    let snapshot = Snapshot::of(&pair.source);
    pair.tracked.client = pair.tracked.database.connect().await.unwrap();
    pair.write_much(10).await;
    pair.store(&[]).await;
    let stored = pair.counts().await;
    snapshot.restore(&pair.source);
    pair.tracked.client = pair.tracked.database.connect().await.unwrap();
    pair.tracked.sql("INSERT INTO t VALUES (2)").await;

    let refused = pair.worker(&["run"]).run_to_end().await.assert_code(3);
    assert!(refused.stderr.contains("restored from a snapshot"), "{refused}");
    let doctor = pair.worker(&["doctor"]).run_to_end().await.assert_code(3);
    assert!(doctor.stdout.contains("restored from a snapshot"), "{doctor}");
    pair.store(&["--on-gap", "continue"]).await;
    pair.tracked.sql("INSERT INTO t VALUES (3)").await;
    pair.store(&[]).await;
    assert_eq!(pair.counts().await, (stored.0 + 1, stored.1 + 1));
    let client = pair.changes.connect().await.unwrap();
    let keys = "SELECT FROM changes WHERE primary_key = '3'";
    assert_eq!(client.query(keys, &[]).await.unwrap().len(), 1);
    let gaps = pair.gaps().await;
    assert!(gaps.len() == 1 && gaps[0].to > gaps[0].from, "{gaps:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_another_cluster_is_a_gap() {
    let pair = Pair::new(&options(), &options()).await;
    pair.tracked.sql("INSERT INTO t VALUES (1)").await;
    pair.store(&[]).await;
    // Restored there as pg_dump does it: the same name, another system identifier, and no slot.
    let other = Cluster::start(&options()).unwrap();
    let server = other.connect("postgres").await.unwrap();
    let name = pair.tracked.database.name();
    server.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
    let client = other.connect(name).await.unwrap();
    client.batch_execute("CREATE TABLE t (id bigint PRIMARY KEY, a text)").await.unwrap();
    let url = other.url(name);
    let at = |arguments: &[&str]| pair.worker(arguments).env("DATABASE_URL", &url).run_to_end();
    let refused = at(&["setup", "--all-tables"]).await.assert_code(3);
    assert!(refused.stderr.contains("--recreate-slot"), "{refused}");
    at(&["setup", "--all-tables", "--recreate-slot"]).await.assert_code(0);
    client.batch_execute("INSERT INTO t VALUES (2)").await.unwrap();
    at(&["run", "--once"]).await.assert_code(0);
    assert_eq!(pair.counts().await, (2, 2));
    let gaps = pair.gaps().await;
    assert!(gaps.len() == 1 && gaps[0].to > gaps[0].from, "{gaps:?}");
    drop(client);
    eventually(STORED_WITHIN, "the slot to be dropped", async || {
        let drop =
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE NOT active";
        server.query(drop, &[]).await.ok().map(|_| ())
    })
    .await;
}
