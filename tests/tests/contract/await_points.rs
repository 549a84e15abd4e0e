//! Futures that are dropped before they are done.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// Polls a future `polls` times, each time after it was woken, and drops it. True if it was done by then.
pub(crate) async fn cancelled_after(polls: usize, future: impl Future<Output = ()>) -> bool {
    let mut future = pin!(future);
    for _ in 0..polls {
        let mut polled = false;
        let done = poll_fn(|context| {
            if polled {
                return Poll::Ready(false);
            }
            polled = true;
            future.as_mut().poll(context).map(|()| true)
        })
        .await;
        if done {
            return true;
        }
    }
    false
}
