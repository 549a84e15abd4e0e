//! What goes from a request into its context: what is asked for, and nothing else.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::Write;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::MatchedPath;
use axum::routing::{get, post};
use bemi_axum::{Context, ContextLayer, current_context};
use http::{Request, Response};
use serde_json::{Value, json};
use tower::{ServiceExt, service_fn};
use tower_layer::Layer;

/// Runs the request through the layer and gives the context that its handler sees, and the response.
async fn seen(layer: ContextLayer, request: Request<()>) -> (Value, Response<()>) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let handler = service_fn(move |_: Request<()>| {
        let sender = sender.clone();
        async move {
            sender.send(current_context()).unwrap();
            Ok::<_, Infallible>(Response::new(()))
        }
    });
    let response = layer.layer(handler).oneshot(request).await.unwrap();
    (receiver.recv().unwrap().unwrap().into(), response.map(|_| ()))
}

fn request() -> Request<()> {
    Request::put("/todos/7?token=hush").header("authorization", "Bearer hush").body(()).unwrap()
}

#[tokio::test]
async fn nothing_is_captured_unless_asked() {
    let (context, response) = seen(ContextLayer::new(), request()).await;
    assert_eq!(context, json!({}));
    assert!(response.headers().is_empty());
}

#[tokio::test]
async fn the_closure_gives_anything_that_serializes_to_an_object() {
    #[derive(serde::Serialize)]
    struct Caller {
        method: String,
    }
    let put = json!({ "method": "PUT" });
    let json_value =
        ContextLayer::new().set_context(|parts| json!({ "method": parts.method.as_str() }));
    let a_struct =
        ContextLayer::new().set_context(|parts| Caller { method: parts.method.to_string() });
    let a_map = ContextLayer::new()
        .set_context(|parts| HashMap::from([("method", parts.method.to_string())]));
    let a_context = ContextLayer::new()
        .set_context(|parts| Context::new().with("method", parts.method.as_str()));
    let an_option =
        ContextLayer::new().set_context(|parts| Some(Caller { method: parts.method.to_string() }));
    for layer in [json_value, a_struct, a_map, a_context, an_option] {
        assert_eq!(seen(layer, request()).await.0, put);
    }
}

#[tokio::test]
async fn none_is_an_empty_context() {
    let layer = ContextLayer::new().set_context(|_| None::<Context>);
    assert_eq!(seen(layer, request()).await.0, json!({}));
}

#[tokio::test]
async fn a_second_closure_replaces_the_first() {
    let layer = ContextLayer::new()
        .set_context(|_| json!({ "one": 1 }))
        .set_context(|_| json!({ "two": 2 }));
    assert_eq!(seen(layer, request()).await.0, json!({ "two": 2 }));
}

#[tokio::test]
async fn a_value_that_is_no_object_leaves_its_error_and_not_itself() {
    let layer = ContextLayer::new().set_context(|_| "hush");
    let (context, response) = seen(layer, request()).await;
    let error = context["_bemi"]["error"].as_str().unwrap();
    assert!(error.contains("a string"), "{error}");
    assert!(!context.to_string().contains("hush"));
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn a_value_that_does_not_serialize_leaves_its_error_and_not_itself() {
    struct Fails;
    impl serde::Serialize for Fails {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("cannot serialize hush"))
        }
    }
    let layer = ContextLayer::new().request_id().set_context(|_| Fails);
    let mut request = request();
    request.headers_mut().insert("x-request-id", "r-1".parse().unwrap());
    let (context, response) = seen(layer, request).await;
    let error = "the value given as a context does not serialize to JSON";
    assert_eq!(context, json!({ "request_id": "r-1", "_bemi": { "error": error } }));
    assert_eq!(response.status(), 200);
}

/// What is logged, to be looked at.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_value_that_is_no_object_is_warned_about_once_and_is_not_in_the_log() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    let logging = tracing::subscriber::set_default(subscriber);
    seen(ContextLayer::new().set_context(|_| "hush"), request()).await;
    drop(logging);
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.matches("WARN").count(), 1, "{text}");
    assert!(text.contains("a string") && !text.contains("hush"), "{text}");
}

#[tokio::test]
async fn a_request_id_is_taken_from_the_header_and_repeated_in_the_response() {
    let mut request = request();
    request.headers_mut().insert("x-request-id", "from-the-proxy".parse().unwrap());
    let (context, response) = seen(ContextLayer::new().request_id(), request).await;
    assert_eq!(context, json!({ "request_id": "from-the-proxy" }));
    assert_eq!(response.headers()["x-request-id"], "from-the-proxy");
}

#[tokio::test]
async fn a_request_id_that_is_absent_or_unfit_is_generated() {
    for unfit in [None, Some(String::new()), Some("a b".to_owned()), Some("x".repeat(129))] {
        let mut request = request();
        if let Some(unfit) = &unfit {
            request.headers_mut().insert("x-request-id", unfit.parse().unwrap());
        }
        let (context, response) = seen(ContextLayer::new().request_id(), request).await;
        let id = context["request_id"].as_str().unwrap();
        assert_eq!(id.len(), 36, "{unfit:?} became {id}");
        assert_eq!(response.headers()["x-request-id"], id);
    }
}

#[tokio::test]
async fn nested_layers_agree_on_the_request_id_that_the_outer_one_generated() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let handler = service_fn(move |request: Request<()>| {
        sender
            .send((request.headers()["x-request-id"].clone(), current_context().unwrap()))
            .unwrap();
        async { Ok::<_, Infallible>(Response::new(())) }
    });
    let layer = ContextLayer::new().request_id();
    let response = layer.layer(layer.layer(handler)).oneshot(request()).await.unwrap();
    let (header, context) = receiver.recv().unwrap();
    assert_eq!(context.get("request_id").unwrap(), header.to_str().unwrap());
    assert_eq!(response.headers()["x-request-id"], header);
}

#[tokio::test]
async fn a_request_id_that_the_handler_answers_with_stays() {
    let handler = service_fn(async |_: Request<()>| {
        Ok::<_, Infallible>(Response::builder().header("x-request-id", "its own").body(()).unwrap())
    });
    let response =
        ContextLayer::new().request_id().layer(handler).oneshot(request()).await.unwrap();
    let all: Vec<_> = response.headers().get_all("x-request-id").iter().collect();
    assert_eq!(all, ["its own"]);
}

#[tokio::test]
async fn the_trace_is_taken_from_a_valid_traceparent() {
    let layer = ContextLayer::new().trace_context();
    let mut request = request();
    let value = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    request.headers_mut().insert("traceparent", value.parse().unwrap());
    assert_eq!(
        seen(layer.clone(), request).await.0,
        json!({ "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "parent_id": "00f067aa0ba902b7" })
    );

    let mut invalid = self::request();
    invalid.headers_mut().insert("traceparent", "00-nonsense".parse().unwrap());
    assert_eq!(seen(layer.clone(), invalid).await.0, json!({}));
    assert_eq!(seen(layer, self::request()).await.0, json!({}));
}

#[tokio::test]
async fn a_key_of_the_closure_wins_over_a_captured_one() {
    let layer = ContextLayer::new().set_context(|_| json!({ "request_id": "mine" })).request_id();
    let (context, response) = seen(layer, request()).await;
    assert_eq!(context, json!({ "request_id": "mine" }));
    assert_eq!(response.headers()["x-request-id"].len(), 36);
}

fn endpoint() -> ContextLayer {
    ContextLayer::new().set_context(|parts| {
        json!({ "endpoint": parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str) })
    })
}

async fn body_of(app: Router, path: &str) -> Value {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let body = app.oneshot(request).await.unwrap().into_body();
    serde_json::from_slice(&axum::body::to_bytes(body, usize::MAX).await.unwrap()).unwrap()
}

async fn context_as_json() -> String {
    Value::from(current_context().unwrap()).to_string()
}

#[tokio::test]
async fn the_matched_route_is_there_for_layers_of_a_router() {
    let routes =
        || Router::new().route("/todos/{id}", get(context_as_json)).fallback(context_as_json);
    let route = json!({ "endpoint": "/todos/{id}" });
    assert_eq!(body_of(routes().layer(endpoint()), "/todos/7").await, route);
    assert_eq!(body_of(routes().route_layer(endpoint()), "/todos/7").await, route);
    assert_eq!(
        body_of(routes().layer(endpoint()), "/elsewhere").await,
        json!({ "endpoint": null })
    );
}

#[tokio::test]
async fn the_matched_route_is_whole_for_a_layer_of_a_nested_router() {
    let api = Router::new().route("/todos/{id}", get(context_as_json)).layer(endpoint());
    let app = Router::new().nest("/api", api);
    assert_eq!(body_of(app, "/api/todos/7").await, json!({ "endpoint": "/api/todos/{id}" }));
}

#[tokio::test]
async fn the_body_of_a_request_arrives_as_it_was() {
    let app = Router::new().route("/", post(async |body: String| body)).layer(endpoint());
    let request = Request::post("/").body(Body::from("\"as it was\"")).unwrap();
    let body = app.oneshot(request).await.unwrap().into_body();
    assert_eq!(axum::body::to_bytes(body, usize::MAX).await.unwrap(), "\"as it was\"");
}
