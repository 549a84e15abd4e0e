//! Keeps changes for as long as somebody said, and no longer.
//!
//! ```text
//! announce: bemi.retention, gaps of kind 'expired'  ─▶  drop partitions, or delete rows  ─▶  note that it is done
//! ```
//!
//! What will go is announced first, and readers are given time to see it: from then on no answer is built
//! on it. Cut off in between, the record says that it does not know what may still be there: never the
//! other way round.
//!
//! Dropped are whole days in UTC, the oldest first, and nothing behind a partition that must stay. A change
//! must be older by its commit time and by when it was stored: the clock of a source may be years back.
//! Where a clock went back, what is kept may lie, in the order of commits, before what was dropped; it is
//! unknown then to questions about the past, too.
//!
//! It is done by a task beside the flow, by `bemi-worker retention`, or by both: one of them at a time.

mod announce;
mod delete;
mod expire;
mod task;

use jiff::Timestamp;

pub(crate) use self::task::keep;
use crate::config::{Config, Retention};
use crate::error::{Problems, WorkerError};
use crate::partitions::{Layout, Maintenance, Shape, parent, tend};

/// What was done, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// Each step, as a verb: `drop bemi.changes_20260801`.
    pub(crate) steps: Vec<String>,
    /// What is left for the next time, and why.
    pub(crate) postponed: Vec<String>,
    /// How much was deleted, where there are no partitions.
    pub(crate) deleted: u64,
}

/// Makes partitions ahead, and drops what is too old, in a session that nobody else has.
///
/// # Errors
///
/// [`WorkerError::Unready`] where the role may not do it. What was done stays.
///
/// # Cancellation safety
///
/// Safe: the next call goes on.
pub(crate) async fn maintain(
    mut session: Maintenance,
    config: &Config,
    retention: Option<Retention>,
) -> Result<Report, WorkerError> {
    let failed = || WorkerError::database("read what partitions changes has");
    let schema = &config.changes_schema;
    let mut report = Report::default();
    match Shape::read(session.client(), schema).await.map_err(failed())? {
        Shape::Missing => {}
        Shape::Plain { is_ours } => {
            if let Some(retention) = retention {
                check_owner(is_ours, config)?;
                delete::delete(&mut session, schema, retention, &mut report).await?;
            }
        }
        Shape::Partitioned(layout) => {
            check_owner(layout.is_ours, config)?;
            let now = clock(&session).await?;
            let layout = expire::finish(&mut session, layout, &mut report).await?;
            let layout = match retention {
                Some(retention) => {
                    expire::expire(&mut session, layout, retention, now, &mut report).await?
                }
                None => layout,
            };
            if !layout.pending.is_empty() {
                return Ok(report);
            }
            let tended = tend(&mut session, &parent(schema), layout, now).await?;
            report
                .steps
                .extend(tended.made.iter().map(|name| format!("make partition bemi.{name}")));
            report.postponed.extend(tended.postponed);
        }
    }
    Ok(report)
}

/// What [`maintain`] would drop.
///
/// # Errors
///
/// Those of the destination.
pub(crate) async fn preview(
    config: &Config,
    retention: Option<Retention>,
) -> Result<Report, WorkerError> {
    let failed = || WorkerError::database("read what partitions changes has");
    let client = Maintenance::read_only(config).await?;
    let schema = &config.changes_schema;
    let mut report = Report::default();
    let Some(retention) = retention else { return Ok(report) };
    match Shape::read(&client, schema).await.map_err(failed())? {
        Shape::Missing => {}
        Shape::Plain { .. } => delete::preview(&client, schema, retention, &mut report).await?,
        Shape::Partitioned(layout) => {
            let now = now(&client).await?;
            for old in expire::old(&client, &layout, retention, now).await?.old {
                if old.has_rows {
                    report.steps.push(format!("drop {}", old.partition.qualified));
                }
            }
        }
    }
    Ok(report)
}

fn check_owner(is_ours: bool, config: &Config) -> Result<(), WorkerError> {
    let mut problems = Problems::default();
    if !is_ours {
        problems.not_allowed(format!(
            "the role does not own {}.changes, and its owner alone can make and drop partitions of it, or \
             delete from it; run `bemi-worker retention` as the owner, by cron",
            config.changes_schema
        ));
    }
    problems.into_result()
}

async fn clock(session: &Maintenance) -> Result<Timestamp, WorkerError> {
    now(session.client()).await
}

async fn now(client: &tokio_postgres::Client) -> Result<Timestamp, WorkerError> {
    let failed = || WorkerError::database("read the clock of the destination");
    let row = client.query_one("SELECT clock_timestamp()", &[]).await.map_err(failed())?;
    row.try_get(0).map_err(failed())
}

/// The layout, read again.
async fn again(session: &Maintenance, schema: &str) -> Result<Layout, WorkerError> {
    let failed = WorkerError::database("read what partitions changes has");
    match Shape::read(session.client(), schema).await.map_err(failed)? {
        Shape::Partitioned(layout) => Ok(layout),
        Shape::Missing | Shape::Plain { .. } => Ok(Layout::default()),
    }
}
