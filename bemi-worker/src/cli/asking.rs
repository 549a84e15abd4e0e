//! The connections of a command that asks the record, and how old its answer may be.

use std::time::Duration;

use bemi_core::record::{Record, RecordError};
use jiff::SignedDuration;
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
    let record = Record::new(Session::new(client)).in_schema(given.changes_schema.as_str());
    Ok(if given.slot_is_named { record.for_slot(given.slot.as_str()) } else { record })
}

/// The record with all that was committed in the source when it was asked. Where that cannot be, it is
/// told, and the record is as it is.
pub(super) async fn caught_up(
    given: &Given,
    wait: WaitOption,
) -> Result<Record<Session>, WorkerError> {
    let mut record = record(given).await?.waiting(wait.wait);
    let Some(source) = given.source.as_ref().filter(|_| !wait.wait.is_zero()) else {
        return Ok(record);
    };
    let mut source = match source.connect().await {
        Ok(client) => Session::new(client),
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
