//! The answer to a text of the simple query protocol, without what our own statements in it said.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bemi_core::adapter::EMITTED_COLUMN;
use futures_util::Stream;
use pin_project_lite::pin_project;
use tokio_postgres::{Error, SimpleQueryMessage, SimpleQueryStream};

use crate::tracking::Watch;

pin_project! {
    /// What a text answers: the counterpart of tokio-postgres's [`SimpleQueryStream`].
    ///
    /// ```no_run
    /// # async fn example(client: bemi_tokio_postgres::BemiClient) -> Result<(), tokio_postgres::Error> {
    /// use std::pin::pin;
    ///
    /// use futures_util::TryStreamExt;
    /// use tokio_postgres::SimpleQueryMessage;
    ///
    /// let mut answer = pin!(client.simple_query_raw("SELECT task FROM todos").await?);
    /// while let Some(message) = answer.try_next().await? {
    ///     if let SimpleQueryMessage::Row(row) = message {
    ///         println!("{:?}", row.get("task"));
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[project(!Unpin)]
    pub struct BemiSimpleQueryStream {
        #[pin]
        answer: SimpleQueryStream,
        // None where nothing has to be known of the outcome, or all is known.
        watch: Option<Watch>,
        completed: usize,
        ours: bool,
    }
}

impl BemiSimpleQueryStream {
    pub(crate) fn new(answer: SimpleQueryStream, watch: Option<Watch>) -> Self {
        Self { answer, watch, completed: 0, ours: false }
    }
}

impl Stream for BemiSimpleQueryStream {
    type Item = Result<SimpleQueryMessage, Error>;

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<SimpleQueryMessage, Error>>> {
        let mut this = self.project();
        loop {
            let item = ready!(this.answer.as_mut().poll_next(context));
            let ours = match &item {
                Some(Ok(SimpleQueryMessage::RowDescription(columns))) => {
                    *this.ours = matches!(&**columns, [column] if column.name() == EMITTED_COLUMN);
                    *this.ours
                }
                Some(Ok(SimpleQueryMessage::CommandComplete(_))) => {
                    *this.completed += 1;
                    std::mem::take(this.ours)
                }
                Some(Ok(_)) => *this.ours,
                Some(Err(_)) | None => {
                    if let Some(watch) = this.watch.take() {
                        let error = item.as_ref().and_then(|item| item.as_ref().err());
                        watch.answered(*this.completed, error);
                    }
                    false
                }
            };
            if !ours {
                return Poll::Ready(item);
            }
        }
    }
}

impl fmt::Debug for BemiSimpleQueryStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BemiSimpleQueryStream")
            .field("completed", &self.completed)
            .finish_non_exhaustive()
    }
}
