//! A standby is promoted, and the worker goes on against it: from PostgreSQL 17 on with nothing lost and nothing
//! twice, by a slot that the standby keeps a copy of; before that with a gap that is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use bemi_tests::{Cluster, STORED_WITHIN, StopMode, Tracked, WorkerCommand, eventually};
use tokio::net::{TcpListener, TcpStream};
use tokio_postgres::Client;

use super::pair::{Pair, SCHEMA, gaps, options};

/// An address that leads to whichever server is the primary, as a name in the DNS does, or a virtual IP address.
pub(crate) struct Address {
    port: u16,
    server: Arc<AtomicU16>,
}

impl Address {
    pub(crate) async fn of(cluster: &Cluster) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Arc::new(AtomicU16::new(cluster.port()));
        let leads_to = Arc::clone(&server);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let port = leads_to.load(Ordering::Relaxed);
                tokio::spawn(async move {
                    if let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await {
                        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                    }
                });
            }
        });
        Self { port, server }
    }

    pub(crate) fn move_to(&self, cluster: &Cluster) {
        self.server.store(cluster.port(), Ordering::Relaxed);
    }

    /// The same database by this address.
    pub(crate) fn url(&self, cluster: &Cluster, database: &str) -> String {
        cluster.url(database).replace(&format!(":{}/", cluster.port()), &format!(":{}/", self.port))
    }
}

async fn version(client: &Client) -> i32 {
    let sql = "SELECT current_setting('server_version_num')::int4";
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// A source of 17 or newer with a standby that keeps a copy of the slot, set up as docs/guide/failover.md says.
async fn with_synchronized_standby(tracked: &Tracked, source: &Cluster) -> Cluster {
    tracked.sql("SELECT pg_create_physical_replication_slot('standby', true)").await;
    let standby = source.standby().await.unwrap();
    let settings = standby.connect("postgres").await.unwrap();
    let primary = format!("host=127.0.0.1 port={} user=postgres dbname=postgres", source.port());
    for setting in [
        format!("primary_conninfo = '{primary}'"),
        "primary_slot_name = 'standby'".to_owned(),
        "hot_standby_feedback = on".to_owned(),
        "sync_replication_slots = on".to_owned(),
    ] {
        settings.batch_execute(&format!("ALTER SYSTEM SET {setting}")).await.unwrap();
    }
    settings.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    tracked.sql("ALTER SYSTEM SET synchronized_standby_slots = 'standby'").await;
    tracked.sql("SELECT pg_reload_conf()").await;
    standby
}

async fn wait_until_synchronized(tracked: &Tracked, standby: &Cluster) {
    let client = standby.connect("postgres").await.unwrap();
    let slot = tracked.database.slot_name();
    let synced =
        "SELECT FROM pg_replication_slots WHERE slot_name = $1 AND synced AND NOT temporary";
    eventually(STORED_WITHIN * 2, "the standby to have a copy of the slot", async || {
        // Without anything new the primary does not say what the copy waits for.
        tracked.sql("SELECT pg_log_standby_snapshot()").await;
        (!client.query(synced, &[&slot]).await.unwrap().is_empty()).then_some(())
    })
    .await;
}

/// Ends the primary as a crash does, and makes the standby the next one.
async fn fail_over(source: &Cluster, standby: &Cluster) {
    source.stop(StopMode::Immediate).unwrap();
    let client = standby.connect("postgres").await.unwrap();
    client.batch_execute("SELECT pg_promote(true, 120)").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn from_17_on_a_worker_goes_on_against_a_promoted_standby_with_nothing_lost_or_twice() {
    let source = Cluster::start(&options()).unwrap();
    let destination = Cluster::start(&options()).unwrap();
    let changes = bemi_tests::TestDatabase::create(&destination).await.unwrap();
    let tracked = Tracked::untracked(&source, SCHEMA).await;
    if version(&tracked.client).await < 170_000 {
        eprintln!("skipped: slots that survive a failover came with PostgreSQL 17");
        return;
    }
    let name = tracked.database.name().to_owned();
    let address = Address::of(&source).await;
    let url = address.url(&source, &name);
    let worker = |arguments: &[&str]| -> WorkerCommand {
        tracked
            .worker(arguments)
            .env("DATABASE_URL", &url)
            .env("DESTINATION_DATABASE_URL", changes.url())
    };
    worker(&["setup", "--all-tables", "--failover"]).run_to_end().await.assert_code(0);
    let failover: bool = tracked.value("SELECT bool_and(failover) FROM pg_replication_slots").await;
    assert!(failover);
    let standby = with_synchronized_standby(&tracked, &source).await;
    let mut running = worker(&["run"]).spawn();
    running.wait_for_log("streaming").await;
    tracked.sql("INSERT INTO t VALUES (1)").await;
    let stored = changes.connect().await.unwrap();
    let count = async || -> i64 {
        stored.query_one("SELECT count(*) FROM changes", &[]).await.unwrap().get(0)
    };
    eventually(STORED_WITHIN, "the first change", async || (count().await == 1).then_some(()))
        .await;
    wait_until_synchronized(&tracked, &standby).await;

    // It is written while the primary crashes: what the standby has is what counts, and nothing else is stored.
    let writer = tracked.database.connect().await.unwrap();
    let writing = tokio::spawn(async move {
        for id in 2..1_000_000 {
            if writer.execute("INSERT INTO t VALUES ($1)", &[&i64::from(id)]).await.is_err() {
                return;
            }
        }
    });
    eventually(STORED_WITHIN, "some changes", async || (count().await >= 300).then_some(())).await;
    // For a moment the address leads to a standby that is not promoted yet.
    address.move_to(&standby);
    fail_over(&source, &standby).await;
    writing.await.unwrap();

    let promoted = standby.connect(&name).await.unwrap();
    promoted.batch_execute("INSERT INTO t VALUES (-1)").await.unwrap();
    eventually(STORED_WITHIN * 2, "what the promoted server has to be stored", async || {
        let last = "SELECT FROM changes WHERE primary_key = '-1'";
        (!stored.query(last, &[]).await.unwrap().is_empty()).then_some(())
    })
    .await;
    let rows = |rows: Vec<tokio_postgres::Row>| -> Vec<String> {
        rows.iter().map(|row| row.get(0)).collect()
    };
    let there = rows(promoted.query("SELECT t.id::text FROM t ORDER BY t.id", &[]).await.unwrap());
    let in_changes = "SELECT primary_key FROM changes ORDER BY primary_key::int8";
    assert_eq!(rows(stored.query(in_changes, &[]).await.unwrap()), there);
    assert_eq!(gaps(&stored).await, []);
    assert!(running.is_running());
    running.stop().await;
    // What is left to be done there: nothing.
    let doctor = worker(&["setup", "--dry-run"]).run_to_end().await.assert_code(0);
    assert!(doctor.stdout.contains("nothing to do"), "{doctor}");
}

/// The slot is not on the standby, and what was stored may be more than that has.
#[tokio::test(flavor = "multi_thread")]
async fn without_such_a_slot_a_failover_is_a_gap_that_is_told() {
    let pair = Pair::new(&options(), &options()).await;
    let standby = pair.source.standby().await.unwrap();
    pair.tracked.sql("INSERT INTO t VALUES (1)").await;
    pair.store(&[]).await;
    let replica = standby.connect(pair.tracked.database.name()).await.unwrap();
    eventually(STORED_WITHIN, "the standby to have it", async || {
        (!replica.query("SELECT FROM t WHERE id = 1", &[]).await.unwrap().is_empty()).then_some(())
    })
    .await;
    // The standby is cut off, and the worker stores what it will never have.
    standby.stop(StopMode::Fast).unwrap();
    pair.tracked.sql("INSERT INTO t VALUES (2)").await;
    pair.store(&[]).await;
    pair.source.stop(StopMode::Immediate).unwrap();
    standby.start_again().unwrap();
    let client = standby.connect(pair.tracked.database.name()).await.unwrap();
    client.batch_execute("SELECT pg_promote(true, 120)").await.unwrap();
    client.batch_execute("INSERT INTO t VALUES (3)").await.unwrap();

    let url = standby.url(pair.tracked.database.name());
    let at = |arguments: &[&str]| pair.worker(arguments).env("DATABASE_URL", &url).run_to_end();
    let refused = at(&["run", "--once"]).await.assert_code(3);
    assert!(refused.stderr.contains("timeline 2"), "{refused}");
    at(&["run", "--once", "--on-gap", "continue"]).await.assert_code(0);
    client.batch_execute("INSERT INTO t VALUES (4)").await.unwrap();
    at(&["run", "--once"]).await.assert_code(0);
    assert_eq!(pair.counts().await, (3, 3));
    let gaps = pair.gaps().await;
    assert!(
        gaps.iter().any(|gap| gap.to > gap.from && gap.reason.contains("timeline")),
        "{gaps:?}"
    );
}

#[tokio::test]
async fn before_17_setup_says_that_there_are_no_such_slots() {
    let tracked = Tracked::untracked(bemi_tests::shared_cluster(), SCHEMA).await;
    let setup = tracked.worker(&["setup", "--all-tables", "--failover"]).run_to_end().await;
    if version(&tracked.client).await >= 170_000 {
        setup.assert_code(0);
        return;
    }
    let refused = setup.assert_code(3);
    assert!(refused.stderr.contains("which came with 17"), "{refused}");
    let made: bool = tracked.value("SELECT to_regnamespace('bemi') IS NOT NULL").await;
    assert!(!made, "nothing was changed");
}

/// Asked for later, kept when the slot is made again, by the worker and by setup, and taken back.
#[tokio::test]
async fn from_17_on_a_slot_survives_a_failover_until_that_is_taken_back() {
    let tracked = Tracked::new(SCHEMA).await;
    if version(&tracked.client).await < 170_000 {
        eprintln!("skipped: slots that survive a failover came with PostgreSQL 17");
        return;
    }
    let slot = tracked.database.slot_name();
    let sql = format!("SELECT failover FROM pg_replication_slots WHERE slot_name = '{slot}'");
    let survives = || tracked.value::<bool>(&sql);
    assert!(!survives().await);
    tracked.setup(&["--failover"]).await;
    assert!(survives().await);
    assert_eq!(tracked.setup(&[]).await.stdout.trim(), "nothing to do");

    let worker = tracked.run().await;
    let refused = tracked.worker(&["setup", "--failover=off"]).run_to_end().await.assert_code(3);
    assert!(refused.stderr.contains("stop the worker"), "{refused}");
    worker.stop().await;

    tracked.database.drop_slot(&slot).await;
    tracked.worker(&["run", "--once", "--on-gap", "continue"]).run_to_end().await.assert_code(0);
    assert!(survives().await, "the worker has made it as it was");
    tracked.database.drop_slot(&slot).await;
    tracked.setup(&["--recreate-slot"]).await;
    assert!(survives().await, "setup has made it as it was");
    tracked.setup(&["--failover=off"]).await;
    assert!(!survives().await);
}
