//! The context of the running request, for handlers and middleware.

use std::convert::Infallible;

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use bemi_core::{Context, Scope};
use http::StatusCode;
use http::request::Parts;

/// The context of the running request: an extractor, and an extension of the request for
/// middleware that has no extractors.
///
/// Where nothing else is at hand, [`add_context`](crate::add_context) and
/// [`current_context`](crate::current_context) do the same from anywhere inside the request.
///
/// ```
/// use axum::{Router, routing::get};
/// use bemi_axum::{ContextLayer, RequestContext};
///
/// async fn list(context: RequestContext) -> String {
///     context.add([("user_id", 42)]);
///     format!("{:?}", context.get())
/// }
///
/// let app: Router = Router::new().route("/todos", get(list)).layer(ContextLayer::new());
/// ```
///
/// As an extractor it fails with [`MissingContextLayer`] where there is no
/// [`ContextLayer`](crate::ContextLayer); an `Option<RequestContext>` does not fail.
#[derive(Clone, Debug)]
pub struct RequestContext {
    scope: Scope,
}

impl RequestContext {
    pub(crate) fn new(scope: Scope) -> Self {
        Self { scope }
    }

    /// The context as it is now: that of the layers around, then this request's own fields, which
    /// win.
    #[must_use]
    pub fn get(&self) -> Context {
        self.scope.context()
    }

    /// Adds fields; one of the same key is replaced. What the request writes from here on has them.
    pub fn add(&self, fields: impl Into<Context>) {
        self.scope.add(fields);
    }

    /// The scope of the request, to enter it where it does not reach by itself: a task that a
    /// library spawns, a thread.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }
}

/// The request went through no [`ContextLayer`](crate::ContextLayer), so it has no context. As a
/// response it is a 500: the mistake is the server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the request has no context, as no `ContextLayer` is around its handler; \
     add `.layer(bemi_axum::ContextLayer::new())` to the router, after its routes"
)]
pub struct MissingContextLayer;

impl IntoResponse for MissingContextLayer {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.to_string()).into_response()
    }
}

impl<S: Sync> FromRequestParts<S> for RequestContext {
    type Rejection = MissingContextLayer;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        parts.extensions.get().cloned().ok_or(MissingContextLayer)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for RequestContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Self::Rejection> {
        Ok(parts.extensions.get().cloned())
    }
}
