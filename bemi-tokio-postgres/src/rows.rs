//! The rows of a statement, as they come.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use pin_project_lite::pin_project;
use tokio_postgres::{Error, Row, RowStream};

use crate::commit::Commit;

pin_project! {
    /// A stream of rows: the counterpart of tokio-postgres's [`RowStream`].
    ///
    /// Where the statement was a write in a scope, outside any transaction, its COMMIT is on its way behind it. The
    /// stream ends when that is done, and with an error if it was refused: what was read before is then undone. Dropped
    /// before its end, the stream leaves behind what the library's own does: the statement has run, and is committed.
    ///
    /// ```no_run
    /// # async fn example(client: bemi_tokio_postgres::BemiClient) -> Result<(), tokio_postgres::Error> {
    /// use std::pin::pin;
    ///
    /// use futures_util::TryStreamExt;
    ///
    /// let mut rows = pin!(client.query_raw("SELECT task FROM todos WHERE id < $1", [7]).await?);
    /// while let Some(row) = rows.try_next().await? {
    ///     println!("{}", row.get::<_, &str>("task"));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[project(!Unpin)]
    pub struct BemiRowStream {
        #[pin]
        rows: RowStream,
        commit: Commit,
        state: State,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Reading,
    Committing,
    Done,
    Failed,
}

impl BemiRowStream {
    pub(crate) fn new(rows: RowStream, commit: Commit) -> Self {
        Self { rows, commit, state: State::Reading }
    }

    /// How many rows the statement affected; `None` until the stream has ended.
    #[must_use]
    pub fn rows_affected(&self) -> Option<u64> {
        self.rows.rows_affected().filter(|_| self.state == State::Done)
    }
}

impl Stream for BemiRowStream {
    type Item = Result<Row, Error>;

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Row, Error>>> {
        let mut this = self.project();
        loop {
            let error = match this.state {
                State::Reading => match ready!(this.rows.as_mut().poll_next(context)) {
                    Some(Ok(row)) => return Poll::Ready(Some(Ok(row))),
                    None => {
                        *this.state = State::Committing;
                        continue;
                    }
                    // The COMMIT behind it rolls back.
                    Some(Err(error)) => error,
                },
                State::Committing => match ready!(this.commit.poll_done(context)) {
                    Ok(()) => {
                        *this.state = State::Done;
                        continue;
                    }
                    Err(error) => error,
                },
                State::Done | State::Failed => return Poll::Ready(None),
            };
            *this.state = State::Failed;
            return Poll::Ready(Some(Err(error)));
        }
    }
}

impl fmt::Debug for BemiRowStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BemiRowStream").field("state", &self.state).finish_non_exhaustive()
    }
}
