//! The body of a response: written after the handler has returned, and still in its scope.

use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use bemi_core::{Context, Scope};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// A response body that is polled in the scope of its request: a handler that streams, and
    /// writes rows while it does, has its context to the last frame. The frames, trailers included,
    /// are the inner body's.
    #[derive(Debug)]
    pub struct ContextBody<B> {
        #[pin]
        inner: B,
        scope: Scope,
    }
}

impl<B> ContextBody<B> {
    pub(crate) fn new(inner: B, scope: Scope) -> Self {
        Self { inner, scope }
    }
}

/// For middleware that answers by itself, with an empty body.
impl<B: Default> Default for ContextBody<B> {
    fn default() -> Self {
        Self::new(B::default(), Scope::new(Context::new()))
    }
}

impl<B: Body> Body for ContextBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        this.scope.enter(|| this.inner.poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
