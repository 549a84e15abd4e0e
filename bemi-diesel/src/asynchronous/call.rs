//! A query on its way: its text, and the future in which diesel-async runs it.
//!
//! What comes before the write is sent by the first poll of another future, which is polled before that of the write. The order
//! on the wire is that of the first polls, also where the write must be prepared first, which takes a round trip of its own. For the same
//! reason nothing may be sent behind the write before it has answered: it would overtake a write that is still being prepared.

use bemi_core::adapter::{Plan, Session, emission};
use bemi_core::{ContextMessage, Scope};
use diesel::QueryResult;
use diesel::result::Error;
use diesel_async::{AsyncConnectionCore, AsyncPgConnection};
use futures_util::future::{BoxFuture, join, join3};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryFutureExt, TryStreamExt};

use super::abandoned::RollbackOnDrop;
use super::connection::Parts;
use super::send;
use crate::statement::Rendered;

/// One row, as diesel-async has it.
pub(super) type Row = <AsyncPgConnection as AsyncConnectionCore>::Row<'static, 'static>;

/// The rows of a query.
pub(super) type Rows = BoxStream<'static, QueryResult<Row>>;

/// What a query answers with.
pub(super) trait Answer: Send + Sized {
    /// Waits until the server has said all, and counts the rows that were affected.
    fn read_to_end(self) -> impl Future<Output = QueryResult<(Self, usize)>> + Send;
}

/// The number of rows affected: it comes last.
impl Answer for usize {
    async fn read_to_end(self) -> QueryResult<(Self, usize)> {
        Ok((self, self))
    }
}

/// Of a write that returns rows, there is one for each that was affected.
impl Answer for Rows {
    async fn read_to_end(self) -> QueryResult<(Self, usize)> {
        let rows: Vec<Row> = self.try_collect().await?;
        let affected = rows.len();
        Ok((stream::iter(rows.into_iter().map(Ok)).boxed(), affected))
    }
}

/// A query that has not been sent.
pub(super) struct Call<'c, A> {
    pub(super) text: Rendered,
    /// The scope that the future was made in, which may not be the one that it is polled in.
    pub(super) made_in: Option<Scope>,
    /// Sends the query when it is polled.
    pub(super) query: BoxFuture<'c, QueryResult<A>>,
    /// The same with the message in its text, which was encoded in the scope that the future was made in.
    pub(super) inlined: Option<(ContextMessage, BoxFuture<'c, QueryResult<A>>)>,
}

impl<'c> Parts<'c> {
    /// Runs `call` as the plan for its text says.
    pub(super) async fn carry_out<A: Answer>(self, call: Call<'c, A>) -> QueryResult<A> {
        if *self.broken {
            return Err(Error::BrokenTransactionManager);
        }
        let Call { text, made_in, query, inlined } = call;
        match self.statements.plan_rendered(self.session, &text, made_in.as_ref())? {
            Plan::AsIs => query.await,
            Plan::Wrapped(message) => wrapped(self.raw, &message, query).await,
            Plan::Preceded(message) => preceded(self.raw, self.session, message, query).await,
            Plan::Inlined { message, .. } => match inlined {
                Some((same, inlined)) if same == message => {
                    self.session.forget_message();
                    let (answer, affected) = inlined.and_then(A::read_to_end).await?;
                    self.session.inlined(message, affected as u64);
                    Ok(answer)
                }
                // It was made in another scope than this one.
                _ if self.session.is_open() => {
                    preceded(self.raw, self.session, message, query).await
                }
                _ => wrapped(self.raw, &message, query).await,
            },
            Plan::Watched(steps) | Plan::Rewritten { steps, .. } => {
                self.watch(read_to_end(query), &steps).await
            }
        }
    }
}

/// The answer of `query`, once the server has said all of it.
async fn read_to_end<A: Answer>(query: BoxFuture<'_, QueryResult<A>>) -> QueryResult<A> {
    let (answer, _) = query.and_then(A::read_to_end).await?;
    Ok(answer)
}

/// Runs `write` after `message`, in a transaction of ours: two round trips, and what preparing takes.
async fn wrapped<A: Answer>(
    raw: &AsyncPgConnection,
    message: &ContextMessage,
    write: BoxFuture<'_, QueryResult<A>>,
) -> QueryResult<A> {
    let open = RollbackOnDrop::new(raw);
    let emission = emission(message);
    // By itself, and not as one text with the emission: a text that the server cannot read begins nothing.
    let begin = send(raw, "BEGIN");
    let emit = send(raw, &emission);
    let outcome = match join3(begin, emit, read_to_end(write)).await {
        (Ok(()), Ok(()), Ok(answer)) => send(raw, "COMMIT").await.map(|()| answer),
        (Err(error), _, Ok(answer)) => {
            tracing::warn!(%error, "a transaction could not be begun: the write has been committed by itself, without its context");
            Ok(answer)
        }
        // The write has failed because the emission did.
        (Ok(()), Err(error), _) | (_, _, Err(error)) => {
            if let Err(error) = send(raw, "ROLLBACK").await {
                tracing::debug!(%error, "rolling back after a failed write failed as well");
            }
            Err(error)
        }
    };
    open.disarm();
    outcome
}

/// Runs `write` after `message`, in the transaction that is open: one round trip, and what preparing takes.
async fn preceded<A>(
    raw: &AsyncPgConnection,
    session: &mut Session,
    message: ContextMessage,
    write: BoxFuture<'_, QueryResult<A>>,
) -> QueryResult<A> {
    session.forget_message();
    let emission = emission(&message);
    let (emitted, written) = join(send(raw, &emission), write).await;
    // The write has failed because the emission did.
    emitted?;
    session.emitted(message);
    written
}
