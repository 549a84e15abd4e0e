//! SIGTERM and SIGINT: the first asks, the second does not.

use std::future::Future;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::info;

use crate::WorkerError;

/// Becomes `true` at the first SIGTERM or SIGINT. The second ends the process with 130.
pub(super) fn listen() -> Result<watch::Receiver<bool>, WorkerError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (told, shutdown) = watch::channel(false);
    tokio::spawn(async move {
        for asked_before in [false, true] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if asked_before {
                std::process::exit(i32::from(WorkerError::Interrupted.exit_code()));
            }
            info!("told to stop; finishing what is in flight");
            // Nobody may be listening any more: then the command is ending already.
            let _ = told.send(true);
        }
    });
    Ok(shutdown)
}

/// Runs a command that can be dropped at any point.
pub(super) async fn unless_told<T>(
    mut shutdown: watch::Receiver<bool>,
    command: impl Future<Output = Result<T, WorkerError>>,
) -> Result<T, WorkerError> {
    tokio::select! {
        finished = command => finished,
        _ = shutdown.wait_for(|told| *told) => Err(WorkerError::Interrupted),
    }
}
