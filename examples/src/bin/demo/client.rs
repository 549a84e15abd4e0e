//! A client of the todo list, who is one user and says what it does.

use std::net::SocketAddr;

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, header};
use bemi_examples::Result;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// More than any answer of the list.
const ANSWER_MAX_BYTES: usize = 64 * 1024;

/// One user of the list.
pub(crate) struct Client {
    http: HttpClient<HttpConnector, Body>,
    server: SocketAddr,
    user_id: u32,
}

impl Client {
    pub(crate) fn new(server: SocketAddr, user_id: u32) -> Self {
        Self { http: HttpClient::builder(TokioExecutor::new()).build_http(), server, user_id }
    }

    /// Sends one request, and fails unless the list says that it did what was asked.
    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Result<()> {
        let text = body.map(|body| body.to_string()).unwrap_or_default();
        let asked = format!("{method} {path} {text}");
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.server))
            .header("x-user-id", self.user_id)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(text))?;
        let response = self.http.request(request).await?;
        let status = response.status();
        eprintln!("  {} → {status}", asked.trim_end());
        if status.is_success() {
            return Ok(());
        }
        let answer = to_bytes(Body::new(response.into_body()), ANSWER_MAX_BYTES).await?;
        Err(format!("{asked} was refused: {}", String::from_utf8_lossy(&answer)).into())
    }
}
