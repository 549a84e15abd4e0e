//! Takes the steps that mend what doctor has found, those that are safe: each for itself, so that one
//! that is refused keeps none of the others.
//!
//! Invariant: what is not a finding is not mended.

use std::collections::BTreeSet;

use bemi_core::changes_table::{Index, TABLE};
use postgres_protocol::escape::escape_identifier;
use tokio_postgres::Client;

use super::apply::{Sessions, apply};
use super::inspect::Found;
use super::plan::Plan;
use super::plan::mend::mending;
use crate::WorkerError;
use crate::config::Config;

/// How long an index may wait for transactions that were open when it was begun. Meanwhile everybody
/// reads and writes.
const INDEX_LOCK_TIMEOUT: &str = "5min";

/// A step that mends something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// What it mends.
    pub(crate) codes: Vec<&'static str>,
    /// As a verb: `create publication bemi`.
    pub(crate) what: String,
    /// Why it was not taken, where it was refused.
    pub(crate) refused: Option<String>,
}

/// Mends what of `codes` is safe to be mended, and returns what was done; with `dry_run`, what would be.
///
/// # Errors
///
/// [`WorkerError`] when a connection breaks, or the rules cannot be read. That a step is refused is in
/// what is returned.
pub(crate) async fn mend(
    config: &Config,
    codes: &BTreeSet<&'static str>,
    dry_run: bool,
) -> Result<Vec<Taken>, WorkerError> {
    let mut sessions = Sessions::open(config).await?;
    let found = sessions.inspect(config).await?;
    let mut taken = Vec::new();
    for group in mending(config, &found)? {
        let mended: Vec<_> = group.codes.iter().copied().filter(|c| codes.contains(c)).collect();
        if mended.is_empty() {
            continue;
        }
        for step in group.steps {
            let what = step.what.clone();
            let refused = if dry_run {
                None
            } else {
                let plan = Plan { steps: vec![step], ..Plan::default() };
                let applied = apply(&plan, config, &found, &mut sessions, &mut |_| Ok(())).await;
                refusal(applied.map(|outcome| outcome.refused.into_iter().next()))?
            };
            taken.push(Taken { codes: mended.clone(), what, refused });
        }
    }
    if codes.contains("B053") {
        indexes(config, &found, &sessions.destination, dry_run, &mut taken).await?;
    }
    Ok(taken)
}

/// A broken connection ends it all; anything else ends the step alone.
fn refusal(applied: Result<Option<String>, WorkerError>) -> Result<Option<String>, WorkerError> {
    match applied {
        Ok(refused) => Ok(refused),
        Err(WorkerError::Database { source, .. }) if source.is_closed() => {
            Err(WorkerError::database("mend what was found")(source))
        }
        Err(error) => Ok(Some(error.to_string())),
    }
}

/// Makes indexes of `changes` while it is written to, which setup does not: the worker need not wait.
async fn indexes(
    config: &Config,
    found: &Found,
    client: &Client,
    dry_run: bool,
    taken: &mut Vec<Taken>,
) -> Result<(), WorkerError> {
    let Some(changes) = &found.destination.changes else { return Ok(()) };
    if changes.unlike_ours().is_some() {
        return Ok(());
    }
    let failed = || WorkerError::database("look at the indexes of changes");
    let state =
        client.query_one(STATE, &[&config.changes_schema, &TABLE]).await.map_err(failed())?;
    let is_partitioned: bool = state.try_get(0).map_err(failed())?;
    let names: Vec<String> = state.try_get(1).map_err(failed())?;
    // The server makes none on a partitioned table without stopping its writers.
    if is_partitioned {
        return Ok(());
    }
    for index in changes.missing_indexes() {
        let what = format!("create index {} on {}.changes", index.name, config.changes_schema);
        let refused = if dry_run {
            None
        } else {
            let has_name = names.iter().any(|name| name == index.name);
            let made = create(config, index, has_name, client).await;
            refusal(made.map(|()| None).map_err(WorkerError::database(what.clone())))?
        };
        taken.push(Taken { codes: vec!["B053"], what, refused });
    }
    Ok(())
}

/// Whether the table is partitioned, and the names of all its indexes, also of those that were not made to
/// their end.
const STATE: &str = "
SELECT c.relkind = 'p',
       ARRAY(SELECT i.relname::text FROM pg_catalog.pg_index x
             JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = c.oid)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2";

async fn create(
    config: &Config,
    index: &Index,
    has_name: bool,
    client: &Client,
) -> Result<(), tokio_postgres::Error> {
    let schema = &config.changes_schema;
    client.batch_execute(&format!("SET lock_timeout = '{INDEX_LOCK_TIMEOUT}'")).await?;
    // Of that name, it is another's, of a version before, or was not made to its end.
    if has_name {
        let name = escape_identifier(index.name);
        let drop = format!("DROP INDEX CONCURRENTLY {}.{name}", escape_identifier(schema));
        client.batch_execute(&drop).await?;
    }
    let create =
        index.create_statement(schema).replacen("CREATE INDEX", "CREATE INDEX CONCURRENTLY", 1);
    client.batch_execute(&create).await
}
