//! The plan of the revert of one transaction that the worker has stored.

use std::time::{Duration, Instant};

use bemi_core::record::{Record, RevertOptions, Selection};
use bemi_core::{CommitPosition, Lsn};
use bemi_worker::connect::Session;

use crate::Result;
use crate::options::Options;
use crate::report;
use crate::server::Server;

/// How long reading the changes and planning took.
#[derive(Clone, Copy)]
pub(crate) struct Planned {
    pub(crate) read: Duration,
    pub(crate) planned: Duration,
}

/// Makes the transaction, plans, and prints.
pub(crate) async fn measure(server: &Server, options: &Options) -> Result<()> {
    let tracked = server.tracked().await?;
    let client = &tracked.client;
    let changes = options.revert_changes;
    eprintln!("a transaction of {changes} changes");
    client
        .batch_execute(&format!(
            "INSERT INTO todo SELECT n, 'what is to be done about number ' || n, false, n / 4.0, now()
                 FROM generate_series(1, 2 * {changes}) AS n"
        ))
        .await?;
    client
        .batch_execute(&format!(
            "UPDATE todo SET done = true, price = price + 1 WHERE id <= {changes}"
        ))
        .await?;
    tracked.store().await;
    client.batch_execute("VACUUM ANALYZE changes, todo").await?;
    tracked.settle().await?;
    let position: i64 =
        client.query_one("SELECT max(commit_position) FROM changes", &[]).await?.get(0);
    let selection = Selection::Committed(CommitPosition(Lsn::from_bigint(position)));

    let mut record = Record::new(Session::new(tracked.database.connect().await?));
    let mut source = Session::new(tracked.database.connect().await?);
    let mut rounds = Vec::new();
    for round in 0..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        let started = Instant::now();
        let set = record.reverse(&selection).await?;
        let read = started.elapsed();
        source.client().batch_execute("BEGIN").await?;
        let plan = set.plan(&mut source, &RevertOptions::new()).await?;
        let planned = started.elapsed() - read;
        source.client().batch_execute("ROLLBACK").await?;
        if plan.statements().len() != usize::try_from(changes)? || plan.is_blocked() {
            let (statements, conflicts) = (plan.statements().len(), plan.conflicts().len());
            return Err(format!("{statements} statements and {conflicts} conflicts").into());
        }
        if round > 0 {
            rounds.push(Planned { read, planned });
        }
    }
    report::revert(options, &rounds);
    tracked.close().await
}
