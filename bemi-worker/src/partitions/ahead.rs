//! Makes partitions ahead, and sees to it that there is one for every instant.

use jiff::Timestamp;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

use super::layout::{Layout, Partition, Shape};
use super::session::Maintenance;
use super::statements::{BOUND_CONSTRAINT, attach, attach_new, drop_table, qualified};
use super::{LOCK_TIMEOUT, LOCK_TIMEOUT_SHORT};
use crate::config::PartitionBy;
use crate::error::WorkerError;
use crate::setup::quoting::dollar_quoted;

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tended {
    /// Each partition that was made, as it is told.
    pub(crate) made: Vec<String>,
    /// Why there are fewer than there should be.
    pub(crate) postponed: Option<String>,
}

/// What is to become of the last partition, which has no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    /// There are enough before it.
    Stays,
    /// It is empty: others take its place up to there, and it begins there.
    IsMoved(Timestamp),
    /// It has rows that are later than that alone: the same, and they stay in it.
    IsCut(Timestamp),
    /// It has rows up to now: it ends there, and others follow.
    IsClosed(Timestamp),
    /// It has rows of now, and others of a far future.
    IsTorn,
}

/// Finishes what was cut off, fills what has no partition, and makes partitions ahead.
///
/// # Errors
///
/// [`WorkerError`]; what was done stays.
///
/// # Cancellation safety
///
/// Safe: the next call goes on.
pub(crate) async fn tend(
    session: &mut Maintenance,
    parent: &str,
    mut layout: Layout,
    now: Timestamp,
) -> Result<Tended, WorkerError> {
    let failed = || WorkerError::database("make partitions of changes");
    let mut tended = Tended::default();
    if layout.has_default {
        let why =
            "changes has a DEFAULT partition, which is not of bemi's making: nothing is made ahead";
        tended.postponed = Some(why.to_owned());
        return Ok(tended);
    }
    for (from, to) in layout.holes() {
        let name = layout.new_name(from, to);
        let sql = attach_new(parent, &name, from, to);
        session.together(&sql, LOCK_TIMEOUT).await.map_err(failed())?;
        layout = match Shape::read(session.client(), &layout.schema).await.map_err(failed())? {
            Shape::Partitioned(layout) => layout,
            Shape::Missing | Shape::Plain { .. } => return Ok(tended),
        };
        tended.made.push(name);
    }
    let (Some(by), Some(last)) = (layout.by, layout.last().cloned()) else { return Ok(tended) };
    let Some(from) = last.from else { return Ok(tended) };
    let wanted = wanted_end(by, now);
    // What a bound that was being changed has left behind would refuse rows.
    let release =
        format!("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {BOUND_CONSTRAINT}", last.qualified);
    if has_bound(session.client(), &last.qualified).await.map_err(failed())? {
        session
            .together(std::slice::from_ref(&release), LOCK_TIMEOUT_SHORT)
            .await
            .map_err(failed())?;
    }
    let rows = span(session.client(), &last.qualified).await.map_err(failed())?;
    let fate = decide(by, from, rows, wanted, now);
    let mut sql = vec![format!("ALTER TABLE {parent} DETACH PARTITION {}", last.qualified)];
    let mut made = Vec::new();
    match fate {
        Last::Stays => return Ok(tended),
        Last::IsTorn => {
            tended.postponed = Some(format!(
                "{} has rows of now and of a far future, which some clock has told; see \
                 docs/guide/retention.md",
                last.qualified
            ));
            return Ok(tended);
        }
        Last::IsMoved(end) => {
            sql.push(refuse_rows(&last.qualified));
            sql.push(drop_table(&last.qualified));
            add(&mut sql, &mut made, parent, &mut layout, by, (from, end));
            add_last(&mut sql, &mut made, parent, &mut layout, end);
        }
        Last::IsCut(end) => {
            bind(session, &last, &format!("committed_at >= '{end}'")).await?;
            add(&mut sql, &mut made, parent, &mut layout, by, (from, end));
            sql.push(attach(parent, &last.qualified, Some(end), None));
            sql.push(release);
        }
        Last::IsClosed(end) => {
            bind(session, &last, &format!("committed_at < '{end}'")).await?;
            sql.push(attach(parent, &last.qualified, Some(from), Some(end)));
            sql.push(release);
            add(&mut sql, &mut made, parent, &mut layout, by, (end, wanted));
            add_last(&mut sql, &mut made, parent, &mut layout, wanted.max(end));
        }
    }
    match session.together(&sql, LOCK_TIMEOUT_SHORT).await {
        Ok(()) => tended.made.extend(made),
        Err(error) if is_busy(&error) => {
            tended.postponed = Some("somebody uses changes, or has just stored into it".to_owned());
        }
        Err(error) => return Err(failed()(error)),
    }
    Ok(tended)
}

/// Up to where there should be partitions.
fn wanted_end(by: PartitionBy, now: Timestamp) -> Timestamp {
    (0..=by.ahead()).fold(now, |end, _| by.end(end))
}

fn decide(
    by: PartitionBy,
    from: Timestamp,
    rows: Option<(Timestamp, Timestamp)>,
    wanted: Timestamp,
    now: Timestamp,
) -> Last {
    if from >= wanted {
        return Last::Stays;
    }
    let Some((first, latest)) = rows else { return Last::IsMoved(wanted) };
    // With room for what is committed while this goes on.
    let close = by.end(latest.max(by.end(now)));
    if close <= wanted {
        return Last::IsClosed(close);
    }
    let cut = by.start(first).min(wanted);
    if cut > from && cut > now { Last::IsCut(cut) } else { Last::IsTorn }
}

/// The statements that make partitions from one instant up to another one.
fn add(
    sql: &mut Vec<String>,
    made: &mut Vec<String>,
    parent: &str,
    layout: &mut Layout,
    by: PartitionBy,
    (mut from, end): (Timestamp, Timestamp),
) {
    while from < end {
        let to = by.end(from).min(end);
        let name = layout.new_name(Some(from), Some(to));
        sql.extend(attach_new(parent, &name, Some(from), Some(to)));
        made.push(name);
        from = to;
    }
}

/// The statements that make the one without an end.
fn add_last(
    sql: &mut Vec<String>,
    made: &mut Vec<String>,
    parent: &str,
    layout: &mut Layout,
    from: Timestamp,
) {
    let name = layout.new_name(Some(from), None);
    sql.extend(attach_new(parent, &name, Some(from), None));
    made.push(name);
}

/// The statements that make the partitions of a table that has none but one that ends there.
pub(super) fn first_partitions(
    parent: &str,
    layout: &mut Layout,
    by: PartitionBy,
    from: Timestamp,
    now: Timestamp,
) -> Vec<String> {
    let (mut sql, mut made) = (Vec::new(), Vec::new());
    let end = wanted_end(by, now).max(from);
    add(&mut sql, &mut made, parent, layout, by, (from, end));
    add_last(&mut sql, &mut made, parent, layout, end);
    sql
}

/// Has the server check, while others go on, what is in a partition: then it need not be read when it is
/// attached again.
async fn bind(
    session: &mut Maintenance,
    partition: &Partition,
    bound: &str,
) -> Result<(), WorkerError> {
    let failed = || WorkerError::database("check the bounds of a partition of changes");
    let table = &partition.qualified;
    let add =
        format!("ALTER TABLE {table} ADD CONSTRAINT {BOUND_CONSTRAINT} CHECK ({bound}) NOT VALID");
    session.together(&[add], LOCK_TIMEOUT_SHORT).await.map_err(failed())?;
    let validate = format!("ALTER TABLE {table} VALIDATE CONSTRAINT {BOUND_CONSTRAINT}");
    session.together(&[validate], LOCK_TIMEOUT).await.map_err(failed())
}

async fn has_bound(client: &Client, table: &str) -> Result<bool, Error> {
    let row = client
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_constraint
                            WHERE conrelid = $1::text::regclass AND conname = $2)",
            &[&table, &BOUND_CONSTRAINT],
        )
        .await?;
    row.try_get(0)
}

/// The first and the last commit time in a partition, by its key.
async fn span(client: &Client, partition: &str) -> Result<Option<(Timestamp, Timestamp)>, Error> {
    let row = client
        .query_one(&format!("SELECT min(committed_at), max(committed_at) FROM {partition}"), &[])
        .await?;
    let (first, last): (Option<Timestamp>, Option<Timestamp>) = (row.try_get(0)?, row.try_get(1)?);
    Ok(first.zip(last))
}

/// Fails where rows came in since it was seen to be empty.
fn refuse_rows(partition: &str) -> String {
    let body = format!(
        " BEGIN IF EXISTS (SELECT FROM {partition}) THEN RAISE EXCEPTION 'it has rows' \
         USING ERRCODE = 'object_in_use'; END IF; END "
    );
    format!("DO {}", dollar_quoted(&body))
}

/// Whether trying again later may do.
pub(crate) fn is_busy(error: &Error) -> bool {
    error.code().is_some_and(|code| {
        [SqlState::LOCK_NOT_AVAILABLE, SqlState::OBJECT_IN_USE, SqlState::T_R_DEADLOCK_DETECTED]
            .contains(code)
    })
}

/// The name of `changes` in a schema, as SQL has it.
pub(crate) fn parent(schema: &str) -> String {
    qualified(schema, bemi_core::changes_table::TABLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn day(day: u8) -> Timestamp {
        at(&format!("2026-11-{day:02}T00:00:00Z"))
    }

    fn fate(from: Timestamp, rows: Option<(Timestamp, Timestamp)>) -> Last {
        let now = at("2026-11-10T10:00:00Z");
        let wanted = wanted_end(PartitionBy::Day, now);
        assert_eq!(wanted, day(18));
        decide(PartitionBy::Day, from, rows, wanted, now)
    }

    #[test]
    fn where_there_are_enough_partitions_nothing_is_done() {
        assert_eq!(fate(day(18), None), Last::Stays);
        assert_eq!(fate(day(20), Some((day(21), day(21)))), Last::Stays);
    }

    #[test]
    fn an_empty_last_partition_makes_room() {
        assert_eq!(fate(day(17), None), Last::IsMoved(day(18)));
        assert_eq!(fate(day(3), None), Last::IsMoved(day(18)));
    }

    #[test]
    fn one_that_took_everything_while_nobody_looked_is_closed_behind_its_rows() {
        let rows = (day(3), at("2026-11-10T09:59:59Z"));
        assert_eq!(fate(day(3), Some(rows)), Last::IsClosed(day(12)));
    }

    #[test]
    fn rows_of_the_future_stay_in_it() {
        let future = (at("2099-01-01T12:00:00Z"), at("2099-01-02T00:00:00Z"));
        assert_eq!(fate(day(17), Some(future)), Last::IsCut(day(18)));
        let near = (at("2026-11-17T12:00:00Z"), at("2099-01-02T00:00:00Z"));
        assert_eq!(fate(day(16), Some(near)), Last::IsCut(day(17)));
        let torn = (at("2026-11-10T08:00:00Z"), at("2099-01-02T00:00:00Z"));
        assert_eq!(fate(day(3), Some(torn)), Last::IsTorn);
    }
}
