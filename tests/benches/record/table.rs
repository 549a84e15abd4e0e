//! A whole table as of a point, beside SQL that somebody who knows these very changes would write.
//!
//! Theirs knows that there is no gap, no TRUNCATE, no key that changed, no column that was added or that is not there: it is
//! what asking can cost at the least. Ours does not know, and finds out.

use std::time::{Duration, Instant};

use bemi_core::Lsn;
use bemi_core::record::{Point, Record, RowAt, TableName};
use bemi_worker::connect::Session;
use tokio_postgres::Client;

use crate::Result;
use crate::many;
use crate::options::Options;
use crate::report;
use crate::server::Server;

/// How many changes each row has up to the point.
const CHANGES_OF_A_ROW: u32 = 10;

/// One scan of the index, in which the last change of each key is taken.
const BY_DISTINCT: &str = "SELECT key, after::text FROM (
        SELECT DISTINCT ON (primary_key) primary_key AS key, operation, after FROM changes
        WHERE \"table\" = 'todo' AND schema = 'public' AND commit_position <= $1
        ORDER BY primary_key, commit_position DESC, sequence DESC) AS last
    WHERE operation <> 'DELETE'";

/// From key to key in the index, and the last change of each.
const BY_STEPS: &str = "WITH RECURSIVE keys AS (
        (SELECT primary_key AS key FROM changes WHERE \"table\" = 'todo' AND primary_key IS NOT NULL
         ORDER BY primary_key LIMIT 1)
        UNION ALL
        SELECT (SELECT c.primary_key FROM changes AS c WHERE c.\"table\" = 'todo' AND c.primary_key > keys.key
                ORDER BY c.primary_key LIMIT 1)
        FROM keys WHERE keys.key IS NOT NULL)
    SELECT keys.key, last.after::text FROM keys CROSS JOIN LATERAL (
        SELECT c.operation, c.after FROM changes AS c
        WHERE c.\"table\" = 'todo' AND c.schema = 'public' AND c.primary_key = keys.key AND c.commit_position <= $1
        ORDER BY c.commit_position DESC, c.sequence DESC LIMIT 1) AS last
    WHERE last.operation <> 'DELETE'";

/// How long each took, in each round.
pub(crate) struct Times {
    pub(crate) ours: Vec<Duration>,
    pub(crate) by_distinct: Vec<Duration>,
    pub(crate) by_steps: Vec<Duration>,
}

/// Makes the changes, asks, and prints.
pub(crate) async fn measure(server: &Server, options: &Options) -> Result<()> {
    let tracked = server.tracked().await?;
    let client = &tracked.client;
    let rows = options.table_changes / CHANGES_OF_A_ROW;
    // A tenth lies behind the point.
    let changes = options.table_changes + rows;
    eprintln!("making {changes} changes of {rows} rows");
    many::make(client, changes, rows, false).await?;
    client.batch_execute("VACUUM ANALYZE changes").await?;
    tracked.settle().await?;
    let at: i64 = client
        .query_one(
            "SELECT commit_position FROM changes WHERE transaction_id = $1 LIMIT 1",
            &[&i64::from(options.table_changes / many::TRANSACTION_CHANGES - 1)],
        )
        .await?
        .get(0);

    let mut times = Times { ours: Vec::new(), by_distinct: Vec::new(), by_steps: Vec::new() };
    let mut record = Record::new(Session::new(tracked.database.connect().await?));
    // The first round fills the caches, and does not count.
    for round in 0..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        let distinct = written(client, BY_DISTINCT, at, rows).await?;
        let steps = written(client, BY_STEPS, at, rows).await?;
        let ours = told(&mut record, at, rows).await?;
        if round > 0 {
            times.by_distinct.push(distinct);
            times.by_steps.push(steps);
            times.ours.push(ours);
        }
    }
    report::table(options, rows, times);
    tracked.close().await
}

async fn told(record: &mut Record<Session>, at: i64, rows: u32) -> Result<Duration> {
    let started = Instant::now();
    let table = record
        .as_of(Point::Lsn(Lsn::from_bigint(at)))
        .table(&TableName::new("public", "todo"))
        .await?;
    let time = started.elapsed();
    let present = table.rows.iter().filter(|row| matches!(row.row, RowAt::Present(_))).count();
    if present != usize::try_from(rows)? {
        return Err(format!("{present} rows were told, and not {rows}").into());
    }
    Ok(time)
}

async fn written(client: &Client, sql: &str, at: i64, rows: u32) -> Result<Duration> {
    let started = Instant::now();
    let found = client.query(sql, &[&at]).await?;
    let time = started.elapsed();
    if found.len() != usize::try_from(rows)? {
        return Err(format!("{} rows were found, and not {rows}", found.len()).into());
    }
    Ok(time)
}
