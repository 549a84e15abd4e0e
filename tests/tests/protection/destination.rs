//! Destinations that do not take what they are given: full, locked, read-only, out of connections.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bemi_tests::{STORED_WITHIN, StopMode, Tracked, eventually};
use tokio_postgres::Client;

use super::failover::Address;
use super::pair::{Pair, SCHEMA, gaps, keys, options};

/// The log has one line a minute on what goes wrong: another cause comes with the next.
const SAID_WITHIN: Duration = Duration::from_secs(180);

/// A small file system of its own, where this machine lets us make one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// One of 24 MB for whoever owns `like`.
    fn mount(place: &Path, like: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;

        std::fs::create_dir(place).unwrap();
        let owner = std::fs::metadata(like).unwrap();
        let options = format!("size=24m,mode=0700,uid={},gid={}", owner.uid(), owner.gid());
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "bemi"]).arg(place).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(place.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_waited_for_and_nothing_is_lost_or_twice() {
    let pair = Pair::new(&options(), &options()).await;
    // Beside the data: the server's account gets there.
    let place = pair.destination.socket_dir().join("small");
    let Some(disk) = SmallDisk::mount(&place, &pair.destination.data_dir()) else {
        eprintln!("skipped: this account may not mount a small file system");
        return;
    };
    let filler = disk.0.join("filler");
    std::fs::write(&filler, vec![0; 18 << 20]).unwrap();
    let client = pair.changes.connect().await.unwrap();
    client
        .batch_execute(&format!("CREATE TABLESPACE small LOCATION '{}'", place.display()))
        .await
        .unwrap();
    client.batch_execute("ALTER TABLE changes SET TABLESPACE small").await.unwrap();
    // Of another shape for each row: what repeats is compressed.
    let worker = pair.run(&[]).await;
    for from in [1, 5_001, 10_001] {
        let sql = format!(
            "INSERT INTO t SELECT g, (SELECT string_agg(md5((g * 31 + n)::text), '') \
             FROM generate_series(1, 12) n) FROM generate_series({from}, {from} + 4999) g"
        );
        pair.tracked.sql(&sql).await;
    }
    eventually(SAID_WITHIN, "the disk to be full", async || {
        worker.stderr().contains("53100").then_some(())
    })
    .await;
    std::fs::remove_file(&filler).unwrap();
    pair.wait_for_key("15000").await;
    assert_eq!(pair.counts().await, (15_000, 15_000));
    let quarantined = "SELECT count(*) FROM bemi.quarantine";
    let quarantined: i64 = client.query_one(quarantined, &[]).await.unwrap().get(0);
    assert_eq!(quarantined, 0, "a full disk is no fault of a row");
    assert_eq!(pair.gaps().await, []);
    worker.stop().await;
    client.batch_execute("ALTER TABLE changes SET TABLESPACE pg_default").await.unwrap();
    client.batch_execute("DROP TABLESPACE small").await.unwrap();
}

async fn wait_for_lock_wait(client: &Client) {
    let sql = "SELECT FROM pg_stat_activity WHERE application_name = 'bemi-worker' \
               AND datname = current_database() AND wait_event_type = 'Lock'";
    eventually(STORED_WITHIN, "the worker to wait for a lock", async || {
        (!client.query(sql, &[]).await.unwrap().is_empty()).then_some(())
    })
    .await;
}

/// For longer than the worker waits for a lock: it lets go of the source meanwhile, and comes back.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_held_for_long_is_waited_for() {
    let pair = Pair::new(&options(), &options()).await;
    let worker = pair.run(&[]).await;
    let locker = pair.changes.connect().await.unwrap();
    locker.batch_execute("BEGIN; LOCK TABLE changes").await.unwrap();
    pair.tracked.sql("INSERT INTO t VALUES (1)").await;
    eventually(STORED_WITHIN * 2, "the worker to give the lock up for now", async || {
        worker.stderr().contains("55P03").then_some(())
    })
    .await;
    pair.tracked.sql("INSERT INTO t VALUES (2)").await;
    locker.batch_execute("COMMIT").await.unwrap();
    pair.wait_for_key("2").await;
    assert_eq!(pair.keys().await, ["1", "2"]);
    worker.stop().await;
}

/// An index is made, and the table is written anew, again and again while changes come.
#[tokio::test(flavor = "multi_thread")]
async fn maintenance_of_changes_loses_nothing() {
    let pair = Pair::new(&options(), &options()).await;
    let worker = pair.run(&[]).await;
    let maintenance = pair.changes.connect().await.unwrap();
    // Held open for a while: an index that takes long.
    maintenance.batch_execute("BEGIN; CREATE INDEX mine ON changes (operation)").await.unwrap();
    pair.tracked.sql("INSERT INTO t VALUES (0)").await;
    wait_for_lock_wait(&maintenance).await;
    maintenance.batch_execute("COMMIT").await.unwrap();
    for round in 0..8 {
        let from = round * 250 + 1;
        pair.tracked
            .sql(&format!("INSERT INTO t SELECT g FROM generate_series({from}, {from} + 249) g"))
            .await;
        maintenance.batch_execute("VACUUM FULL changes").await.unwrap();
        maintenance.batch_execute("REINDEX TABLE changes").await.unwrap();
    }
    pair.wait_for_key("2000").await;
    assert_eq!(pair.counts().await, (2001, 2001));
    assert!(!worker.stderr().contains("interrupted"), "{}", worker.stderr());
    worker.stop().await;
}

/// Somebody locks the checkpoint, then `changes`; the worker takes them the other way round. It gives way, by the
/// server's check for deadlocks or by its own limit for locks.
#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_gives_way_in_a_deadlock_stores_all_the_same() {
    let pair = Pair::new(&options(), &options()).await;
    let other = pair.changes.connect().await.unwrap();
    let worker = pair.run(&[]).await;
    other
        .batch_execute(
            "SET deadlock_timeout = '10min'; BEGIN; SELECT FROM bemi.checkpoint FOR UPDATE",
        )
        .await
        .unwrap();
    pair.tracked.sql("INSERT INTO t VALUES (1)").await;
    wait_for_lock_wait(&pair.changes.connect().await.unwrap()).await;
    // Given once the worker is rolled back.
    other.batch_execute("LOCK TABLE changes").await.unwrap();
    eventually(SAID_WITHIN, "the worker to tell of it", async || {
        let told = worker.stderr();
        (told.contains("40P01") || told.contains("55P03")).then_some(())
    })
    .await;
    other.batch_execute("COMMIT").await.unwrap();
    pair.wait_for_key("1").await;
    assert_eq!(pair.keys().await, ["1"]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_is_read_only_for_a_while_is_waited_for() {
    let pair = Pair::new(&options(), &options()).await;
    let worker = pair.run(&[]).await;
    let name = pair.changes.name();
    let client = pair.changes.connect().await.unwrap();
    client
        .batch_execute(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on"))
        .await
        .unwrap();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE application_name = 'bemi-worker' AND datname = current_database()";
    client.batch_execute(end).await.unwrap();
    pair.tracked.sql("INSERT INTO t VALUES (1)").await;
    eventually(SAID_WITHIN, "the worker to be refused", async || {
        worker.stderr().contains("25006").then_some(())
    })
    .await;
    client.batch_execute("SET default_transaction_read_only = off").await.unwrap();
    client
        .batch_execute(&format!("ALTER DATABASE {name} RESET default_transaction_read_only"))
        .await
        .unwrap();
    pair.wait_for_key("1").await;
    assert_eq!(pair.keys().await, ["1"]);
    worker.stop().await;
}

/// The destination's primary crashes, and its address leads to a standby, which refuses writes until it is promoted.
#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_fails_over_is_gone_on_with() {
    let pair = Pair::new(&options(), &options()).await;
    let standby = pair.destination.standby().await.unwrap();
    let name = pair.changes.name();
    let address = Address::of(&pair.destination).await;
    let url = address.url(&pair.destination, name);
    let mut worker = pair.worker(&["run"]).env("DESTINATION_DATABASE_URL", &url).spawn();
    worker.wait_for_log("streaming").await;
    pair.tracked.sql("INSERT INTO t VALUES (1)").await;
    let replica = standby.connect(name).await.unwrap();
    eventually(STORED_WITHIN, "the standby to have it", async || {
        (keys(&replica).await == ["1"]).then_some(())
    })
    .await;
    address.move_to(&standby);
    pair.destination.stop(StopMode::Immediate).unwrap();
    pair.tracked.sql("INSERT INTO t VALUES (2)").await;
    eventually(SAID_WITHIN, "the standby to refuse", async || {
        worker.stderr().contains("25006").then_some(())
    })
    .await;
    replica.batch_execute("SELECT pg_promote(true, 120)").await.unwrap();
    eventually(STORED_WITHIN * 2, "the second change", async || {
        (keys(&replica).await == ["1", "2"]).then_some(())
    })
    .await;
    assert_eq!(gaps(&replica).await, []);
    worker.stop().await;
}

/// It notices when it has something to store.
#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_is_out_of_connections_is_waited_for() {
    let few = options().set("max_connections", "8").set("superuser_reserved_connections", "1");
    let pair = Pair::new(&options(), &few).await;
    let worker = pair.run(&[]).await;
    let client = pair.changes.connect().await.unwrap();
    let mut crowd = Vec::new();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE application_name = 'bemi-worker' AND datname = current_database()";
    let mut ids: Vec<String> = Vec::new();
    eventually(SAID_WITHIN, "the worker to be locked out", async || {
        client.batch_execute(end).await.unwrap();
        while let Ok(client) = pair.changes.connect().await {
            crowd.push(client);
        }
        let id = ids.len().to_string();
        pair.tracked.sql(&format!("INSERT INTO t VALUES ({id})")).await;
        ids.push(id);
        worker.stderr().contains("takes no connections now").then_some(())
    })
    .await;
    drop(crowd);
    eventually(STORED_WITHIN, "all changes", async || (keys(&client).await == ids).then_some(()))
        .await;
    worker.stop().await;
}

/// A worker that has not stored for long, and then has nothing to lose: `changes` is where the application is.
#[tokio::test]
async fn a_read_only_source_that_is_its_own_destination_is_waited_for() {
    let tracked = Tracked::new(SCHEMA).await;
    let worker = tracked.run().await;
    let name = tracked.database.name().to_owned();
    tracked.sql("INSERT INTO t VALUES (1)").await;
    tracked.wait_for_count(1).await;
    tracked.sql(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    tracked
        .sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE application_name = 'bemi-worker' AND datname = current_database()",
        )
        .await;
    tracked.sql("INSERT INTO t VALUES (2)").await;
    eventually(SAID_WITHIN, "the worker to be refused", async || {
        worker.stderr().contains("25006").then_some(())
    })
    .await;
    tracked.sql(&format!("ALTER DATABASE {name} RESET default_transaction_read_only")).await;
    tracked.wait_for_count(2).await;
    assert_eq!(tracked.count().await, 2);
    worker.stop().await;
}
