//! Answers `/metrics`, `/health` and `/ready`.
//!
//! It waits for no database and for no lock that the worker holds for long, so it answers as long as the
//! process can.

use std::net::SocketAddr;
use std::time::Instant;

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use jiff::Timestamp;
use tokio::sync::watch;
use tracing::{info, warn};

use super::state::State;
use super::verdict::{self, Verdict};
use super::{Metrics, exposition};
use crate::error::WorkerError;
use crate::http::{Body, Listener, Refusal, json, options, whole, with_body};

/// Connections at one time: few ask, and each is answered at once.
const CONNECTIONS_MAX: usize = 16;

/// What listens.
#[derive(Debug)]
pub(crate) struct MetricsServer(Listener);

impl MetricsServer {
    /// Listens.
    ///
    /// # Errors
    /// [`WorkerError::Listen`] where the address is in use or is not ours.
    pub(crate) async fn bind(address: SocketAddr) -> Result<Self, WorkerError> {
        let listener = Listener::bind(address, "--metrics", CONNECTIONS_MAX).await?;
        let address = listener.address()?;
        if address.ip().is_loopback() {
            info!(%address, "listening for metrics");
        } else {
            warn!(
                %address,
                "listening for metrics, and other machines can reach that: whoever does can read how \
                 the worker does, without a token"
            );
        }
        Ok(Self(listener))
    }

    /// Answers until `shutdown` is `true` or its sender is gone.
    pub(crate) async fn run(self, metrics: Metrics, shutdown: watch::Receiver<bool>) {
        let answer = move |request| std::future::ready(answer(&metrics, &request));
        self.0.serve(answer, shutdown).await;
    }
}

fn answer(metrics: &Metrics, request: &Request<Incoming>) -> Response<Body> {
    match *request.method() {
        Method::GET | Method::HEAD => {}
        Method::OPTIONS => return options(),
        _ => return Refusal::Method.answer(),
    }
    // Before anything is worked out, so that nobody waits for that.
    let state = metrics.state().clone();
    match request.uri().path() {
        "/metrics" => {
            let text = exposition::text(state);
            with_body(StatusCode::OK, exposition::CONTENT_TYPE, whole(text))
        }
        "/health" => judged(verdict::health, &state),
        "/ready" => judged(verdict::readiness, &state),
        _ => Refusal::NotFound.answer(),
    }
}

fn judged(judge: fn(&State, Instant, Timestamp) -> Verdict, state: &State) -> Response<Body> {
    let verdict = judge(state, Instant::now(), Timestamp::now());
    let status = if verdict.is_ok() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(status, &verdict)
}
