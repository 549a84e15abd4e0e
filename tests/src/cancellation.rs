//! Futures that are dropped before they are done, at each of their await points in turn.
//!
//! What a test makes of it is the same for every library: after each, the connection works, no transaction is open, and what was
//! written is there with its context, or not at all.
//!
//! A future has one await point for each round trip only where no answer comes while it is polled: see [`Relay`](crate::Relay).

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use crate::ObservedDatabase;
use crate::journal::{Stitched, by, inserted};

/// More polls than any future needs that a test cancels.
const POLLS_MAX: usize = 200;

/// Polls a future `polls` times, each time after it was woken, and drops it. True if it was done by then.
///
/// # Examples
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use bemi_tests::cancelled_after;
///
/// let yields_once = || tokio::task::yield_now();
/// assert!(!cancelled_after(1, yields_once()).await);
/// assert!(cancelled_after(2, yields_once()).await);
/// # }
/// ```
pub async fn cancelled_after(polls: usize, future: impl Future<Output = ()>) -> bool {
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

/// Makes `attempt` with one poll, with two, and so on, until it says that what it cancels was done by then. Gives the number of polls
/// that this took.
///
/// # Panics
/// When it is never done.
#[allow(clippy::panic, reason = "a test fails by panicking")]
pub async fn at_each_await_point(mut attempt: impl AsyncFnMut(usize) -> bool) -> usize {
    for polls in 1..=POLLS_MAX {
        if attempt(polls).await {
            return polls;
        }
    }
    panic!("it is not done after {POLLS_MAX} polls");
}

/// The same for an `attempt` that cancels a write of [`first_row`] and then has to go on: to insert the row 100, `after`, as user 2.
/// Each time the first write must have [happened or not](happened_or_not), and what came after it must have happened, with no
/// transaction left open.
///
/// # Panics
/// When this is not so, or when the write, which `what` names, was not cancelled after each of at least so many `round_trips`.
pub async fn happens_or_not_at_each_await_point(
    database: &ObservedDatabase,
    what: &str,
    round_trips: usize,
    mut attempt: impl AsyncFnMut(usize) -> bool,
) {
    let polls = at_each_await_point(async |polls| {
        database.run("TRUNCATE todo").await;
        database.journal().await;
        let done = attempt(polls).await;
        assert_eq!(database.idle_in_transaction().await, 0, "{what}: after {polls} polls");
        let after = by(2, inserted(100, "after"));
        let (after, changes): (Vec<_>, Vec<_>) =
            database.changes().await.concat().into_iter().partition(|change| *change == after);
        assert!(
            after.len() == 1 && happened_or_not(&changes) && (!done || !changes.is_empty()),
            "{what}: after {polls} polls (done: {done}): {changes:?}, then {after:?}"
        );
        done
    })
    .await;
    assert!(polls > round_trips, "{what} was cancelled at {} places only", polls - 1);
}

/// The row 1, `x`, inserted by user 1.
#[must_use]
pub fn first_row() -> Stitched {
    by(1, inserted(1, "x"))
}

/// Whether `changes` are [`first_row`], or nothing.
#[must_use]
pub fn happened_or_not(changes: &[Stitched]) -> bool {
    changes.is_empty() || changes == [first_row()]
}
