//! Reading and extending the context of a request, in handlers and in middleware.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bemi_axum::{
    Context, ContextLayer, MissingContextLayer, RequestContext, add_context, current_context,
};
use serde_json::{Value, json};
use tower::ServiceExt;

async fn get_text(app: Router, path: &str) -> (u16, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn get_json(app: Router, path: &str) -> Value {
    serde_json::from_str(&get_text(app, path).await.1).unwrap()
}

async fn context_as_json() -> Json<Option<Context>> {
    Json(current_context())
}

#[tokio::test]
async fn a_handler_reads_and_extends_the_context() {
    async fn handler(context: RequestContext) -> Json<Context> {
        assert_eq!(context.get(), Context::new().with("endpoint", "/").with("user_id", 1));
        context.add(Context::new().with("user_id", 2).with("role", "owner"));
        assert_eq!(current_context(), Some(context.get()));
        Json(context.get())
    }
    let layer = ContextLayer::new()
        .set_context(|parts| json!({ "endpoint": parts.uri.path(), "user_id": 1 }));
    let app = Router::new().route("/", get(handler)).layer(layer);
    assert_eq!(get_json(app, "/").await, json!({ "endpoint": "/", "user_id": 2, "role": "owner" }));
}

#[tokio::test]
async fn middleware_inside_the_layer_extends_the_context_of_the_handler() {
    async fn by_extractor(context: RequestContext, request: Request, next: Next) -> Response {
        context.add([("by_extractor", 1)]);
        next.run(request).await
    }
    async fn by_extension(request: Request, next: Next) -> Response {
        request.extensions().get::<RequestContext>().unwrap().add([("by_extension", 2)]);
        next.run(request).await
    }
    async fn ambient(request: Request, next: Next) -> Response {
        assert!(add_context([("ambient", 3)]));
        next.run(request).await
    }
    let app = Router::new()
        .route("/", get(context_as_json))
        .layer(from_fn(by_extractor))
        .layer(from_fn(by_extension))
        .layer(from_fn(ambient))
        .layer(ContextLayer::new());
    let expected = json!({ "by_extractor": 1, "by_extension": 2, "ambient": 3 });
    assert_eq!(get_json(app, "/").await, expected);
}

#[tokio::test]
async fn a_nested_layer_merges_and_wins() {
    let outer = ContextLayer::new().set_context(|_| json!({ "app": "todo", "area": "all" }));
    let inner = ContextLayer::new().set_context(|_| json!({ "area": "admin" }));
    let admin = Router::new().route("/", get(context_as_json)).layer(inner);
    let app = Router::new().route("/", get(context_as_json)).nest("/admin", admin).layer(outer);
    assert_eq!(get_json(app.clone(), "/admin").await, json!({ "app": "todo", "area": "admin" }));
    assert_eq!(get_json(app, "/").await, json!({ "app": "todo", "area": "all" }));
}

#[tokio::test]
async fn what_middleware_adds_between_two_layers_reaches_the_handler() {
    async fn authenticate(context: RequestContext, request: Request, next: Next) -> Response {
        context.add([("user_id", 42)]);
        let response = next.run(request).await;
        // The inner scope's fields are its own.
        assert_eq!(context.get(), Context::new().with("user_id", 42));
        response
    }
    let inner = ContextLayer::new().set_context(|_| json!({ "area": "admin" }));
    let app = Router::new()
        .route("/", get(context_as_json))
        .layer(inner)
        .layer(from_fn(authenticate))
        .layer(ContextLayer::new());
    assert_eq!(get_json(app, "/").await, json!({ "user_id": 42, "area": "admin" }));
}

#[tokio::test]
async fn without_the_layer_the_rejection_names_it_and_says_how_to_add_it() {
    async fn handler(_: RequestContext) {}
    let (status, body) = get_text(Router::new().route("/", get(handler)), "/").await;
    assert_eq!(status, 500);
    assert_eq!(body, MissingContextLayer.to_string());
    assert!(body.contains(".layer(bemi_axum::ContextLayer::new())"), "{body}");
    assert_eq!(MissingContextLayer.into_response().status(), 500);
}

#[tokio::test]
async fn an_optional_context_does_not_fail() {
    async fn handler(context: Option<RequestContext>) -> Json<bool> {
        Json(context.is_some())
    }
    let app = Router::new().route("/", get(handler));
    assert_eq!(get_json(app.clone(), "/").await, json!(false));
    assert_eq!(get_json(app.layer(ContextLayer::new()), "/").await, json!(true));
}

#[tokio::test]
async fn the_rejection_can_be_handled_as_a_typed_error() {
    async fn handler(context: Result<RequestContext, MissingContextLayer>) -> Json<bool> {
        Json(matches!(context, Err(MissingContextLayer)))
    }
    assert_eq!(get_json(Router::new().route("/", get(handler)), "/").await, json!(true));
}
