//! One round: the two floors and ours, over the same backlog.

use std::time::{Instant, SystemTime};

use bemi_core::changes_table;
use bemi_tests::{Cluster, WorkerCommand};

use crate::Result;
use crate::backlog::Backlog;
use crate::options::Options;
use crate::proc;
use crate::run::{self, Run};

/// What each of them took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    pub(crate) read_floor: Run,
    pub(crate) store_floor: Run,
    pub(crate) ours: Run,
    /// The size of a stored row, as COPY has it in binary.
    pub(crate) row_bytes: f64,
}

impl Round {
    /// How long the slower of the floors took, as a share of ours: 1 where nothing could be faster.
    pub(crate) fn ratio(&self) -> f64 {
        let floor = self.read_floor.time.max(self.store_floor.time);
        floor.as_secs_f64() / self.ours.time.as_secs_f64()
    }
}

/// Makes a database with a backlog, measures, verifies, and removes it.
pub(crate) async fn run(cluster: &Cluster, options: &Options) -> Result<Round> {
    let backlog = Backlog::make(cluster, options).await?;
    // Ours reads up to the end of the WAL at its start. Of the floors the first leaves nothing there, and the second comes after.
    let read_floor = read_floor(&backlog).await?;
    tell("read floor", options, &read_floor);
    let ours = ours(&backlog).await?;
    tell("ours", options, &ours);
    backlog.verify().await?;
    let (store_floor, bytes) = store_floor(&backlog, options).await?;
    tell("store floor", options, &store_floor);

    drop(backlog.tracked.client);
    backlog.tracked.database.close().await?;
    let row_bytes = bytes as f64 / f64::from(options.changes);
    Ok(Round { read_floor, store_floor, ours, row_bytes })
}

/// PostgreSQL's own client reads a copy of the slot, the way the worker asks for it, and throws all away.
async fn read_floor(backlog: &Backlog<'_>) -> Result<Run> {
    let tracked = &backlog.tracked;
    let program = tracked.cluster.pg_tool("pg_recvlogical").ok_or(
        "pg_recvlogical, which is the read floor, was not found; it comes with the clients of PostgreSQL: \
         install Debian's postgresql-client, or another package of them",
    )?;
    let slot = tracked.database.unique_name("read_floor");
    let row = tracked
        .client
        .query_one(
            "SELECT (pg_copy_logical_replication_slot($1, $2)).slot_name::text, \
                 (SELECT string_agg(quote_ident(pubname), ',') FROM pg_publication)",
            &[&tracked.database.slot_name(), &slot],
        )
        .await?;
    let publications: String = row.get(1);
    let arguments = [
        "--host=127.0.0.1".to_owned(),
        format!("--port={}", tracked.cluster.port()),
        "--username=postgres".to_owned(),
        format!("--dbname={}", tracked.database.name()),
        "--start".to_owned(),
        "--no-loop".to_owned(),
        format!("--slot={slot}"),
        format!("--endpos={}", backlog.end()),
        "--file=/dev/null".to_owned(),
        "--option=proto_version=1".to_owned(),
        format!("--option=publication_names={publications}"),
        "--option=messages=true".to_owned(),
    ];
    tracked.settle().await?;
    // Started and timed as the worker is.
    let command = WorkerCommand::new(program, arguments);
    Ok(run::to_end(tracked.cluster, tracked.database.name(), command).await)
}

/// The worker stores the backlog into `changes` in the same database. The time is that until the last change is committed:
/// the worker says goodbye to the server after that, which has nothing to do with how much it stored.
async fn ours(backlog: &Backlog<'_>) -> Result<Run> {
    let tracked = &backlog.tracked;
    tracked.settle().await?;
    let command = tracked.worker(&["run", "--once"]);
    let started = SystemTime::now();
    let run = run::to_end(tracked.cluster, tracked.database.name(), command).await;
    let row = tracked
        .client
        .query_one("SELECT max(pg_xact_commit_timestamp(xmin)) FROM changes", &[])
        .await?;
    let stored: Option<SystemTime> = row.get(0);
    let time = stored.ok_or("the worker stored nothing")?.duration_since(started)?;
    Ok(Run { time, ..run })
}

/// The server reads the finished rows from a file of its own and stores them in another table like `changes`, with the same
/// indexes, in one transaction. Also returns the size of the file.
async fn store_floor(backlog: &Backlog<'_>, options: &Options) -> Result<(Run, u64)> {
    const SCHEMA: &str = "floor";
    let tracked = &backlog.tracked;
    let client = &tracked.client;
    // That one the server fills in, for the worker too.
    let columns: Vec<_> = changes_table::COLUMNS
        .iter()
        .filter(|column| column.name != "created_at")
        .map(|column| format!("\"{}\"", column.name))
        .collect();
    let columns = columns.join(", ");
    let file = tracked.cluster.socket_dir().join("rows");
    let path = file.display();

    client.batch_execute(&format!("CREATE SCHEMA {SCHEMA}")).await?;
    client.batch_execute(&changes_table::create_statements(SCHEMA).join(";")).await?;
    client
        .batch_execute(&format!(
            "COPY (SELECT {columns} FROM changes ORDER BY commit_position, sequence) TO '{path}' (FORMAT binary)"
        ))
        .await?;
    let backend: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await?.get(0);
    let backend = u32::try_from(backend)?;
    tracked.settle().await?;

    let cpu_before = proc::cpu_time(backend);
    let started = Instant::now();
    client
        .batch_execute(&format!("COPY {SCHEMA}.changes ({columns}) FROM '{path}' (FORMAT binary)"))
        .await?;
    let time = started.elapsed();
    let cpu = proc::cpu_time(backend).zip(cpu_before).map(|(after, before)| after - before);

    let table = format!("SELECT count(*) FROM {SCHEMA}.changes");
    let copied: i64 = client.query_one(&table, &[]).await?.get(0);
    if copied != i64::from(options.changes) {
        return Err(format!("the store floor stored {copied} rows").into());
    }
    let bytes = std::fs::metadata(&file)?.len();
    let run =
        Run { time, program: None, walsender: None, sessions: cpu, peak_resident_bytes: None };
    Ok((run, bytes))
}

fn tell(what: &str, options: &Options, run: &Run) {
    let rate = f64::from(options.changes) / run.time.as_secs_f64();
    eprintln!("  {what}: {:.2} s, {rate:.0} changes/s", run.time.as_secs_f64());
}
