//! A context that comes with the request, from a service that has injected it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::convert::Infallible;

use bemi_axum::{Context, ContextLayer, carrier, current_context, with_context_sync};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use serde_json::{Value, json};
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;

/// The context that a handler inside of `layer` sees.
async fn seen(layer: ContextLayer, headers: HeaderMap) -> Value {
    let (sender, receiver) = std::sync::mpsc::channel();
    let handler = service_fn(move |_: Request<()>| {
        sender.send(current_context()).unwrap();
        async { Ok::<_, Infallible>(Response::new(())) }
    });
    let mut request = Request::put("/todos/7").body(()).unwrap();
    *request.headers_mut() = headers;
    layer.layer(handler).oneshot(request).await.unwrap();
    receiver.recv().unwrap().unwrap().into()
}

fn injected(context: Context) -> HeaderMap {
    let mut headers = HeaderMap::new();
    with_context_sync(context, || {
        carrier::inject(|name, value| headers.insert(name, value.parse().unwrap()));
    });
    headers
}

fn header(value: &[u8]) -> HeaderMap {
    let name = HeaderName::from_static(carrier::CONTEXT_KEY);
    HeaderMap::from_iter([(name, HeaderValue::from_bytes(value).unwrap())])
}

#[tokio::test]
async fn what_was_injected_is_accepted() {
    let context = Context::new().with("user", "Jürgen \u{1F600}").with("tenant", json!({"id": 7}));
    let seen = seen(ContextLayer::new().accept_context(), injected(context.clone())).await;
    assert_eq!(seen, Value::from(context));
}

#[tokio::test]
async fn nothing_is_accepted_unless_asked() {
    assert_eq!(
        seen(ContextLayer::new(), injected(Context::new().with("user", 1))).await,
        json!({})
    );
}

#[tokio::test]
async fn what_the_layer_records_wins() {
    let layer = ContextLayer::new()
        .accept_context()
        .request_id()
        .set_context(|_| json!({"service": "billing", "user": 2}));
    let mut headers =
        injected(Context::new().with("user", 1).with("tenant", 7).with("request_id", "forged"));
    headers.insert("x-request-id", HeaderValue::from_static("abc"));
    let expected = json!({"service": "billing", "user": 2, "tenant": 7, "request_id": "abc"});
    assert_eq!(seen(layer, headers).await, expected);
}

#[tokio::test]
async fn a_header_that_is_no_context_fails_no_request() {
    let mut twice = header(br#"{"user":1}"#);
    twice.append(carrier::CONTEXT_KEY, HeaderValue::from_static(r#"{"user":2}"#));
    let large = format!(r#"{{"user":"{}"}}"#, "x".repeat(4096));
    for headers in [
        HeaderMap::new(),
        header(b""),
        header(b"user=1"),
        header(b"[1]"),
        header(b"{\"user\":\"\xfc\"}"),
        header(large.as_bytes()),
        twice,
    ] {
        let layer = ContextLayer::new().accept_context().set_context(|_| json!({"own": true}));
        assert_eq!(seen(layer, headers).await, json!({"own": true}));
    }
}
