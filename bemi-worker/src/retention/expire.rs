//! Detaches and drops partitions that are too old.

use jiff::Timestamp;
use tokio_postgres::{Client, Error};

use super::announce::{Announced, announce, dropped};
use super::{Report, again};
use crate::config::Retention;
use crate::error::WorkerError;
use crate::partitions::{
    LOCK_TIMEOUT, Layout, Maintenance, Partition, attach, drop_table, is_busy, parent,
};

const DOING: &str = "drop old partitions of changes";

/// A partition whose time is over.
#[derive(Clone, Debug)]
pub(super) struct Old {
    pub(super) partition: Partition,
    pub(super) has_rows: bool,
}

/// The partitions whose time is over, and why there are not more.
#[derive(Clone, Debug, Default)]
pub(super) struct AllOld {
    pub(super) old: Vec<Old>,
    pub(super) kept: Option<String>,
}

/// Goes on with what was cut off: partitions that were being detached, and those that were detached and
/// not dropped.
pub(super) async fn finish(
    session: &mut Maintenance,
    layout: Layout,
    report: &mut Report,
) -> Result<Layout, WorkerError> {
    let failed = || WorkerError::database(DOING);
    let table = parent(&layout.schema);
    for pending in &layout.pending {
        let finalize = format!("ALTER TABLE {table} DETACH PARTITION {pending} FINALIZE");
        match session.client().batch_execute(&finalize).await {
            Ok(()) => {}
            Err(error) if is_busy(&error) => {
                report.postponed.push(in_use(pending));
                return Ok(layout);
            }
            Err(error) => return Err(failed()(error)),
        }
    }
    let rows =
        session.client().query(UNFINISHED, &[&layout.schema, &table]).await.map_err(failed())?;
    for row in rows {
        let relation: String = row.try_get(0).map_err(failed())?;
        remove(session, &layout.schema, &relation, report).await?;
    }
    again(session, &layout.schema).await
}

/// Announced, and not attached any more: dropped already, or to be dropped.
const UNFINISHED: &str = "
SELECT r.relation FROM bemi.retention AS r
WHERE r.changes_schema = $1 AND r.relation IS NOT NULL AND r.dropped_at IS NULL
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i
                  WHERE i.inhparent = $2::text::regclass
                    AND i.inhrelid = pg_catalog.to_regclass(r.relation))
ORDER BY r.id";

/// Announces, detaches and drops, the oldest first.
pub(super) async fn expire(
    session: &mut Maintenance,
    layout: Layout,
    retention: Retention,
    now: Timestamp,
    report: &mut Report,
) -> Result<Layout, WorkerError> {
    let schema = layout.schema.clone();
    if !layout.pending.is_empty() {
        return Ok(layout);
    }
    let AllOld { old, kept } = old(session.client(), &layout, retention, now).await?;
    report.postponed.extend(kept);
    if layout.has_default {
        if old.iter().any(|old| old.has_rows) {
            report.postponed.push(format!(
                "{schema}.changes has a DEFAULT partition, with which none can be detached while others \
                 use the table; detach that"
            ));
        }
        return Ok(layout);
    }
    let announced: Vec<Announced<'_>> = old
        .iter()
        .filter(|old| old.has_rows)
        .filter_map(|old| {
            let Partition { qualified, from, to } = &old.partition;
            Some(Announced { schema: &schema, relation: Some(qualified), from: *from, to: (*to)? })
        })
        .collect();
    if announced.is_empty() && old.len() <= 1 {
        return Ok(layout);
    }
    if !announced.is_empty() {
        announce(session, &announced).await?;
    }
    for old in &old {
        if !detach(session, &schema, old, retention, now, report).await? {
            break;
        }
    }
    again(session, &schema).await
}

/// The partitions of the beginning whose time is over.
pub(super) async fn old(
    client: &Client,
    layout: &Layout,
    retention: Retention,
    now: Timestamp,
) -> Result<AllOld, WorkerError> {
    let mut all = AllOld::default();
    let horizon = retention.horizon(now);
    for partition in &layout.partitions {
        if partition.to.is_none_or(|to| to > horizon) {
            break;
        }
        let stored = last_stored(client, &partition.qualified)
            .await
            .map_err(WorkerError::database(DOING))?;
        if stored.is_some_and(|stored| stored >= horizon) {
            all.kept = Some(format!(
                "{} has changes that were stored later than their commit time says, {}",
                partition.qualified, "and stays with all that follow"
            ));
            break;
        }
        all.old.push(Old { partition: partition.clone(), has_rows: stored.is_some() });
    }
    Ok(all)
}

/// When the last commit in a partition was stored, by the clock of the destination.
async fn last_stored(client: &Client, partition: &str) -> Result<Option<Timestamp>, Error> {
    let last = format!(
        "SELECT created_at FROM {partition} ORDER BY commit_position DESC, sequence DESC LIMIT 1"
    );
    client.query_opt(&last, &[]).await?.map(|row| row.try_get(0)).transpose()
}

/// Detaches a partition, and drops it. `false` where that has to wait.
async fn detach(
    session: &mut Maintenance,
    schema: &str,
    old: &Old,
    retention: Retention,
    now: Timestamp,
    report: &mut Report,
) -> Result<bool, WorkerError> {
    let failed = || WorkerError::database(DOING);
    let (table, partition) = (parent(schema), &old.partition.qualified);
    let detach = format!("ALTER TABLE {table} DETACH PARTITION {partition} CONCURRENTLY");
    match session.client().batch_execute(&detach).await {
        Ok(()) => {}
        Err(error) if is_busy(&error) => {
            report.postponed.push(in_use(partition));
            return Ok(false);
        }
        Err(error) => return Err(failed()(error)),
    }
    // Nothing comes to it any more. What came since it was looked at stays.
    let stored = last_stored(session.client(), partition).await.map_err(failed())?;
    let has_news = stored.is_some_and(|stored| stored >= retention.horizon(now));
    if has_news || stored.is_some() != old.has_rows {
        let back = attach(&table, partition, old.partition.from, old.partition.to);
        session.together(&[back], LOCK_TIMEOUT).await.map_err(failed())?;
        report.postponed.push(format!("{partition} has got changes meanwhile"));
        return Ok(false);
    }
    if old.has_rows {
        remove(session, schema, partition, report).await?;
    } else {
        session.together(&[drop_table(partition)], LOCK_TIMEOUT).await.map_err(failed())?;
    }
    Ok(true)
}

/// Drops a table that is detached.
async fn remove(
    session: &mut Maintenance,
    schema: &str,
    relation: &str,
    report: &mut Report,
) -> Result<(), WorkerError> {
    let failed = WorkerError::database(DOING);
    match session.together(&[drop_table(relation)], LOCK_TIMEOUT).await {
        Ok(()) => {
            dropped(session, schema, Some(relation)).await?;
            report.steps.push(format!("drop {relation}"));
            Ok(())
        }
        Err(error) if is_busy(&error) => {
            report.postponed.push(in_use(relation));
            Ok(())
        }
        Err(error) => Err(failed(error)),
    }
}

fn in_use(partition: &str) -> String {
    format!(
        "{partition} is in use: a transaction that began before has not ended (see pg_stat_activity)"
    )
}
