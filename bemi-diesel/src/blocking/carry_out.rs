//! Carries out plans: puts the message on the wire before the write, in the same transaction.
//!
//! Invariant: a write that needs a message runs only after the server has taken it, except where the server says that the
//! transaction is read only.

use std::num::NonZeroU32;

use bemi_core::ContextMessage;
use bemi_core::adapter::{Plan, Step, emission};
use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::result::Error;
use diesel::{PgConnection, QueryResult};

use super::BemiPgConnection;

/// What is to be sent in place of a statement.
pub(super) enum Text {
    /// The statement itself.
    Own,
    /// This text.
    Rewritten(String),
    /// This text, which takes the message as its last parameter.
    Inlined(String, ContextMessage),
}

impl BemiPgConnection {
    /// Sends what `run` sends, as `plan` says. `affected` tells from the answer how many rows a write has certainly changed.
    ///
    /// # Errors
    ///
    /// Those of `run`; those of what is sent around it.
    pub(super) fn carry_out<R>(
        &mut self,
        plan: Plan,
        run: impl FnOnce(&mut PgConnection, Text) -> QueryResult<R>,
        affected: fn(&R) -> usize,
    ) -> QueryResult<R> {
        match plan {
            Plan::AsIs => run(&mut self.untracked, Text::Own),
            Plan::Wrapped(message) => {
                Wrapping::around(&mut self.untracked, &message, |connection| {
                    run(connection, Text::Own)
                })
            }
            Plan::Preceded(message) => {
                self.emit(message)?;
                run(&mut self.untracked, Text::Own)
            }
            Plan::Inlined { sql, message } => {
                self.session.forget_message();
                let answer = run(&mut self.untracked, Text::Inlined(sql, message.clone()))?;
                self.session.inlined(message, affected(&answer) as u64);
                Ok(answer)
            }
            Plan::Rewritten { sql, steps } => {
                self.follow(&steps, |connection| run(connection, Text::Rewritten(sql)))
            }
            Plan::Watched(steps) => self.follow(&steps, |connection| run(connection, Text::Own)),
        }
    }

    /// Emits `message` in the transaction that is open.
    pub(super) fn emit(&mut self, message: ContextMessage) -> QueryResult<()> {
        self.session.forget_message();
        self.untracked.batch_execute(&emission(&message))?;
        self.session.emitted(message);
        Ok(())
    }

    /// A transaction that was begun where it could not be seen, such as before the connection was wrapped, is one all the same.
    pub(super) fn notice_transaction(&mut self) {
        if !self.session.is_open() && matches!(depth(&mut self.untracked), Some(1..)) {
            self.session.begin();
            self.session.forget();
        }
    }

    /// Runs a text that does `steps`, and keeps track of the transaction.
    fn follow<R>(
        &mut self,
        steps: &[Step],
        run: impl FnOnce(&mut PgConnection) -> QueryResult<R>,
    ) -> QueryResult<R> {
        let answer = run(&mut self.untracked);
        match &answer {
            Ok(_) => self.session.answered(steps, steps.len(), None),
            Err(Error::DatabaseError(..)) => match steps {
                [step] => self.session.failed(Some(step)),
                _ if steps.iter().any(Step::is_boundary) => self.find_out(),
                _ => self.session.forget(),
            },
            // It was not sent.
            Err(_) => {}
        }
        answer
    }

    /// How far a text of several statements came is not said. But the error has left no transaction open other than one in which
    /// the server refuses everything from now on.
    fn find_out(&mut self) {
        match self.untracked.batch_execute("SELECT 1") {
            Ok(()) => self.session.end(),
            Err(_) => {
                self.session.begin();
                self.session.forget();
            }
        }
    }
}

/// A transaction of ours around one write. Dropped before it is over, be it by an error or a panic, it is rolled back.
struct Wrapping<'c> {
    connection: &'c mut PgConnection,
    over: bool,
}

impl Wrapping<'_> {
    fn around<R>(
        connection: &mut PgConnection,
        message: &ContextMessage,
        write: impl FnOnce(&mut PgConnection) -> QueryResult<R>,
    ) -> QueryResult<R> {
        let mut wrapping = Wrapping { connection, over: false };
        let begin = format!("BEGIN; {}", emission(message));
        AnsiTransactionManager::begin_transaction_sql(wrapping.connection, &begin)?;
        let answer = write(wrapping.connection)?;
        let committed = AnsiTransactionManager::commit_transaction(wrapping.connection);
        // A COMMIT that the server refuses has ended the transaction just as well.
        wrapping.over = true;
        committed.map(|()| answer)
    }
}

impl Drop for Wrapping<'_> {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        // Where it fails, the connection is broken, and diesel knows; the caller gets the error that came first.
        if let Err(Error::NotInTransaction) =
            AnsiTransactionManager::rollback_transaction(self.connection)
        {
            // The message was refused, so that diesel has seen no transaction begin.
            let _ = self.connection.batch_execute("ROLLBACK");
        }
    }
}

/// How many transactions diesel knows to be open, one inside the other; none where it has lost the connection.
pub(super) fn depth(connection: &mut PgConnection) -> Option<u32> {
    let status = AnsiTransactionManager::transaction_manager_status_mut(connection);
    Some(status.transaction_depth().ok()?.map_or(0, NonZeroU32::get))
}
