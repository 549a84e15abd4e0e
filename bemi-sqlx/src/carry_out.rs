//! Carries out plans: puts the message on the wire before the write, in the same transaction.
//!
//! Invariant: a write that needs a message runs only after the server has taken it, except where the server says that the
//! transaction is read only.

use bemi_core::ContextMessage;
use bemi_core::adapter::{Plan, Step, emission, plan};
use sqlx::{AssertSqlSafe, Error, Execute, Executor, Postgres};

use crate::BemiConnection;
use crate::answer::{Answer, Keep};
use crate::call::{Call, missing};
use crate::connection::Unsettled;

impl BemiConnection {
    /// How `call` is to run on this connection as it is now.
    pub(crate) fn plan(&self, call: &Call) -> Result<Plan, Error> {
        plan(&self.session, &self.settings, call.sql(), call.protocol(), || call.context())
            .map_err(missing)
    }

    /// Runs `call` to its end.
    pub(crate) async fn carry_out(&mut self, plan: Plan, call: Call, keep: Keep) -> Answer {
        match plan {
            Plan::AsIs => Answer::read(self.raw().fetch_many(call), keep).await,
            Plan::Wrapped(message) => {
                let mut answer = match self.begin_wrapped(&message).await {
                    Ok(()) => Answer::read(self.raw().fetch_many(call), keep).await,
                    Err(error) => error.into(),
                };
                answer.error = self.end_wrapped(answer.error.map_or(Ok(()), Err)).await.err();
                answer
            }
            Plan::Preceded(message) => match self.emit(message).await {
                Ok(()) => Answer::read(self.raw().fetch_many(call), keep).await,
                Err(error) => error.into(),
            },
            Plan::Inlined { sql, message } => {
                self.session.forget_message();
                let answer = match call.inlined(sql, message.as_str()) {
                    Ok(call) => Answer::read(self.raw().fetch_many(call), keep).await,
                    Err(error) => error.into(),
                };
                if answer.error.is_none() {
                    self.session.inlined(message, answer.rows_affected);
                }
                answer
            }
            Plan::Rewritten { sql, steps } => {
                self.carry_out_steps(AssertSqlSafe(sql), &steps, keep).await
            }
            Plan::Watched(steps) => self.carry_out_steps(call, &steps, keep).await,
        }
    }

    /// Emits `message` in the transaction that is open.
    pub(crate) async fn emit(&mut self, message: ContextMessage) -> Result<(), Error> {
        self.session.forget_message();
        self.send(emission(&message)).await?;
        self.session.emitted(message);
        Ok(())
    }

    /// Begins a transaction of ours with `message`, in one round trip. Whatever comes of it, [`end_wrapped`](Self::end_wrapped)
    /// must follow.
    pub(crate) async fn begin_wrapped(&mut self, message: &ContextMessage) -> Result<(), Error> {
        self.unsettled = Unsettled::Rollback;
        self.send(format!("BEGIN; {}", emission(message))).await
    }

    /// Ends a transaction of ours: commits it, or rolls it back if the write failed, whose error goes to the caller.
    pub(crate) async fn end_wrapped(&mut self, written: Result<(), Error>) -> Result<(), Error> {
        if written.is_err() {
            if let Err(error) = self.settle().await {
                tracing::debug!(%error, "rolling back after a failed write failed as well; it is tried again");
            }
            return written;
        }
        let committed = self.send("COMMIT").await;
        // A COMMIT that the server refuses has ended the transaction just as well.
        if matches!(committed, Ok(()) | Err(Error::Database(_))) {
            self.unsettled = Unsettled::Nothing;
        }
        committed
    }

    /// Runs a text that does `steps`, and keeps track of the transaction.
    async fn carry_out_steps(
        &mut self,
        call: impl Execute<'static, Postgres> + 'static,
        steps: &[Step],
        keep: Keep,
    ) -> Answer {
        let before = self.session.clone();
        self.session.forget();
        if steps.iter().any(Step::is_boundary) {
            // Cancelled inside a `BemiTransaction`, its commit must fail rather than seem to succeed.
            self.unsettled = if self.depth == 0 { Unsettled::Rollback } else { Unsettled::Broken };
        }
        let answer = Answer::read(self.raw().fetch_many(call), keep).await;
        let refused = match &answer.error {
            None => None,
            Some(Error::Database(error)) => error.code(),
            // The connection does not work: what is known of it stays in doubt.
            Some(_) => return answer,
        };
        self.unsettled = Unsettled::Nothing;
        self.session = before;
        self.session.answered(steps, answer.completed, refused.as_deref());
        answer
    }
}
