//! Takes connections, has each request answered, and ends when it is told to.
//!
//! Invariant: everything has a limit, whoever connects: connections, the head of a request, the time for
//! it, what is kept of an answer, and the time for it to be read.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use super::answer::Body;
use super::write_limit::WriteLimit;
use crate::error::WorkerError;
use crate::pipeline::stopped;
use crate::rate_limited::RateLimited;

/// How long the head of a request may take to arrive, and how large it may be.
const HEAD_TIME_MAX: Duration = Duration::from_secs(10);
const HEAD_BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;

/// What is kept of an answer that a client has not read yet.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// How long to wait after a connection could not be taken, as when there are too many files.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// How long answers that are under way have when it ends.
const FAREWELL_MAX: Duration = Duration::from_secs(1);

/// An address that is listened at.
#[derive(Debug)]
pub(crate) struct Listener {
    listener: TcpListener,
    places: Arc<Semaphore>,
    trouble: RateLimited,
}

impl Listener {
    /// Listens, for that many connections at one time; others wait to be taken. `option` is what the
    /// address was given by.
    ///
    /// # Errors
    /// [`WorkerError::Listen`] where the address is in use or is not ours.
    pub(crate) async fn bind(
        address: SocketAddr,
        option: &'static str,
        connections_max: usize,
    ) -> Result<Self, WorkerError> {
        let failed = |source| WorkerError::Listen { address, option, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let places = Arc::new(Semaphore::new(connections_max));
        Ok(Self { listener, places, trouble: RateLimited::default() })
    }

    /// Where it listens: the port that the system chose, where it was asked to.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Has each request answered, until `shutdown` is `true` or its sender is gone.
    pub(crate) async fn serve<A, F>(self, answer: A, mut shutdown: watch::Receiver<bool>)
    where
        A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            tokio::select! {
                biased;
                () = stopped(&mut shutdown) => break,
                (stream, place) = self.take() => {
                    connections.spawn(serve_one(stream, answer.clone(), place));
                }
            }
        }
        drop(self.listener);
        // Streams end by themselves, at once. What does not, ends with the set.
        let all_ended = async { while connections.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(FAREWELL_MAX, all_ended).await;
    }

    /// Takes the next connection, once there is room for it.
    async fn take(&self) -> (TcpStream, Option<OwnedSemaphorePermit>) {
        // Nobody closes it.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => return (stream, place),
                Err(error) => {
                    if let Some(held_back) = self.trouble.say() {
                        warn!(cause = %error, held_back, "cannot take a connection over HTTP");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// One request, and its answer.
async fn serve_one<A, F>(stream: TcpStream, answer: A, place: Option<OwnedSemaphorePermit>)
where
    A: Fn(Request<Incoming>) -> F + Send,
    F: Future<Output = Response<Body>> + Send,
{
    // An event is a whole write.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let answered = answer(request);
        async move { Ok::<_, Infallible>(answered.await) }
    });
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
