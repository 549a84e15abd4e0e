//! The connections of a command that asks the record, and how old its answer may be.

use std::time::Duration;

use bemi_core::record::{Point, Record, RecordError};
use jiff::SignedDuration;
use tokio_postgres::Client;
use tracing::warn;

use crate::WorkerError;
use crate::config::Given;
use crate::connect::Session;

/// How long a question waits.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct WaitOption {
    /// How long to wait, at most, until the worker has stored what was committed by now; 0s takes what
    /// is stored
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    wait: Duration,
}

/// `10s`, `1m30s`.
fn time(text: &str) -> Result<Duration, String> {
    let time: Option<SignedDuration> = text.parse().ok();
    time.and_then(|time| Duration::try_from(time).ok())
        .ok_or_else(|| "this is no time to wait; one looks like 10s or 1m30s".to_owned())
}

/// The record as it is.
pub(super) async fn record(given: &Given) -> Result<Record<Session>, WorkerError> {
    let client = given.destination()?.connect().await?;
    Ok(over(given, client))
}

/// The record as it is, of which nothing may be hidden: where a policy of row security on `changes` would
/// leave out rows, the server refuses. That a row was not there must not be said of one that is hidden.
pub(super) async fn whole_record(given: &Given) -> Result<Record<Session>, WorkerError> {
    let client = given.destination()?.connect().await?;
    client
        .batch_execute("SET row_security = off")
        .await
        .map_err(WorkerError::database("ask for all rows of changes"))?;
    Ok(over(given, client))
}

fn over(given: &Given, client: Client) -> Record<Session> {
    let record = Record::new(Session::new(client)).in_schema(given.changes_schema.as_str());
    if given.slot_is_named { record.for_slot(given.slot.as_str()) } else { record }
}

/// The record with all that was committed in the source when it was asked. Where that cannot be, it is
/// told, and the record is as it is.
pub(super) async fn caught_up(
    given: &Given,
    wait: WaitOption,
) -> Result<Record<Session>, WorkerError> {
    let mut record = record(given).await?.waiting(wait.wait);
    if wait.wait.is_zero() {
        return Ok(record);
    }
    let mut source = match source(given).await {
        Ok(Some(source)) => source,
        Ok(None) => return Ok(record),
        Err(error) => {
            warn!(%error, "the source cannot be asked, and this may not be all: it is what is stored");
            return Ok(record);
        }
    };
    match record.catch_up(&mut source).await {
        Ok(_) => Ok(record),
        Err(error @ RecordError::NotStoredYet { .. }) => {
            warn!(%error, "this is not all: it is what is stored");
            Ok(record)
        }
        Err(error) => Err(error.into()),
    }
}

/// The record with all that was committed in the source when it was asked, or not at all: for what must
/// not be done by an old one.
pub(super) async fn up_to_date(
    given: &Given,
    wait: WaitOption,
    source: &mut Session,
) -> Result<Record<Session>, WorkerError> {
    let mut record = whole_record(given).await?.waiting(wait.wait);
    if !wait.wait.is_zero() {
        record.catch_up(source).await?;
    }
    Ok(record)
}

/// The record, where it can tell of these points; and the points, so that the record knows them. What
/// is stored does, however old that is: only where it does not, the source is asked and the worker
/// waited for.
pub(super) async fn with_points<const N: usize>(
    given: &Given,
    wait: WaitOption,
    points: [Point; N],
) -> Result<(Record<Session>, [Point; N]), WorkerError> {
    let mut record = whole_record(given).await?.waiting(Duration::ZERO);
    let mut is_behind = false;
    for point in points {
        match record.resolve(point).await {
            Ok(_) => {}
            Err(RecordError::NotStoredYet { .. } | RecordError::NoSuchPoint { .. }) => {
                is_behind = true;
            }
            Err(error) => return Err(error.into()),
        }
    }
    let mut record = record.waiting(wait.wait);
    if !is_behind || wait.wait.is_zero() {
        return Ok((record, points));
    }
    let Some(mut source) = source(given).await? else { return Ok((record, points)) };
    let end = record.catch_up(&mut source).await?;
    // Time goes on: what is meant is when the question was asked.
    let known = points.map(|point| match point {
        Point::Ago(time) if time.is_zero() => Point::Lsn(end),
        other => other,
    });
    Ok((record, known))
}

/// The database that is tracked, if it is known.
pub(super) async fn source(given: &Given) -> Result<Option<Session>, WorkerError> {
    match &given.source {
        Some(source) => Ok(Some(Session::new(source.connect().await?))),
        None => Ok(None),
    }
}
