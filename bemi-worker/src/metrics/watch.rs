//! Asks the destination what is wrong with the record, at intervals.
//!
//! It has a connection of its own, so that it neither delays what is stored nor waits for it. What the
//! source keeps is asked by who watches over that anyway: see `pipeline/retained.rs`.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, Error};
use tracing::{debug, warn};

use super::{DestinationReading, Metrics};
use crate::config::{ConnectionConfig, SlotName};
use crate::error::WorkerError;
use crate::rate_limited::RateLimited;

/// How often to ask.
const ASK_INTERVAL: Duration = Duration::from_secs(15);

/// How long an answer may take, a connection included.
const ANSWER_MAX: Duration = Duration::from_secs(15);

/// It only reads, and waits for nobody for long.
const PREPARE: &str = "SET default_transaction_read_only = on; SET statement_timeout = '5s'; \
                       SET lock_timeout = '1s'";

/// What retention has dropped is a gap of another kind, and no fault. An installation that is older than
/// the kinds has no such column, and only gaps that are faults.
const ASK: &str = "SELECT (SELECT count(*) FROM bemi.gaps g WHERE g.slot = c.slot \
                           AND coalesce(to_jsonb(g)->>'kind', 'lost') = 'lost'), \
                          (SELECT count(*) FROM bemi.quarantine q WHERE q.slot = c.slot), \
                          c.committed_at \
                   FROM bemi.checkpoint c WHERE c.slot = $1";

/// Asks for as long as it is polled.
pub(crate) async fn watch_destination(
    metrics: Metrics,
    destination: ConnectionConfig,
    slot: SlotName,
) {
    let trouble = RateLimited::default();
    let mut session = None;
    loop {
        let asked = timeout(ANSWER_MAX, ask(session.take(), &destination, &slot)).await;
        let cause = match asked {
            Ok(Ok((client, reading))) => {
                session = Some(client);
                trouble.over();
                metrics.destination_asked(reading);
                None
            }
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("it has not answered for {} s", ANSWER_MAX.as_secs())),
        };
        if let Some(cause) = cause {
            metrics.destination_asked(None);
            // Where the worker itself cannot store, it says so, and once is enough.
            if !metrics.is_streaming() {
                debug!(cause, "cannot ask the destination for the metrics");
            } else if let Some(held_back) = trouble.say() {
                warn!(cause, held_back, "cannot ask the destination for the metrics");
            }
        }
        sleep(ASK_INTERVAL).await;
    }
}

async fn ask(
    session: Option<Client>,
    destination: &ConnectionConfig,
    slot: &SlotName,
) -> Result<(Client, Option<DestinationReading>), WorkerError> {
    let failed = || WorkerError::database("read what is wrong with the record");
    let client = match session {
        Some(client) => client,
        None => {
            let client = destination.connect().await?;
            client.batch_execute(PREPARE).await.map_err(failed())?;
            client
        }
    };
    let reading = read(&client, slot).await.map_err(failed())?;
    Ok((client, reading))
}

async fn read(client: &Client, slot: &SlotName) -> Result<Option<DestinationReading>, Error> {
    let row = client.query_opt(ASK, &[&slot.as_str()]).await?;
    row.map(|row| {
        let count = |index| row.try_get::<_, i64>(index).map(i64::unsigned_abs);
        Ok(DestinationReading {
            gaps: count(0)?,
            quarantined: count(1)?,
            last_commit: row.try_get(2)?,
        })
    })
    .transpose()
}
