//! How long a change takes from its commit until another session sees it in `changes`.
//!
//! One session writes transactions of one row, begun at a steady rate. Another asks `changes`, again and again, for the newest
//! commit in it. A change's latency is from the moment when its writer was told that it is committed, to the moment when the
//! other session was first answered with its commit time or a later one. One clock measures both, that of this process, and
//! the time of asking is included: so the figures are somewhat too high, never too low.

use std::time::{Duration, Instant};

use bemi_tests::Cluster;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_postgres::Client;

use crate::Result;
use crate::options::Options;
use crate::tracked::Tracked;

const SCHEMA: &str = "CREATE TABLE todo (id bigint PRIMARY KEY, task text)";

/// Between an answer and the next question. Shorter takes from the worker what it measures.
const PAUSE: Duration = Duration::from_millis(1);

/// How long nothing new may be seen.
const DEADLINE: Duration = Duration::from_secs(60);

/// The newest commit time, and whether the last change is there. Indexes of `changes` answer both.
const LOOK: &str = "SELECT (extract(epoch FROM max(committed_at)) * 1000000)::bigint, \
    EXISTS (SELECT FROM changes WHERE \"table\" = 'todo' AND primary_key = $1) FROM changes";

/// That somebody saw changes up to a commit time, in microseconds.
struct Sight {
    at: Instant,
    newest: i64,
}

/// The latencies of all transactions, in ascending order.
pub(crate) async fn measure(cluster: &Cluster, options: &Options) -> Result<Vec<Duration>> {
    let tracked = Tracked::create(cluster, SCHEMA).await?;
    let reader = tracked.database.connect().await?;
    let mut worker = tracked.worker(&["run"]).spawn();
    worker.wait_for_log("streaming").await;

    let (acknowledged, sights) =
        tokio::try_join!(write(&tracked.client, options), watch(&reader, options))?;
    let committed: Vec<i64> = reader
        .query(
            "SELECT (extract(epoch FROM committed_at) * 1000000)::bigint FROM changes \
             WHERE operation = 'CREATE' ORDER BY primary_key::bigint",
            &[],
        )
        .await?
        .iter()
        .map(|row| row.get(0))
        .collect();
    if committed.len() != acknowledged.len() {
        let (made, stored) = (acknowledged.len(), committed.len());
        return Err(format!("{made} changes were made, and {stored} are stored").into());
    }
    let mut latencies = Vec::with_capacity(committed.len());
    for (acknowledged, committed) in acknowledged.iter().zip(committed) {
        let seen = sights.get(sights.partition_point(|sight| sight.newest < committed));
        let seen = seen.ok_or("a change was stored that nobody saw")?;
        latencies.push(seen.at.saturating_duration_since(*acknowledged));
    }
    latencies.sort_unstable();

    worker.terminate();
    worker.wait(DEADLINE).await.assert_code(0);
    drop((reader, tracked.client));
    tracked.database.close().await?;
    Ok(latencies)
}

/// Returns when each transaction was told to be committed.
async fn write(client: &Client, options: &Options) -> Result<Vec<Instant>> {
    let insert = client.prepare("INSERT INTO todo VALUES ($1, 'task')").await?;
    let mut begin = interval(Duration::from_secs(1) / options.latency_rate);
    begin.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut acknowledged = Vec::new();
    for id in 1..=i64::from(options.latency_changes) {
        begin.tick().await;
        client.execute(&insert, &[&id]).await?;
        acknowledged.push(Instant::now());
    }
    Ok(acknowledged)
}

/// Looks at `changes` until the last one is there, and returns when something new was seen.
async fn watch(client: &Client, options: &Options) -> Result<Vec<Sight>> {
    // The question is planned while the table is small, and asked when it is not.
    client.batch_execute("SET enable_seqscan = off").await?;
    let look = client.prepare(LOOK).await?;
    let last_key = options.latency_changes.to_string();
    let mut sights: Vec<Sight> = Vec::new();
    loop {
        let row = client.query_one(&look, &[&last_key]).await?;
        let at = Instant::now();
        let newest: Option<i64> = row.get(0);
        if let Some(newest) = newest
            && sights.last().is_none_or(|last| last.newest < newest)
        {
            sights.push(Sight { at, newest });
        }
        if row.get(1) {
            return Ok(sights);
        }
        if sights.last().is_some_and(|last| last.at.elapsed() > DEADLINE) {
            return Err("the worker stores no more, and the last change is not there".into());
        }
        sleep(PAUSE).await;
    }
}
