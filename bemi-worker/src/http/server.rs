//! Serves the record, and ends with the worker.

use std::sync::Arc;

use tokio::sync::watch;
use tracing::info;

use super::listener::Listener;
use super::route::{Endpoints, answer};
use crate::config::{ConnectionConfig, HttpConfig, SlotName};
use crate::error::WorkerError;
use crate::pipeline::RunSummary;

/// Connections at one time, subscribers among them.
const CONNECTIONS_MAX: usize = 256;

/// What listens.
#[derive(Debug)]
pub(crate) struct Server {
    listener: Listener,
    config: HttpConfig,
    record: Whereabouts,
}

/// Where the record is that is served.
#[derive(Clone, Debug)]
pub(crate) struct Whereabouts {
    /// The database that has `changes`.
    pub(crate) destination: ConnectionConfig,
    pub(crate) changes_schema: String,
    /// The slot by which they are stored.
    pub(crate) slot: SlotName,
    /// The database whose changes they are.
    pub(crate) database: String,
}

impl Server {
    /// Listens.
    ///
    /// # Errors
    /// [`WorkerError::Listen`] where the address is in use or is not ours.
    pub(crate) async fn bind(config: HttpConfig, record: Whereabouts) -> Result<Self, WorkerError> {
        let listener = Listener::bind(config.listen, "--http", CONNECTIONS_MAX).await?;
        let address = listener.address()?;
        info!(%address, "listening for HTTP");
        Ok(Self { listener, config, record })
    }

    /// Serves until `shutdown` is `true` or its sender is gone; `stored` changes whenever more is
    /// stored.
    pub(crate) async fn run(
        self,
        stored: watch::Receiver<RunSummary>,
        shutdown: watch::Receiver<bool>,
    ) {
        let endpoints = Endpoints::new(self.config, self.record, stored, shutdown.clone());
        let endpoints = Arc::new(endpoints);
        let answer = move |request| answer(Arc::clone(&endpoints), request);
        self.listener.serve(answer, shutdown).await;
    }
}
