//! COPY … FROM STDIN with a COMMIT behind it.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Buf;
use futures_util::Sink;
use futures_util::future::poll_fn;
use pin_project_lite::pin_project;
use tokio_postgres::{CopyInSink, Error};

use crate::commit::Commit;

pin_project! {
    /// A sink for the data of a COPY … FROM STDIN: the counterpart of tokio-postgres's [`CopyInSink`].
    ///
    /// Nothing is stored without [`finish`](Self::finish) or the sink's own `close`. As with the library's own, what
    /// the client is asked to do meanwhile waits for the end of the copy.
    ///
    /// [`BinaryCopyInWriter`](tokio_postgres::binary_copy::BinaryCopyInWriter) wants the library's own sink: a
    /// transaction has it, by [`BemiTransaction::copy_in`](crate::BemiTransaction::copy_in).
    ///
    /// ```no_run
    /// # async fn example(client: bemi_tokio_postgres::BemiClient) -> Result<(), tokio_postgres::Error> {
    /// use std::pin::pin;
    ///
    /// use futures_util::SinkExt;
    ///
    /// let mut sink = pin!(client.copy_in("COPY todos (id, task) FROM STDIN").await?);
    /// sink.send(&b"1\tSleep\n"[..]).await?;
    /// let rows = sink.finish().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[project(!Unpin)]
    #[must_use = "nothing is stored without `finish`"]
    pub struct BemiCopyInSink<T> {
        #[pin]
        sink: CopyInSink<T>,
        commit: Commit,
        // What came of the copy, while the COMMIT is waited for.
        copied: Option<Result<u64, Error>>,
    }
}

impl<T: Buf + 'static + Send> BemiCopyInSink<T> {
    pub(crate) fn new(sink: CopyInSink<T>, commit: Commit) -> Self {
        Self { sink, commit, copied: None }
    }

    /// Ends the copy and returns how many rows it stored. They are committed then, if no transaction is open.
    ///
    /// # Errors
    ///
    /// What the server has against the data, or against committing it; nothing is stored then.
    ///
    /// # Cancellation
    ///
    /// Either all is stored or nothing.
    pub async fn finish(mut self: Pin<&mut Self>) -> Result<u64, Error> {
        poll_fn(|context| self.as_mut().poll_finish(context)).await
    }

    /// [`finish`](Self::finish), by polls.
    ///
    /// # Errors
    ///
    /// Those of [`finish`](Self::finish).
    pub fn poll_finish(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<u64, Error>> {
        let this = self.project();
        let copied = match this.copied.take() {
            Some(copied) => copied,
            None => match this.sink.poll_finish(context) {
                Poll::Ready(copied) => copied,
                Poll::Pending => return Poll::Pending,
            },
        };
        match this.commit.poll_done(context) {
            Poll::Ready(committed) => Poll::Ready(copied.and_then(|rows| committed.map(|()| rows))),
            Poll::Pending => {
                *this.copied = Some(copied);
                Poll::Pending
            }
        }
    }
}

impl<T: Buf + 'static + Send> Sink<T> for BemiCopyInSink<T> {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.project().sink.poll_ready(context)
    }

    fn start_send(self: Pin<&mut Self>, data: T) -> Result<(), Error> {
        self.project().sink.start_send(data)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.project().sink.poll_flush(context)
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_finish(context).map_ok(drop)
    }
}

impl<T> fmt::Debug for BemiCopyInSink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BemiCopyInSink").finish_non_exhaustive()
    }
}
