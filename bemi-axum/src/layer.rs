//! The layer: what an application configures and adds to its stack.

use http::request::Parts;
use serde::Serialize;
use tower_layer::Layer;

use crate::capture::Capture;
use crate::service::ContextService;

/// A [`Layer`] that gives each request a scope with a context.
///
/// It goes around any tower service over [`http::Request`], so with axum, hyper and tonic alike.
/// The scope covers the inner service's call, its future, and the body of the response while that
/// is streamed. The [`RequestContext`](crate::RequestContext) is put in the request's extensions.
///
/// A request never fails for its context.
///
/// ```
/// use axum::{Router, routing::get};
/// use bemi_axum::{ContextLayer, current_context};
/// use serde::Serialize;
///
/// #[derive(Serialize)]
/// struct Caller {
///     endpoint: String,
/// }
///
/// let app: Router = Router::new()
///     .route("/todos", get(async || format!("{:?}", current_context())))
///     .layer(ContextLayer::new().request_id().trace_context().set_context(|parts| Caller {
///         endpoint: parts.uri.path().to_owned(),
///     }));
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a layer does nothing unless it is added to a service"]
pub struct ContextLayer {
    capture: Capture,
}

impl ContextLayer {
    /// A layer whose context is empty, until something is added to it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the context of a request from its head: anything that serializes to a JSON object, or
    /// an `Option` of it, where `None` is an empty context. A second call replaces the first.
    ///
    /// The closure cannot fail a request. When its value is not an object, or does not serialize,
    /// the request goes on with `{"_bemi": {"error": …}}` instead, which says why without the
    /// value, and a warning is logged.
    ///
    /// Its keys win over those of [`request_id`](Self::request_id) and
    /// [`trace_context`](Self::trace_context).
    ///
    /// ```
    /// use bemi_axum::{Context, ContextLayer};
    ///
    /// let layer = ContextLayer::new().set_context(|parts| {
    ///     let tenant = parts.headers.get("x-tenant")?.to_str().ok()?;
    ///     Some(Context::new().with("tenant", tenant))
    /// });
    /// ```
    ///
    /// # Panics
    ///
    /// A panic of the closure is not caught: it is one of the request, as if the handler had panicked.
    pub fn set_context<C, T>(mut self, closure: C) -> Self
    where
        C: Fn(&Parts) -> T + Send + Sync + 'static,
        T: Serialize,
    {
        self.capture.set_closure(closure);
        self
    }

    /// Records the request's id under the key `request_id`.
    ///
    /// It is that of the header `x-request-id` where this is at most 128 visible ASCII characters;
    /// else one is generated, a version 4 UUID. The request then carries it in the header, so that
    /// inner services agree on it, and so does the response, unless the inner service has set one.
    ///
    /// A client can choose its id: it is a trail to follow, not a proof of anything.
    pub fn request_id(mut self) -> Self {
        self.capture.request_id = true;
        self
    }

    /// Records what the W3C header `traceparent` says: the trace under the key `trace_id`, and the
    /// caller's span under `parent_id`. Without the header, or with one that the
    /// [specification](https://www.w3.org/TR/trace-context/#traceparent-header) calls invalid,
    /// neither is set.
    pub fn trace_context(mut self) -> Self {
        self.capture.trace_context = true;
        self
    }

    /// Starts from the context that the caller has sent in the header `x-bemi-context`, which
    /// [`carrier::inject`](bemi_core::carrier::inject) puts there: what a service does for another
    /// one then has the context of the request that asked for it.
    ///
    /// **Only for services that nobody but your own can reach.** Any client can send the header, and
    /// so forge a context: a service that is open to the world must not accept it, or a proxy in
    /// front must take it away.
    ///
    /// What this layer records by itself wins over what was sent: the keys of
    /// [`set_context`](Self::set_context), [`request_id`](Self::request_id) and
    /// [`trace_context`](Self::trace_context). A header that is no context, is larger than 4 KiB, or
    /// is there twice is not taken, which is logged at level debug; the request goes on.
    ///
    /// ```
    /// use bemi_axum::ContextLayer;
    /// use serde_json::json;
    ///
    /// let layer = ContextLayer::new()
    ///     .accept_context()
    ///     .set_context(|parts| json!({ "service": "billing", "endpoint": parts.uri.path() }));
    /// ```
    pub fn accept_context(mut self) -> Self {
        self.capture.accept_context = true;
        self
    }
}

impl<S> Layer<S> for ContextLayer {
    type Service = ContextService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ContextService::new(inner, self.capture.clone())
    }
}
