//! pgbench's own tables and workload, one of the tables without a primary key, while the worker
//! runs, is killed, and runs again.

use std::process::Stdio;

use bemi_tests::{Cluster, RunningWorker, eventually, shared_cluster};
use tokio::process::Command;

use super::tracked::{STORED_WITHIN, Tracked, stop};
use super::truth;

const TABLES: [&str; 4] =
    ["pgbench_accounts", "pgbench_branches", "pgbench_history", "pgbench_tellers"];

/// How often the worker is killed.
const KILLS: usize = 5;

async fn pgbench(cluster: &Cluster, tracked: &Tracked, arguments: &[&str]) -> String {
    let program =
        cluster.pg_tool("pgbench").expect("pgbench comes with PostgreSQL's server package");
    let output = Command::new(program)
        .args(["-h", "127.0.0.1", "-p", &cluster.port().to_string(), "-U", "postgres"])
        .args(arguments)
        .arg(tracked.database.name())
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{text}");
    text
}

async fn prepared() -> Tracked {
    let tracked = Tracked::untracked(shared_cluster(), "").await;
    pgbench(shared_cluster(), &tracked, &["-i", "-q", "-s", "5"]).await;
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
    pgbench(shared_cluster(), &tracked, &["-c", "4", "-T", "20"]).await;
    stored_all(&tracked).await;
    stop(worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_stored_twice_by_a_worker_that_is_killed() {
    let tracked = prepared().await;
    let load = pgbench(shared_cluster(), &tracked, &["-c", "4", "-T", "20"]);
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
    let (_, worker) = tokio::join!(load, killing);
    stored_all(&tracked).await;
    stop(worker).await;
}

async fn wait_for_more(tracked: &Tracked, than: i64, worker: &RunningWorker) {
    let what = format!("more than {than} changes; the worker says:\n{}", worker.stderr());
    eventually(STORED_WITHIN, &what, async || (tracked.count().await > than + 200).then_some(()))
        .await;
}
