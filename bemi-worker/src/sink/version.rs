//! Whether the worker's own tables are those that this version knows.

use tokio_postgres::{Client, Error};

use super::tables::{READ_VERSION, TABLES_VERSION, TABLES_VERSION_MIN};
use crate::config::ConnectionConfig;
use crate::error::WorkerError;

/// The version of the tables that are there; `None` where there are none.
///
/// # Errors
///
/// Those of the query.
pub(crate) async fn tables_version(client: &Client) -> Result<Option<i32>, Error> {
    let row = client.query_one(READ_VERSION, &[]).await?;
    Ok(if row.try_get(0)? {
        // Before it was noted down.
        Some(row.try_get::<_, Option<i32>>(1)?.unwrap_or(1))
    } else {
        None
    })
}

/// Refuses tables that this version cannot use.
///
/// # Errors
///
/// [`WorkerError::NotSetUp`] where they are too old, [`WorkerError::NewerTables`] where a later version
/// made them. That there are none is none.
pub(crate) async fn check_version(
    client: &Client,
    destination: &ConnectionConfig,
) -> Result<(), WorkerError> {
    let found = tables_version(client)
        .await
        .map_err(WorkerError::database("read of which version the worker's tables are"))?;
    match found {
        Some(found) if found < TABLES_VERSION_MIN => Err(WorkerError::NotSetUp {
            what: format!(
                "the worker's tables in {destination} are of version {found}, and this worker needs \
                 version {TABLES_VERSION_MIN}"
            ),
        }),
        Some(found) if found > TABLES_VERSION => {
            Err(WorkerError::NewerTables { destination: destination.to_string(), found })
        }
        Some(_) | None => Ok(()),
    }
}
