//! Says that changes are about to go, before they do.

use std::time::Duration;

use jiff::Timestamp;
use tokio_postgres::Transaction;

use crate::chain::expire;
use crate::error::WorkerError;
use crate::partitions::Maintenance;

/// How long readers have between hearing of it and its being gone: who asks in two statements has both of
/// them before or both behind.
const NOTICE: Duration = Duration::from_secs(5);

const DOING: &str = "announce what retention will drop";

/// What is about to go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Announced<'a> {
    /// The schema of `changes`.
    pub(super) schema: &'a str,
    /// The partition, as SQL has it; `None` for rows of a plain table.
    pub(super) relation: Option<&'a str>,
    pub(super) from: Option<Timestamp>,
    pub(super) to: Timestamp,
}

/// Writes it down, all together, and waits until readers have heard of it.
///
/// # Errors
///
/// [`WorkerError`]; nothing is written down then.
pub(super) async fn announce(
    session: &mut Maintenance,
    all: &[Announced<'_>],
) -> Result<(), WorkerError> {
    let failed = || WorkerError::database(DOING);
    let transaction = session.begin().await.map_err(failed())?;
    for one in all {
        write_down(&transaction, one).await.map_err(failed())?;
    }
    transaction.commit().await.map_err(failed())?;
    if let Some(before) = all.iter().map(|one| one.to).max() {
        expire(session.client(), session.chain_key(), before).await?;
    }
    tokio::time::sleep(NOTICE).await;
    Ok(())
}

async fn write_down(
    transaction: &Transaction<'_>,
    one: &Announced<'_>,
) -> Result<(), tokio_postgres::Error> {
    // Again after it was cut off, it is the same one.
    transaction
        .execute(
            "INSERT INTO bemi.retention (changes_schema, relation, from_time, to_time)
             SELECT $1::text, $2::text, $3::timestamptz, $4::timestamptz
             WHERE NOT EXISTS (SELECT FROM bemi.retention
                               WHERE changes_schema = $1 AND relation IS NOT DISTINCT FROM $2
                                 AND to_time = $4 AND dropped_at IS NULL)",
            &[&one.schema, &one.relation, &one.from, &one.to],
        )
        .await?;
    let parent = crate::partitions::parent(one.schema);
    // Of a partition the last commit is found by its index, whosever it is; of a plain table, all rows that
    // go are read.
    let last = match one.relation {
        Some(relation) => format!(
            "SELECT c.commit_position FROM {relation} AS c WHERE c.database = p.database
             ORDER BY c.commit_position DESC, c.sequence DESC LIMIT 1"
        ),
        None => format!(
            "SELECT max(c.commit_position) FROM {parent} AS c
             WHERE c.committed_at < '{}' AND c.database = p.database",
            one.to
        ),
    };
    transaction
        .execute(
            &format!(
                "INSERT INTO bemi.gaps (slot, from_position, to_position, reason, kind, kept_since)
                 SELECT p.slot, 0, l.last + 1, 'dropped by retention', 'expired', $1::timestamptz
                 FROM bemi.checkpoint AS p CROSS JOIN LATERAL (SELECT ({last}) AS last) AS l
                 WHERE l.last IS NOT NULL
                 ON CONFLICT (slot, from_position) DO UPDATE
                 SET to_position = greatest(gaps.to_position, excluded.to_position),
                     kept_since = greatest(gaps.kept_since, excluded.kept_since),
                     reason = excluded.reason, kind = excluded.kind, detected_at = now()"
            ),
            &[&one.to],
        )
        .await?;
    Ok(())
}

/// Notes that it is gone.
///
/// # Errors
///
/// [`WorkerError`]; then the next call of retention notes it.
pub(super) async fn dropped(
    session: &Maintenance,
    schema: &str,
    relation: Option<&str>,
) -> Result<(), WorkerError> {
    session
        .client()
        .execute(
            "UPDATE bemi.retention SET dropped_at = now()
             WHERE changes_schema = $1 AND relation IS NOT DISTINCT FROM $2 AND dropped_at IS NULL",
            &[&schema, &relation],
        )
        .await
        .map_err(WorkerError::database("note what retention has dropped"))?;
    Ok(())
}
