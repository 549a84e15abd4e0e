//! The future of a response: polled in the scope of its request, which it hands on to the body.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};

use bemi_core::Scope;
use bemi_core::scope::InScope;
use http::Response;
use pin_project_lite::pin_project;

use crate::body::ContextBody;
use crate::request_id::RequestId;

pin_project! {
    /// The future of [`ContextService`](crate::ContextService). Cancelling it cancels the inner
    /// service's.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: InScope<F>,
        scope: Scope,
        request_id: Option<RequestId>,
    }
}

impl<F: Future> ResponseFuture<F> {
    pub(crate) fn new(inner: F, scope: Scope, request_id: Option<RequestId>) -> Self {
        Self { inner: scope.run(inner), scope, request_id }
    }
}

impl<F, Body, Error> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<Body>, Error>>,
{
    type Output = Result<Response<ContextBody<Body>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        if let Some(id) = this.request_id.take() {
            id.put_if_absent(response.headers_mut());
        }
        Poll::Ready(Ok(response.map(|body| ContextBody::new(body, this.scope.clone()))))
    }
}
