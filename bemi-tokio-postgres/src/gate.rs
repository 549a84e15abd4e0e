//! The gate that every message passes on its way to the connection.
//!
//! Many tasks may share a client, and what they send is queued in the order in which their futures are polled. A write
//! with a context is several messages, and nobody else's may come between them: it would be part of our transaction,
//! and would be rolled back with it.
//!
//! Invariant: what a future sends in one poll inside the gate is adjacent in the queue. Only `Close` may come between,
//! which a statement sends when it is dropped; it neither needs a transaction nor minds one.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

/// Lets one future at a time be polled.
#[derive(Debug, Default)]
pub(crate) struct Gate(Mutex<()>);

impl Gate {
    /// Polls `future` inside the gate, every time: it may send in any poll, as where it asks for a type.
    ///
    /// Nothing waits inside: a poll never blocks, so the lock is held for as long as it takes to queue a few messages.
    pub(crate) fn pass<F: Future>(&self, future: F) -> Passing<'_, F> {
        Passing { gate: self, future }
    }
}

pin_project! {
    /// A future that is polled inside the gate.
    #[must_use = "futures do nothing unless polled"]
    pub(crate) struct Passing<'g, F> {
        gate: &'g Gate,
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Passing<'_, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _inside = lock(&this.gate.0);
        this.future.poll(context)
    }
}

/// Locks. What is locked in this crate is whole even after a panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
