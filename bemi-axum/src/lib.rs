//! The context of a web request, for bemi: a tower layer and axum extractors.
//!
//! [`ContextLayer`] gives each request a [scope](bemi_core::scope) with a context. Every row that
//! the request's handler writes through a bemi adapter, such as `bemi-sqlx`, is then stored with
//! that context beside it.
//!
//! ```text
//! request ─▶ ContextLayer ─▶ middleware ─▶ handler ─▶ streamed response body
//!            new scope       └────── all of it runs in the scope ────────┘
//! ```
//!
//! ```
//! use axum::{Json, Router, routing::post};
//! use bemi_axum::{ContextLayer, RequestContext};
//! use serde_json::{Value, json};
//!
//! async fn create(context: RequestContext, Json(params): Json<Value>) {
//!     context.add([("params", params)]);
//!     // … what is written from here on has `endpoint`, `method`, `request_id` and `params`
//! }
//!
//! let app: Router = Router::new().route("/todos", post(create)).layer(
//!     ContextLayer::new().request_id().set_context(
//!         |parts| json!({ "endpoint": parts.uri.path(), "method": parts.method.as_str() }),
//!     ),
//! );
//! ```
//!
//! # What is captured
//!
//! Nothing but what is asked for: a plain `ContextLayer::new()` makes an empty context. Nothing of
//! the body, the query string or the headers goes into a context by itself. Values of keys such as
//! `password` or `token` are redacted by the adapter before they leave the process.
//!
//! # Where to put the layer
//!
//! With [`Router::layer`], the layer that is added last is the outermost one. Middleware that adds
//! to the context, such as authentication, belongs inside: add `ContextLayer` after it. A router
//! takes a layer for the routes that it has by then: add it after the routes.
//!
//! ```
//! use axum::{Router, extract::Request, middleware::{Next, from_fn}, response::Response, routing::get};
//! use bemi_axum::{ContextLayer, add_context};
//!
//! async fn authenticate(request: Request, next: Next) -> Response {
//!     add_context([("user_id", 42)]);
//!     next.run(request).await
//! }
//!
//! let app: Router = Router::new()
//!     .route("/todos", get(async || "[]"))
//!     .layer(from_fn(authenticate))
//!     .layer(ContextLayer::new());
//! ```
//!
//! Layers nest: the scope of a layer on a nested router lies inside that of the layer around it,
//! and where both have a key the inner one wins.
//!
//! # Method and route
//!
//! A path such as `/todos/7` names one row; the route, `/todos/{id}`, names the endpoint. axum puts
//! it in the request's extensions:
//!
//! ```
//! use axum::{Router, extract::MatchedPath, routing::put};
//! use bemi_axum::ContextLayer;
//! use serde_json::json;
//!
//! let layer = ContextLayer::new().set_context(|parts| {
//!     json!({
//!         "method": parts.method.as_str(),
//!         "endpoint": parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str),
//!     })
//! });
//! let app: Router = Router::new().route("/todos/{id}", put(async || ())).layer(layer);
//! ```
//!
//! It is there for layers that a router applies, by [`Router::layer`] or [`Router::route_layer`],
//! and not for a layer around the router as a whole, which runs before routing. `Router::layer` also
//! covers the fallback, where no route has matched: `endpoint` is `null` there, and `route_layer`
//! leaves such requests alone.
//!
//! # Services that call services
//!
//! [`carrier::inject`] puts the context into the headers of an outgoing request, and a layer with
//! [`accept_context`](ContextLayer::accept_context) starts from it:
//!
//! ```
//! use axum::http::{HeaderMap, HeaderValue};
//! use bemi_axum::carrier;
//!
//! let mut headers = HeaderMap::new();
//! carrier::inject(|name, value| Some(headers.insert(name, HeaderValue::try_from(value).ok()?)));
//! ```
//!
//! # Tasks
//!
//! A scope does not cross [`tokio::spawn`] by itself: use [`spawn`] and [`spawn_blocking`] of this
//! crate. Where a library spawns, as for a WebSocket, take [`RequestContext::scope`] along.
//!
//! [`tokio::spawn`]: https://docs.rs/tokio/latest/tokio/task/fn.spawn.html
//! [`Router::layer`]: https://docs.rs/axum/latest/axum/struct.Router.html#method.layer
//! [`Router::route_layer`]: https://docs.rs/axum/latest/axum/struct.Router.html#method.route_layer

mod body;
mod capture;
mod extract;
mod future;
mod layer;
mod request_id;
mod service;
mod trace_context;

pub use bemi_core::{
    Context, ContextFutureExt, Scope, add_context, carrier, current_context, spawn, spawn_blocking,
    with_context, with_context_sync,
};

pub use self::body::ContextBody;
pub use self::extract::{MissingContextLayer, RequestContext};
pub use self::future::ResponseFuture;
pub use self::layer::ContextLayer;
pub use self::service::ContextService;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
