//! COPY … FROM STDIN, with the context before it.
//!
//! sqlx's own [`PgCopyIn`](sqlx::postgres::PgCopyIn) borrows the connection until the copy is finished, and gives nothing back that could commit.
//! So one future, the driver, owns the connection from `BEGIN` to `COMMIT`; it is polled only while a caller waits for it, and
//! is told what to do through an inbox.
//!
//! Invariant: a copy that is dropped before it is finished stores nothing, and its connection is not used again.

use std::fmt;
use std::ops::Deref;

use futures_core::future::BoxFuture;
use futures_util::FutureExt;
use futures_util::future::{Either, Fuse, FusedFuture, select};
use sqlx::{Error, PgConnection};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{mpsc, oneshot};

use crate::call::{context_of, missing};
use crate::connection::Unsettled;
use crate::transaction::Held;
use crate::{BemiConnection, BemiPool};

/// How much is handed to the driver at a time.
const CHUNK_BYTES: usize = 256 * 1024;

/// A COPY … FROM STDIN that takes data: the counterpart of sqlx's [`PgCopyIn`](sqlx::postgres::PgCopyIn).
///
/// Dropped without [`finish`](Self::finish) or [`abort`](Self::abort), it stores nothing. Its connection can then not be used any
/// more; one of a pool is closed.
#[must_use = "nothing is stored without `finish`"]
pub struct BemiCopyIn<'c> {
    driver: Fuse<BoxFuture<'c, Result<u64, Error>>>,
    inbox: mpsc::Sender<Input>,
    format: Format,
}

/// What the server said of the data that it wants.
struct Format {
    textual: bool,
    columns_textual: Vec<bool>,
}

enum Input {
    Data(Vec<u8>, oneshot::Sender<()>),
    Finish,
    Abort(String),
}

impl BemiConnection {
    /// Runs a COPY … FROM STDIN statement, whose rows carry the context of the scope that is current now.
    ///
    /// ```no_run
    /// # async fn example(connection: &mut bemi_sqlx::BemiConnection) -> sqlx::Result<()> {
    /// let mut copy = connection.copy_in_raw("COPY todos (task) FROM STDIN").await?;
    /// copy.send(&b"Sleep\nEat\n"[..]).await?;
    /// assert_eq!(copy.finish().await?, 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the statement; also when it is no COPY … FROM STDIN, and then the connection cannot be used any more.
    pub async fn copy_in_raw(&mut self, statement: &str) -> Result<BemiCopyIn<'_>, Error> {
        BemiCopyIn::begin(Held::Borrowed(self), statement).await
    }
}

impl BemiPool {
    /// Takes a connection and runs a COPY … FROM STDIN statement, whose rows carry the context of the scope that is current now.
    ///
    /// # Errors
    ///
    /// Those of [`acquire`](Self::acquire) and of the statement; also when it is no COPY … FROM STDIN.
    pub async fn copy_in_raw(&self, statement: &str) -> Result<BemiCopyIn<'static>, Error> {
        BemiCopyIn::begin(Held::Owned(self.connection().await?), statement).await
    }
}

impl<'c> BemiCopyIn<'c> {
    async fn begin(connection: Held<'c>, statement: &str) -> Result<Self, Error> {
        let (inbox, inputs) = mpsc::channel(1);
        let (started, format) = oneshot::channel();
        let mut driver = drive(connection, statement.to_owned(), started, inputs).boxed().fuse();
        match select(&mut driver, format).await {
            Either::Right((Ok(format), _)) => Ok(Self { driver, inbox, format }),
            Either::Left((outcome, _)) => Err(ended_early(outcome)),
            Either::Right((Err(_), _)) => Err(ended_early(driver.await)),
        }
    }

    /// Whether the server expects text or CSV.
    #[must_use]
    pub fn is_textual(&self) -> bool {
        self.format.textual
    }

    /// How many columns the server expects.
    #[must_use]
    pub fn num_columns(&self) -> usize {
        self.format.columns_textual.len()
    }

    /// Whether the server expects this column, counted from 0, as text; `None` where there is no such column.
    #[must_use]
    pub fn column_is_textual(&self, column: usize) -> Option<bool> {
        self.format.columns_textual.get(column).copied()
    }

    /// Sends data.
    ///
    /// # Errors
    ///
    /// When the connection fails. What the server thinks of the data is said by [`finish`](Self::finish).
    ///
    /// # Cancellation
    ///
    /// A part of the data may have been sent.
    pub async fn send(&mut self, data: impl Deref<Target = [u8]>) -> Result<&mut Self, Error> {
        for chunk in data.chunks(CHUNK_BYTES) {
            let (sent, done) = oneshot::channel();
            self.hand_over(Input::Data(chunk.to_vec(), sent)).await?;
            match select(&mut self.driver, done).await {
                Either::Right((Ok(()), _)) => {}
                Either::Left((outcome, _)) => return Err(ended_early(outcome)),
                Either::Right((Err(_), driver)) => return Err(ended_early(driver.await)),
            }
        }
        Ok(self)
    }

    /// Sends all that `source` has.
    ///
    /// # Errors
    ///
    /// Those of `source`, and those of [`send`](Self::send).
    ///
    /// # Cancellation
    ///
    /// A part of the data may have been sent.
    pub async fn read_from(
        &mut self,
        mut source: impl AsyncRead + Unpin,
    ) -> Result<&mut Self, Error> {
        let mut buffer = Vec::with_capacity(CHUNK_BYTES);
        while source.read_buf(&mut buffer).await? > 0 {
            self.send(buffer.as_slice()).await?;
            buffer.clear();
        }
        Ok(self)
    }

    /// Ends the copy and returns how many rows it stored.
    ///
    /// # Errors
    ///
    /// What the server has against the data; nothing is stored then.
    ///
    /// # Cancellation
    ///
    /// Either all is stored or nothing.
    pub async fn finish(mut self) -> Result<u64, Error> {
        self.hand_over(Input::Finish).await?;
        self.driver.await
    }

    /// Gives up the copy; nothing is stored. `reason` goes to the server's log.
    ///
    /// # Errors
    ///
    /// When the connection fails.
    pub async fn abort(mut self, reason: impl Into<String>) -> Result<(), Error> {
        self.hand_over(Input::Abort(reason.into())).await?;
        self.driver.await.map(drop)
    }

    /// Puts `input` where the driver finds it. It is still busy only when the call before this one was cancelled.
    async fn hand_over(&mut self, input: Input) -> Result<(), Error> {
        if self.driver.is_terminated() {
            return Err(Error::Protocol("the COPY has failed already".to_owned()));
        }
        let place = {
            let place = Box::pin(self.inbox.reserve());
            match select(&mut self.driver, place).await {
                Either::Left((outcome, _)) => return Err(ended_early(outcome)),
                Either::Right((place, _)) => place,
            }
        };
        match place {
            Ok(place) => {
                place.send(input);
                Ok(())
            }
            Err(_) => Err(ended_early((&mut self.driver).await)),
        }
    }
}

impl fmt::Debug for BemiCopyIn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BemiCopyIn").field("columns", &self.num_columns()).finish_non_exhaustive()
    }
}

/// From before the message to behind the COMMIT.
async fn drive(
    mut connection: Held<'_>,
    statement: String,
    started: oneshot::Sender<Format>,
    inputs: mpsc::Receiver<Input>,
) -> Result<u64, Error> {
    connection.settle().await?;
    let message = match connection.settings.classify(&statement).writes() {
        true => Some(connection.settings.message(context_of(None).as_ref(), &statement)),
        false => None,
    };
    let message = message.transpose().map_err(missing)?;
    let message = message.filter(|message| connection.session.needs(message));
    let wrapped = message.is_some() && !connection.session.is_open();
    match message {
        Some(message) if wrapped => {
            if let Err(error) = connection.begin_wrapped(&message).await {
                return connection.end_wrapped(Err(error)).await.map(|()| 0);
            }
        }
        Some(message) => connection.emit(message).await?,
        None => {}
    }

    // From here on the server waits for data, and nothing else can be said to it.
    let settled = std::mem::replace(&mut connection.unsettled, Unsettled::Broken);
    let copied = copy(connection.raw(), &statement, started, inputs).await;
    // sqlx reads on to where the server is ready again when that one refuses the data, and only then.
    if matches!(copied, Ok(_) | Err(Error::Database(_))) {
        connection.unsettled = settled;
    }
    match copied {
        Ok(Some(rows)) if wrapped => connection.end_wrapped(Ok(())).await.map(|()| rows),
        Ok(rows) => {
            connection.settle().await?;
            Ok(rows.unwrap_or(0))
        }
        Err(error) if wrapped => connection.end_wrapped(Err(error)).await.map(|()| 0),
        Err(error) => Err(error),
    }
}

/// The copy itself; `None` when it was given up.
async fn copy(
    raw: &mut PgConnection,
    statement: &str,
    started: oneshot::Sender<Format>,
    mut inputs: mpsc::Receiver<Input>,
) -> Result<Option<u64>, Error> {
    let mut copy = raw.copy_in_raw(statement).await?;
    let format = Format {
        textual: copy.is_textual(),
        columns_textual: (0..copy.num_columns())
            .map(|column| copy.column_is_textual(column))
            .collect(),
    };
    // The driver is dropped with the one that listens: nobody is left to miss an answer.
    let _ = started.send(format);
    while let Some(input) = inputs.recv().await {
        match input {
            Input::Data(data, sent) => {
                copy.send(data).await?;
                let _ = sent.send(());
            }
            Input::Finish => return copy.finish().await.map(Some),
            Input::Abort(reason) => return copy.abort(reason).await.map(|()| None),
        }
    }
    Err(Error::Protocol("the COPY was dropped before it was finished".to_owned()))
}

/// The error of a driver that should have waited for more.
fn ended_early(outcome: Result<u64, Error>) -> Error {
    outcome
        .err()
        .unwrap_or_else(|| Error::Protocol("the COPY ended before it was finished".to_owned()))
}
