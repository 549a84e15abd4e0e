//! sqlx's trait `Executor`, so that queries, macros and generic code run on ours as on sqlx's own pool and connection.
//!
//! What needs no message goes straight to sqlx. The answer to what does is read to its end before the caller sees any of
//! it: a stream that is dropped after its first row then leaves the same behind as with sqlx, where the statement has run.

use bemi_core::adapter::Plan;
use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use futures_util::TryFutureExt;
use sqlx::postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Describe, Error, Execute, Executor, Postgres, SqlStr};

use crate::answer::{Answer, Item, Keep};
use crate::call::Call;
use crate::{BemiConnection, BemiPool};

impl<'c> Executor<'c> for &'c mut BemiConnection {
    type Database = Postgres;

    fn execute<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<PgQueryResult, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let call = Call::take(query);
        Box::pin(async move {
            let (call, plan) = self.next(call).await?;
            match plan {
                Plan::AsIs => self.raw().execute(call).await,
                plan => self.carry_out(plan, call, Keep::Results).await.into_result(),
            }
        })
    }

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Item, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let call = Call::take(query);
        Box::pin(
            async move {
                let (call, plan) = self.next(call).await?;
                Ok(match plan {
                    Plan::AsIs => self.raw().fetch_many(call),
                    plan => self.carry_out(plan, call, Keep::All).await.into_stream(),
                })
            }
            .try_flatten_stream(),
        )
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let call = Call::take(query);
        Box::pin(async move {
            let (call, plan) = self.next(call).await?;
            match plan {
                Plan::AsIs => self.raw().fetch_optional(call).await,
                plan => self.carry_out(plan, call, Keep::FirstRow).await.into_first_row(),
            }
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'c: 'e,
    {
        Box::pin(async move {
            self.settle().await?;
            self.raw().prepare_with(sql, parameters).await
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
    where
        'c: 'e,
    {
        Box::pin(async move {
            self.settle().await?;
            self.raw().describe(sql).await
        })
    }
}

impl BemiConnection {
    /// Makes the connection ready for `call` and decides how it is to run.
    async fn next(&mut self, call: Result<Call, Error>) -> Result<(Call, Plan), Error> {
        let call = call?;
        self.settle().await?;
        let plan = self.plan(&call)?;
        Ok((call, plan))
    }
}

impl<'p> Executor<'p> for &'_ BemiPool {
    type Database = Postgres;

    fn execute<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<PgQueryResult, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let call = Call::take(query);
        let pool = self.clone();
        Box::pin(async move {
            let call = call?;
            match pool.plan(&call)? {
                Plan::AsIs => pool.untracked().execute(call).await,
                plan => pool.carry_out(plan, call, Keep::Results).await?.into_result(),
            }
        })
    }

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Item, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let call = Call::take(query);
        let pool = self.clone();
        Box::pin(
            async move {
                let call = call?;
                Ok(match pool.plan(&call)? {
                    Plan::AsIs => pool.untracked().fetch_many(call),
                    plan => pool.carry_out(plan, call, Keep::All).await?.into_stream(),
                })
            }
            .try_flatten_stream(),
        )
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let call = Call::take(query);
        let pool = self.clone();
        Box::pin(async move {
            let call = call?;
            match pool.plan(&call)? {
                Plan::AsIs => pool.untracked().fetch_optional(call).await,
                plan => pool.carry_out(plan, call, Keep::FirstRow).await?.into_first_row(),
            }
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        Box::pin(async move { pool.untracked().prepare_with(sql, parameters).await })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        Box::pin(async move { pool.untracked().describe(sql).await })
    }
}

impl BemiPool {
    async fn carry_out(&self, plan: Plan, call: Call, keep: Keep) -> Result<Answer, Error> {
        // A connection comes from the pool as `plan` takes it to be: outside any transaction.
        Ok(self.acquire().await?.carry_out(plan, call, keep).await)
    }
}
