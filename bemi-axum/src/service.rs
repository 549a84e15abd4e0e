//! The service: makes the scope of a request and runs the inner service in it.

use std::task::{Context as TaskContext, Poll};

use bemi_core::Scope;
use http::{Request, Response};
use tower_service::Service;

use crate::body::ContextBody;
use crate::capture::Capture;
use crate::extract::RequestContext;
use crate::future::ResponseFuture;

/// The service that [`ContextLayer`](crate::ContextLayer) makes.
#[derive(Clone, Debug)]
pub struct ContextService<S> {
    inner: S,
    capture: Capture,
}

impl<S> ContextService<S> {
    pub(crate) fn new(inner: S, capture: Capture) -> Self {
        Self { inner, capture }
    }
}

impl<S, RequestBody, ResponseBody> Service<Request<RequestBody>> for ContextService<S>
where
    S: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
{
    type Response = Response<ContextBody<ResponseBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let (context, request_id) = self.capture.take(&mut parts);
        let scope = Scope::new(context);
        parts.extensions.insert(RequestContext::new(scope.clone()));
        // The one that was polled ready is called, here and now: no clone could miss its turn.
        let future = scope.enter(|| self.inner.call(Request::from_parts(parts, body)));
        ResponseFuture::new(future, scope, request_id)
    }
}
