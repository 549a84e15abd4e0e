//! Deletes old rows of a plain `changes`, a few at a time.
//!
//! It costs: each row is found, marked and vacuumed, and its space is used again but not given back.
//! Partitions cost nothing of that.

use std::time::Duration;

use jiff::Timestamp;
use tokio_postgres::Client;

use super::announce::{Announced, announce, dropped};
use super::{Report, now};
use crate::config::Retention;
use crate::error::WorkerError;
use crate::partitions::{LOCK_TIMEOUT_SHORT, Maintenance, is_busy, parent};
use crate::setup::append_only::LIFT;

/// How many rows go in a transaction, and how long others have the disk for themselves in between.
const ROWS_AT_ONCE: u64 = 2_000;
const PAUSE: Duration = Duration::from_millis(50);

const DOING: &str = "delete old changes";

/// What would go.
pub(super) async fn preview(
    client: &Client,
    schema: &str,
    retention: Retention,
    report: &mut Report,
) -> Result<(), WorkerError> {
    let to = retention.midnight(now(client).await?);
    if is_there(client, schema, to, retention.horizon(now(client).await?)).await? {
        report
            .steps
            .push(format!("delete the rows of {schema}.changes that were committed before {to}"));
    }
    Ok(())
}

/// Announces what goes, and deletes it.
pub(super) async fn delete(
    session: &mut Maintenance,
    schema: &str,
    retention: Retention,
    report: &mut Report,
) -> Result<(), WorkerError> {
    let clock = now(session.client()).await?;
    let (to, horizon) = (retention.midnight(clock), retention.horizon(clock));
    if !is_there(session.client(), schema, to, horizon).await? {
        return dropped(session, schema, None).await;
    }
    announce(session, &[Announced { schema, relation: None, from: None, to }]).await?;
    // By the key, from the oldest on; what another one holds can wait.
    let table = parent(schema);
    let delete = format!(
        "DELETE FROM {table} WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM {table} WHERE committed_at < $1 AND created_at < $2
             ORDER BY committed_at, id LIMIT {ROWS_AT_ONCE} FOR UPDATE SKIP LOCKED))"
    );
    loop {
        let failed = || WorkerError::database(DOING);
        let transaction = session.begin().await.map_err(failed())?;
        transaction
            .batch_execute(&format!("SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SHORT}'; {LIFT}"))
            .await
            .map_err(failed())?;
        let deleted = match transaction.execute(&delete, &[&to, &horizon]).await {
            Ok(deleted) => deleted,
            Err(error) if is_busy(&error) => {
                report.postponed.push(format!("{table} is in use"));
                return Ok(());
            }
            Err(error) => return Err(failed()(error)),
        };
        transaction.commit().await.map_err(failed())?;
        report.deleted += deleted;
        if deleted == 0 {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    report.steps.push(format!(
        "delete {} rows of {schema}.changes that were committed before {to}",
        report.deleted
    ));
    dropped(session, schema, None).await
}

async fn is_there(
    client: &Client,
    schema: &str,
    to: Timestamp,
    horizon: Timestamp,
) -> Result<bool, WorkerError> {
    let failed = || WorkerError::database(DOING);
    let exists = format!(
        "SELECT EXISTS (SELECT FROM {} WHERE committed_at < $1 AND created_at < $2)",
        parent(schema)
    );
    let row = client.query_one(&exists, &[&to, &horizon]).await.map_err(failed())?;
    row.try_get(0).map_err(failed())
}
