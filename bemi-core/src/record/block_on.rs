//! Answers for code that does not await.
//!
//! With a blocking library, such as diesel's own connection, the futures of a [`Record`](super::Record)
//! have nothing to wait for: they are ready when they are first polled. Any other future is waited for
//! with the thread asleep.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

/// Runs a future to its end on this thread: for questions that are asked over a blocking connection,
/// in code without a runtime.
///
/// The ambient context is that of this thread, as for any blocking code.
///
/// In asynchronous code, `.await` it instead: this does not let go of the thread, and an asynchronous
/// library that wants the same thread would wait for ever.
///
/// ```
/// use bemi_core::record::block_on;
///
/// assert_eq!(block_on(async { 42 }), 42);
/// ```
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        // Returns at once where it was woken since the poll; and where it was not, one poll too many
        // does no harm.
        thread::park();
    }
}

/// Wakes the thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context as Fields, current_context, with_context_sync};

    #[test]
    fn what_is_woken_later_is_waited_for() {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let told = thread::spawn(move || sender.send(7));
        assert_eq!(block_on(receiver), Ok(7));
        told.join().unwrap().unwrap();
    }

    #[test]
    fn the_context_is_that_of_the_thread() {
        let context = Fields::new().with("user_id", 1);
        let seen = with_context_sync(context.clone(), || block_on(async { current_context() }));
        assert_eq!(seen, Some(context));
    }
}
