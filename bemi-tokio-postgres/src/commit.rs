//! The answer to a COMMIT that was queued with the write before it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use futures_util::future::poll_fn;
use tokio_postgres::{Error, SimpleQueryMessage, SimpleQueryStream};

/// A COMMIT that is on its way, whether anybody waits for it or not; or none, where the statement needed none.
pub(crate) struct Commit {
    answer: Option<Pin<Box<SimpleQueryStream>>>,
    in_step: bool,
}

impl Commit {
    pub(crate) fn new(answer: Option<SimpleQueryStream>) -> Self {
        Self { in_step: answer.is_none(), answer: answer.map(Box::pin) }
    }

    /// Waits until it is answered.
    ///
    /// # Errors
    ///
    /// What speaks against committing: a deferred constraint, a serialization failure. Nothing is left of the write then.
    pub(crate) async fn done(&mut self) -> Result<(), Error> {
        poll_fn(|context| self.poll_done(context)).await
    }

    /// [`done`](Self::done), by polls.
    pub(crate) fn poll_done(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while let Some(answer) = &mut self.answer {
            match ready!(answer.as_mut().poll_next(context)) {
                Some(Ok(SimpleQueryMessage::CommandComplete(_))) => self.in_step = true,
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    self.in_step = true;
                    self.answer = None;
                    return Poll::Ready(Err(error));
                }
                None => self.answer = None,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Whether it was answered by what answers a COMMIT.
    pub(crate) fn is_in_step(&self) -> bool {
        self.in_step
    }
}
