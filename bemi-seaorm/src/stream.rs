//! Rows, one by one.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_stream::try_stream;
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt, TryStreamExt};
use sea_orm::{DbErr, QueryResult, QueryStream};
use sqlx::Either;
use tokio::sync::MutexGuard;

use crate::answer::Answer;
use crate::call::Call;
use crate::connection::Connection;
use crate::error::query_error;
use crate::metric::Measurement;

/// The rows of a query: the counterpart of sea-orm's [`QueryStream`] and [`TransactionStream`](sea_orm::TransactionStream).
///
/// The rows of a read come as the server sends them. A write that runs inside a scope has ended, and outside a transaction has
/// committed, before its first row is there: its rows are held in memory.
///
/// In a transaction it holds the connection until its last row was read, or until it is dropped: other calls on the transaction wait for
/// that.
///
/// ```no_run
/// use bemi_seaorm::{BemiDatabaseConnection, BemiQueryStream};
/// use futures_util::TryStreamExt;
/// use sea_orm::{DbBackend, DbErr, Statement, StreamTrait};
///
/// # async fn example(db: BemiDatabaseConnection) -> Result<(), DbErr> {
/// let query = Statement::from_string(DbBackend::Postgres, "SELECT task FROM todos");
/// let mut rows: BemiQueryStream<'_> = db.stream_raw(query).await?;
/// while let Some(row) = rows.try_next().await? {
///     println!("{}", row.try_get::<String>("", "task")?);
/// }
/// # Ok(())
/// # }
/// ```
pub struct BemiQueryStream<'a> {
    rows: BoxStream<'a, Result<QueryResult, DbErr>>,
}

impl Stream for BemiQueryStream<'_> {
    type Item = Result<QueryResult, DbErr>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.rows.poll_next_unpin(cx)
    }
}

impl fmt::Debug for BemiQueryStream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BemiQueryStream").finish_non_exhaustive()
    }
}

impl From<QueryStream> for BemiQueryStream<'_> {
    fn from(rows: QueryStream) -> Self {
        Self { rows: rows.boxed() }
    }
}

impl<'a> BemiQueryStream<'a> {
    /// The rows of an answer that is complete.
    pub(crate) fn of(answer: Answer) -> Result<Self, DbErr> {
        let rows: Vec<_> = answer.into_rows()?.map(Ok).collect();
        Ok(Self { rows: stream::iter(rows).boxed() })
    }

    /// The rows of `call`, read from `connection` as they are asked for.
    pub(crate) fn reading(
        mut connection: MutexGuard<'a, Connection>,
        call: Call,
        measurement: Option<Measurement>,
    ) -> Self {
        let told_when_dropped = measurement.map(Measurement::of_stream);
        let rows = try_stream! {
            let _told = told_when_dropped;
            let mut items = call.fetch(connection.raw());
            while let Some(item) = items.try_next().await.map_err(query_error)? {
                if let Either::Right(row) = item {
                    yield row.into();
                }
            }
        };
        Self { rows: rows.boxed() }
    }
}
