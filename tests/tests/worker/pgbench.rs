//! pgbench's own tables and workload, one of the tables without a primary key, while the worker
//! runs, is killed, and runs again.

use std::process::Stdio;
use std::time::{Duration, Instant};

use bemi_tests::{RunningWorker, STORED_WITHIN, Tracked, eventually, shared_cluster};
use tokio::process::Command;

use super::truth;

const TABLES: [&str; 4] =
    ["pgbench_accounts", "pgbench_branches", "pgbench_history", "pgbench_tellers"];

/// How often the worker is killed.
const KILLS: usize = 5;

/// How many accounts a branch has, as pgbench has it.
const ACCOUNTS_OF_BRANCH: u32 = 100_000;

const BRANCHES: u32 = 5;
const TELLERS_OF_BRANCH: u32 = 10;
const CLIENTS: u32 = 4;
const DURATION: Duration = Duration::from_secs(20);

/// Makes pgbench's tables: `pgbench -i -s 5`. PostgreSQL's packages outside of the distributions come without
/// pgbench: then the same tables are made here.
async fn initialize(tracked: &Tracked) {
    if run_pgbench(tracked, &["-i", "-q", "-s", &BRANCHES.to_string()]).await {
        return;
    }
    tracked
        .sql(&format!(
            "CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int, filler char(88)); \
             CREATE TABLE pgbench_tellers (tid int PRIMARY KEY, bid int, tbalance int, filler char(84)); \
             CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84)); \
             CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22)); \
             INSERT INTO pgbench_branches SELECT b, 0 FROM generate_series(1, {BRANCHES}) b; \
             INSERT INTO pgbench_tellers SELECT t, (t - 1) / {TELLERS_OF_BRANCH} + 1, 0 \
                 FROM generate_series(1, {BRANCHES} * {TELLERS_OF_BRANCH}) t; \
             INSERT INTO pgbench_accounts SELECT a, (a - 1) / {ACCOUNTS_OF_BRANCH} + 1, 0, '' \
                 FROM generate_series(1, {BRANCHES} * {ACCOUNTS_OF_BRANCH}) a"
        ))
        .await;
}

/// Runs pgbench's workload: `pgbench -c 4 -T 20`.
async fn load(tracked: &Tracked) {
    let seconds = DURATION.as_secs().to_string();
    if run_pgbench(tracked, &["-c", &CLIENTS.to_string(), "-T", &seconds]).await {
        return;
    }
    let clients = (0..CLIENTS).map(|client| transfer_for(tracked, client, DURATION));
    futures_util::future::join_all(clients).await;
}

/// The transactions of pgbench, "TPC-B (sort of)", from one client.
async fn transfer_for(tracked: &Tracked, client: u32, duration: Duration) {
    let connection = tracked.database.connect().await.unwrap();
    let end = Instant::now() + duration;
    // Any numbers that spread over the tables will do.
    let mut random = 2_654_435_761_u32.wrapping_mul(client + 1);
    while Instant::now() < end {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let account = (random >> 8) % (BRANCHES * ACCOUNTS_OF_BRANCH) + 1;
        let teller = (random >> 4) % (BRANCHES * TELLERS_OF_BRANCH) + 1;
        let branch = (random >> 12) % BRANCHES + 1;
        let delta = i64::from(random % 10_000) - 5_000;
        connection
            .batch_execute(&format!(
                "BEGIN; UPDATE pgbench_accounts SET abalance = abalance + {delta} WHERE aid = {account}; \
                 SELECT abalance FROM pgbench_accounts WHERE aid = {account}; \
                 UPDATE pgbench_tellers SET tbalance = tbalance + {delta} WHERE tid = {teller}; \
                 UPDATE pgbench_branches SET bbalance = bbalance + {delta} WHERE bid = {branch}; \
                 INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) \
                     VALUES ({teller}, {branch}, {account}, {delta}, CURRENT_TIMESTAMP); END"
            ))
            .await
            .unwrap();
    }
}

/// Runs pgbench, if there is one.
async fn run_pgbench(tracked: &Tracked, arguments: &[&str]) -> bool {
    let Some(program) = shared_cluster().pg_tool("pgbench") else { return false };
    let output = Command::new(program)
        .args(["-h", "127.0.0.1", "-p", &shared_cluster().port().to_string(), "-U", "postgres"])
        .args(arguments)
        .arg(tracked.database.name())
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    true
}

async fn prepared() -> Tracked {
    let tracked = Tracked::untracked(shared_cluster(), "").await;
    initialize(&tracked).await;
    truth::install(&tracked, &TABLES).await;
    tracked.setup(&["--tables", "pgbench_*", "--replica-identity", "full"]).await;
    tracked
}

async fn stored_all(tracked: &Tracked) {
    let count: i64 = tracked.value("SELECT count(*) FROM truth.log").await;
    assert!(count > 1000, "the workload is too small to prove anything: {count}");
    tracked.wait_for_count(count).await;
    assert_eq!(truth::require(tracked).await, count);
    truth::require_chained(tracked).await;
    truth::require_whole_transactions(tracked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_stored_once_with_the_right_before_and_after() {
    let tracked = prepared().await;
    let worker = tracked.run().await;
    load(&tracked).await;
    stored_all(&tracked).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_stored_twice_by_a_worker_that_is_killed() {
    let tracked = prepared().await;
    let load = load(&tracked);
    let killing = async {
        let mut worker = tracked.run().await;
        for kill in 1..=KILLS {
            // Right after it has stored something: it is in the middle of its work then.
            let stored = tracked.count().await;
            wait_for_more(&tracked, stored, &worker).await;
            worker.kill_9();
            assert!(!worker.stderr().contains("panicked"), "kill {kill}: {}", worker.stderr());
            worker = tracked.run().await;
        }
        worker
    };
    let ((), worker) = tokio::join!(load, killing);
    stored_all(&tracked).await;
    worker.stop().await;
}

async fn wait_for_more(tracked: &Tracked, than: i64, worker: &RunningWorker) {
    let what = format!("more than {than} changes; the worker says:\n{}", worker.stderr());
    eventually(STORED_WITHIN, &what, async || (tracked.count().await > than + 200).then_some(()))
        .await;
}
