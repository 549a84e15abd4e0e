//! Notices that another process has stored more.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tokio_postgres::Client;
use tracing::warn;

use crate::config::{ConnectionConfig, SlotName};
use crate::error::WorkerError;
use crate::pipeline::RunSummary;
use crate::pipeline::backoff::Backoff;
use crate::sink::Checkpoint;

/// How often to look.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Looks at a slot's checkpoint for as long as it is polled, and tells where it has moved to.
pub(crate) async fn watch_checkpoint(
    destination: &ConnectionConfig,
    slot: &SlotName,
    stored: &watch::Sender<RunSummary>,
) {
    let mut backoff = Backoff::default();
    loop {
        let Err(error) = look(destination, slot, stored, &mut backoff).await;
        let wait = backoff.next_wait();
        let (cause, retry_in_ms) = (error.to_string(), wait.as_millis());
        warn!(cause, retry_in_ms, "cannot see whether more is stored; trying again until it works");
        sleep(wait).await;
    }
}

async fn look(
    destination: &ConnectionConfig,
    slot: &SlotName,
    stored: &watch::Sender<RunSummary>,
    backoff: &mut Backoff,
) -> Result<std::convert::Infallible, WorkerError> {
    let client = destination.connect().await?;
    loop {
        let position = checkpoint(&client, slot).await?.position;
        *backoff = Backoff::default();
        stored
            .send_if_modified(|known| std::mem::replace(&mut known.position, position) != position);
        sleep(LOOK_INTERVAL).await;
    }
}

/// The slot's checkpoint.
pub(crate) async fn checkpoint(
    client: &Client,
    slot: &SlotName,
) -> Result<Checkpoint, WorkerError> {
    Checkpoint::read(client, slot.as_str())
        .await
        .map_err(WorkerError::database("read the checkpoint in the destination"))?
        .ok_or_else(|| WorkerError::NotSetUp { what: format!("slot {slot} has no checkpoint") })
}
