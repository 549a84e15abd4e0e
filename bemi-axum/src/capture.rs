//! What is taken from the head of a request into its context, and nothing else.
//!
//! Invariant: capturing cannot fail. A value that is not a context is replaced by one that says so.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use bemi_core::{Context, ContextError, carrier};
use http::HeaderMap;
use http::request::Parts;
use serde::Serialize;

use crate::request_id::RequestId;
use crate::trace_context::TraceParent;

/// What to take from a request.
#[derive(Clone, Default)]
pub(crate) struct Capture {
    pub(crate) request_id: bool,
    pub(crate) trace_context: bool,
    pub(crate) accept_context: bool,
    closure: Option<Arc<Closure>>,
}

type Closure = dyn Fn(&Parts) -> Result<Context, ContextError> + Send + Sync;

impl Capture {
    pub(crate) fn set_closure<C, T>(&mut self, closure: C)
    where
        C: Fn(&Parts) -> T + Send + Sync + 'static,
        T: Serialize,
    {
        self.closure = Some(Arc::new(move |parts| Context::from_serialize(&closure(parts))));
    }

    /// The context of a request, and its id if that is asked for.
    pub(crate) fn take(&self, parts: &mut Parts) -> (Context, Option<RequestId>) {
        let accepted = self.accept_context.then(|| accepted(&parts.headers)).flatten();
        let mut context = accepted.unwrap_or_default();
        let request_id = self.request_id.then(|| RequestId::ensure(&mut parts.headers));
        if let Some(id) = &request_id {
            context.insert("request_id", id.as_str());
        }
        if self.trace_context
            && let Some(parent) = TraceParent::of(&parts.headers)
        {
            context.insert("trace_id", parent.trace_id);
            context.insert("parent_id", parent.parent_id);
        }
        if let Some(closure) = &self.closure {
            context.merge(closure(parts).unwrap_or_else(|error| explain(&error)));
        }
        (context, request_id)
    }
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture")
            .field("request_id", &self.request_id)
            .field("trace_context", &self.trace_context)
            .field("accept_context", &self.accept_context)
            .field("set_context", &self.closure.is_some())
            .finish()
    }
}

/// The context that the caller sent along, if there is one and it is fit to be kept.
fn accepted(headers: &HeaderMap) -> Option<Context> {
    let mut values = headers.get_all(carrier::CONTEXT_KEY).iter();
    let value = values.next()?;
    if values.next().is_some() {
        tracing::debug!("the request has several carried contexts; none is taken");
        return None;
    }
    let Ok(value) = value.to_str() else {
        tracing::debug!("the request's carried context is not ASCII; it is not taken");
        return None;
    };
    carrier::extract(|_| Some(value)).unwrap_or_else(|error| {
        tracing::debug!(%error, "the request's carried context is not taken");
        None
    })
}

/// The context of a request whose own one could not be made.
fn explain(error: &ContextError) -> Context {
    tracing::warn!(%error, "set_context gave no context; the request goes on with the error in its place");
    if let Some(cause) = error.source() {
        // The text comes from a `Serialize` of the application's own, and may hold the value.
        tracing::debug!(%cause, "set_context gave a value that does not serialize");
    }
    Context::from([("_bemi", Context::from([("error", error.to_string())]))])
}
