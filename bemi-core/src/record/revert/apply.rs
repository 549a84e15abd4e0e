//! A plan, carried out.
//!
//! Invariant: either every statement has hit exactly one row, or nothing is written and the caller's
//! transaction is as it was.

use super::settings::Frame;
use super::{Plan, RevertError, Statement};
use crate::record::{Database, RecordError, Sql};
use crate::{Context, ContextMessage, MessageOptions, SqlCapture, current_context, with_context};

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Applied {
    /// How many rows were written.
    pub rows: usize,
}

impl Plan {
    /// Carries the plan out, in the transaction that is open on `source`, under the plan's context. It
    /// is in the record when that transaction commits, and can be reverted like anything else.
    ///
    /// Settings that decide how values are written are set for the time, and constraints that can be
    /// deferred are deferred where the plan needs it, and checked at its end. Constraints are never
    /// disabled, triggers run as always, sequences stay where they are.
    ///
    /// On a connection that emits no contexts by itself, what is written later in the transaction has
    /// the context that is ambient now, or none.
    ///
    /// # Errors
    /// [`RevertError`]. Nothing of the plan is written then, and the transaction can go on.
    ///
    /// # Cancellation
    /// Dropping the future leaves the transaction in the middle: roll it back.
    pub async fn apply<S: Database>(
        &self,
        source: &mut S,
    ) -> Result<Applied, RevertError<S::Error>> {
        if self.is_blocked() {
            return Err(RevertError::Conflicts { conflicts: self.blocking().cloned().collect() });
        }
        let failed = |source| RecordError::Database { doing: "begin the revert", source };
        let frame = Frame::enter(source).await.map_err(failed)?;
        let frame = frame.ok_or(RevertError::NoTransaction)?;
        let done = if S::EMITS_CONTEXT {
            with_context(self.context.clone(), self.run(source)).await
        } else {
            self.run_with_messages(source).await
        };
        if let Err(error) = done {
            frame.undo(source).await;
            return Err(error);
        }
        let failed = |source| RecordError::Database { doing: "end the revert", source };
        frame.leave(source).await.map_err(failed)?;
        Ok(Applied { rows: self.statements.len() })
    }

    /// Runs the statements between the message of the plan's context and that of the ambient one.
    async fn run_with_messages<S: Database>(
        &self,
        source: &mut S,
    ) -> Result<(), RevertError<S::Error>> {
        if self.is_empty() {
            return Ok(());
        }
        let ambient = current_context().unwrap_or_default();
        let mut context = ambient.clone();
        context.merge(self.context.clone());
        emit(source, context).await?;
        self.run(source).await?;
        emit(source, ambient).await
    }

    async fn run<S: Database>(&self, source: &mut S) -> Result<(), RevertError<S::Error>> {
        if let Some(deferring) = self.deferring() {
            let failed = |source| RecordError::Database { doing: "defer constraints", source };
            source.execute(&Sql::new(deferring)).await.map_err(failed)?;
        }
        for statement in &self.statements {
            let hit = source
                .execute(&statement.sql())
                .await
                .map_err(|source| RevertError::Refused { row: statement.row(), source })?;
            if hit != 1 {
                return Err(RevertError::Moved { row: statement.row() });
            }
        }
        // What was deferred for the plan alone is checked with it. What is deferred anyway is the
        // caller's to know of.
        let checked: Vec<&str> = self
            .deferred
            .iter()
            .filter(|constraint| !constraint.initially)
            .map(|constraint| constraint.name.as_str())
            .collect();
        if !checked.is_empty() {
            let sql = Sql::new(format!("SET CONSTRAINTS {} IMMEDIATE", checked.join(", ")));
            source.execute(&sql).await.map_err(|source| RevertError::Refused {
                row: self.statements.first().map(Statement::row).unwrap_or_default(),
                source,
            })?;
        }
        Ok(())
    }
}

/// Says under which context the writes that follow are.
async fn emit<S: Database>(source: &mut S, context: Context) -> Result<(), RevertError<S::Error>> {
    let message = MessageOptions::new().sql(SqlCapture::Off).encode(&context, None);
    let mut sql = Sql::new("SELECT concat(pg_logical_emit_message(true, '_bemi', ");
    sql.bind(ContextMessage::as_str(&message).to_owned());
    sql.push("), pg_logical_emit_message(true, '_bemi_spacer', ''))");
    source
        .query(&sql)
        .await
        .map_err(|source| RecordError::Database { doing: "emit the context", source })?;
    Ok(())
}
