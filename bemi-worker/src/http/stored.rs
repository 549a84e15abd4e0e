//! Notices that another process has stored more.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tracing::warn;

use crate::config::{ConnectionConfig, SlotName};
use crate::error::WorkerError;
use crate::pipeline::RunSummary;
use crate::pipeline::backoff::Backoff;
use crate::pipeline::readiness::read_checkpoint;
use crate::rate_limited::RateLimited;

/// How often to look.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Looks at a slot's checkpoint for as long as it is polled, and tells where it has moved to.
pub(crate) async fn watch_checkpoint(
    destination: &ConnectionConfig,
    slot: &SlotName,
    stored: &watch::Sender<RunSummary>,
) {
    let mut backoff = Backoff::default();
    let trouble = RateLimited::new();
    loop {
        let Err(error) = look(destination, slot, stored, &mut backoff).await;
        let wait = backoff.next_wait();
        let retry_in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let cause = error.to_string();
        if let Some(held_back) = trouble.say() {
            warn!(
                cause,
                retry_in_ms,
                held_back,
                "cannot see whether more is stored; trying again until it works"
            );
        }
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
        let position = read_checkpoint(&client, destination, slot).await?.position;
        *backoff = Backoff::default();
        stored
            .send_if_modified(|known| std::mem::replace(&mut known.position, position) != position);
        sleep(LOOK_INTERVAL).await;
    }
}
