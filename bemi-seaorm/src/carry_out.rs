//! Carries out plans: puts the message on the wire before the write, in the same transaction.
//!
//! Invariant: a write that needs a message runs only after the server has taken it, except where the server says that the
//! transaction is read only.

use bemi_core::adapter::{Plan, Step, emission, plan};
use bemi_core::{ContextMessage, MissingContextError, current_context};
use sqlx::Error;

use crate::answer::{Answer, Keep};
use crate::call::Call;
use crate::connection::{Connection, Unsettled};
use crate::metric::Metrics;

impl Connection {
    /// How `call` is to run on this connection as it is now.
    pub(crate) fn plan(&self, call: &Call) -> Result<Plan, MissingContextError> {
        plan(&self.session, &self.settings, call.sql(), call.protocol(), current_context)
    }

    /// Runs `call` to its end, and tells `metrics` of it.
    pub(crate) async fn carry_out(
        &mut self,
        plan: Plan,
        call: Call,
        keep: Keep,
        metrics: &Metrics,
    ) -> Answer {
        let measurement = metrics.start(&call);
        let answer = self.carry_out_plan(plan, call, keep).await;
        if let Some(measurement) = measurement {
            measurement.end(answer.error.is_some());
        }
        answer
    }

    async fn carry_out_plan(&mut self, plan: Plan, call: Call, keep: Keep) -> Answer {
        match plan {
            Plan::AsIs => Answer::read(call.fetch(self.raw()), keep).await,
            Plan::Wrapped(message) => {
                let mut answer = match self.begin_wrapped(&message).await {
                    Ok(()) => Answer::read(call.fetch(self.raw()), keep).await,
                    Err(error) => error.into(),
                };
                answer.error = self.end_wrapped(answer.error.map_or(Ok(()), Err)).await.err();
                answer
            }
            Plan::Preceded(message) => match self.emit(message).await {
                Ok(()) => Answer::read(call.fetch(self.raw()), keep).await,
                Err(error) => error.into(),
            },
            Plan::Inlined { sql, message } => {
                self.session.forget_message();
                let call = call.inlined(sql, message.as_str());
                let answer = Answer::read(call.fetch(self.raw()), keep).await;
                if answer.error.is_none() {
                    self.session.inlined(message, answer.rows_affected());
                }
                answer
            }
            Plan::Rewritten { sql, steps } => {
                self.carry_out_steps(Call::Text(sql), &steps, keep).await
            }
            Plan::Watched(steps) => self.carry_out_steps(call, &steps, keep).await,
        }
    }

    /// Emits `message` in the transaction that is open.
    async fn emit(&mut self, message: ContextMessage) -> Result<(), Error> {
        self.session.forget_message();
        self.send(emission(&message)).await?;
        self.session.emitted(message);
        Ok(())
    }

    /// Begins a transaction of ours with `message`, in one round trip. Whatever comes of it, [`end_wrapped`](Self::end_wrapped)
    /// must follow.
    async fn begin_wrapped(&mut self, message: &ContextMessage) -> Result<(), Error> {
        self.unsettled = Unsettled::Rollback;
        self.send(format!("BEGIN; {}", emission(message))).await
    }

    /// Ends a transaction of ours: commits it, or rolls it back if the write failed, whose error goes to the caller.
    async fn end_wrapped(&mut self, written: Result<(), Error>) -> Result<(), Error> {
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
    async fn carry_out_steps(&mut self, call: Call, steps: &[Step], keep: Keep) -> Answer {
        let before = self.session.clone();
        self.session.forget();
        if steps.iter().any(Step::is_boundary) {
            // Cancelled inside a `BemiDatabaseTransaction`, its commit must fail rather than seem to succeed.
            let in_transaction = self.nesting.depth() > 0;
            self.unsettled = if in_transaction { Unsettled::Broken } else { Unsettled::Rollback };
        }
        let answer = Answer::read(call.fetch(self.raw()), keep).await;
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
