//! The connections of a command that asks the record.

use bemi_core::record::Record;

use crate::WorkerError;
use crate::config::Given;
use crate::connect::Session;

/// The record.
pub(super) async fn record(given: &Given) -> Result<Record<Session>, WorkerError> {
    let client = given.destination()?.connect().await?;
    Ok(Record::new(Session::new(client)).in_schema(given.changes_schema.as_str()))
}
