//! Cases of much data in few tables.

use std::time::{Duration, Instant};

use bemi_tests::{Cluster, Resident};

use crate::Result;
use crate::options::{Options, Part};
use crate::tracked::Tracked;

/// How long a worker has nothing to do before what it keeps is looked at.
const REST: Duration = Duration::from_secs(5);

/// How long the destination stores nothing, in the case in which it is blocked.
const BLOCKED: Duration = Duration::from_secs(10);

/// One thing that there is much of.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// The largest row, old and new, as the stream has it.
    pub(crate) row_bytes: u64,
    /// Each a transaction of its own.
    statements: Vec<String>,
    changes: i64,
    is_blocked: bool,
}

/// What came out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) resident: Resident,
    pub(crate) time: Duration,
}

/// Those that are wanted.
pub(crate) fn all(options: &Options) -> Vec<Case> {
    let set = |row_kb: u32, is_blocked: bool| {
        let rows = (u64::from(options.set_mb) * 1000 / u64::from(row_kb)).max(1);
        let row_bytes = u64::from(row_kb) * 1000;
        let of = if is_blocked { ", stored late" } else { "" };
        Case {
            name: format!("{} MB in rows of {row_kb} kB{of}", options.set_mb),
            row_bytes,
            statements: vec![format!(
                "INSERT INTO t SELECT g, repeat('x', {row_bytes}) FROM generate_series(1, {rows}) g"
            )],
            changes: i64::try_from(rows).unwrap_or(i64::MAX),
            is_blocked,
        }
    };
    let value_bytes = u64::from(options.value_mb) * 1_000_000;
    let value = |name: &str, statements: &[&str], copies| Case {
        name: format!("a value of {} MB, {name}", options.value_mb),
        row_bytes: value_bytes * copies,
        statements: std::iter::once(format!(
            "INSERT INTO t VALUES (1, repeat('x', {value_bytes}))"
        ))
        .chain(statements.iter().map(|&statement| statement.to_owned()))
        .collect(),
        changes: i64::try_from(statements.len() + 1).unwrap_or(i64::MAX),
        is_blocked: false,
    };
    let update = "UPDATE t SET id = 2";
    let mut cases = Vec::new();
    if options.has(Part::Idle) {
        cases.push(Case {
            name: "nothing but one row".to_owned(),
            row_bytes: 0,
            statements: vec!["INSERT INTO t VALUES (1, 'x')".to_owned()],
            changes: 1,
            is_blocked: false,
        });
    }
    if options.has(Part::Rows) {
        cases.push(Case {
            name: format!("{} rows in one transaction", options.rows),
            row_bytes: 0,
            statements: vec![format!(
                "INSERT INTO t SELECT g, 'row ' || g FROM generate_series(1, {}) g",
                options.rows
            )],
            changes: i64::from(options.rows),
            is_blocked: false,
        });
    }
    if options.has(Part::Set) {
        cases.extend(options.row_kb.iter().map(|row_kb| set(*row_kb, false)));
    }
    if options.has(Part::Blocked) {
        cases.extend(options.row_kb.iter().map(|row_kb| set(*row_kb, true)));
    }
    if options.has(Part::Value) {
        cases.push(value("inserted", &[], 1));
        cases.push(value("inserted and updated", &[update], 2));
        cases.push(value("inserted, updated and deleted", &[update, "DELETE FROM t"], 2));
    }
    cases
}

impl Case {
    /// Makes it, lets a worker store it, and removes it.
    pub(crate) async fn measure(&self, cluster: &Cluster) -> Result<Measured> {
        let tracked =
            Tracked::create(cluster, "CREATE TABLE t (id bigint PRIMARY KEY, a text)").await?;
        tracked.set_up().await?;
        for statement in &self.statements {
            tracked.client.batch_execute(statement).await?;
        }
        let blocker = tracked.database.connect().await?;
        if self.is_blocked {
            blocker.batch_execute("BEGIN; LOCK TABLE changes IN SHARE MODE").await?;
        }
        let started = Instant::now();
        let mut worker = tracked.run().await;
        if self.is_blocked {
            tokio::time::sleep(BLOCKED).await;
            blocker.batch_execute("COMMIT").await?;
        }
        tracked.wait_for(&mut worker, self.changes).await?;
        let time = started.elapsed();
        tokio::time::sleep(REST).await;
        let resident = Resident::of(worker.pid()).ok_or("nobody says how much memory it takes")?;
        worker.stop().await;
        drop((tracked.client, blocker));
        tracked.database.close().await?;
        Ok(Measured { resident, time })
    }
}
