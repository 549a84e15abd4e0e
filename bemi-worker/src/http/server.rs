//! Takes connections, and ends with the worker.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use super::route::{Endpoints, answer};
use super::write_limit::WriteLimit;
use crate::config::{ConnectionConfig, HttpConfig, SlotName};
use crate::error::WorkerError;
use crate::pipeline::{RunSummary, stopped};

/// Connections at one time, subscribers among them. Others wait to be taken.
const CONNECTIONS_MAX: usize = 256;

/// How long the head of a request may take to arrive, and how large it may be.
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);
const HEAD_BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;

/// What is kept of an answer that a client has not read yet.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// How long to wait after a connection could not be taken, as when there are too many files.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// How long answers that are under way have when the worker ends.
const FAREWELL_MAX: Duration = Duration::from_secs(1);

/// What listens.
#[derive(Debug)]
pub(crate) struct Server {
    listener: TcpListener,
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
        let address = config.listen;
        let failed = |source| WorkerError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        info!(%address, "listening for HTTP");
        Ok(Self { listener, config, record })
    }

    /// Serves until `shutdown` is `true` or its sender is gone; `stored` changes whenever more is
    /// stored.
    pub(crate) async fn run(
        self,
        stored: watch::Receiver<RunSummary>,
        mut shutdown: watch::Receiver<bool>,
    ) {
        let endpoints = Endpoints::new(self.config, self.record, stored, shutdown.clone());
        let endpoints = Arc::new(endpoints);
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            tokio::select! {
                biased;
                () = stopped(&mut shutdown) => break,
                (stream, place) = take(&self.listener, &places) => {
                    connections.spawn(serve(stream, Arc::clone(&endpoints), place));
                }
            }
        }
        drop(self.listener);
        // Streams end by themselves, at once. What does not, ends with the set.
        let all_ended = async { while connections.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(FAREWELL_MAX, all_ended).await;
    }
}

/// Takes the next connection, once there is room for it.
async fn take(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // Nobody closes it.
    let place = Arc::clone(places).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            Err(error) => {
                warn!(cause = %error, "cannot take a connection over HTTP");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One request, and its answer.
async fn serve(stream: TcpStream, endpoints: Arc<Endpoints>, place: Option<OwnedSemaphorePermit>) {
    // An event is a whole write.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| answer(Arc::clone(&endpoints), request));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_header_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .max_buf_size(BUFFER_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(WriteLimit::new(stream)), service)
        .await;
    if let Err(error) = served {
        debug!(cause = %error, "a connection over HTTP ended");
    }
    drop(place);
}
