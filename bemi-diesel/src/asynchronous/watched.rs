//! Statements that begin, divide or end a transaction, and texts with messages in them.
//!
//! diesel-async's transaction manager sends its own as texts through the connection, so they are seen here like those of the
//! application. What is known of the transaction is taken from the connection before such a text is sent, and put back when the
//! server has answered: a call that is cancelled in between leaves what is true then.

use bemi_core::Scope;
use bemi_core::adapter::{Plan, Session, Step};
use diesel::QueryResult;
use diesel::result::Error;

use super::abandoned::RollbackOnDrop;
use super::connection::Parts;
use super::send;

impl Parts<'_> {
    /// Runs a text of the simple query protocol, which was given in the scope `made_in`.
    pub(super) async fn carry_out_text(self, sql: &str, made_in: Option<Scope>) -> QueryResult<()> {
        if *self.broken {
            return Err(Error::BrokenTransactionManager);
        }
        let raw = self.raw;
        match self.statements.plan_text(self.session, sql, made_in.as_ref())? {
            Plan::Rewritten { sql, steps } => self.watch(send(raw, &sql), &steps).await,
            Plan::Watched(steps) => self.watch(send(raw, sql), &steps).await,
            // A text has its messages in it.
            Plan::AsIs | Plan::Wrapped(_) | Plan::Preceded(_) | Plan::Inlined { .. } => {
                send(raw, sql).await
            }
        }
    }

    /// Runs what does `steps`.
    pub(super) async fn watch<A>(
        self,
        statement: impl Future<Output = QueryResult<A>>,
        steps: &[Step],
    ) -> QueryResult<A> {
        if !steps.iter().any(Step::is_boundary) {
            let before = self.session.clone();
            self.session.forget();
            let answer = statement.await;
            if answer.is_ok() {
                *self.session = before;
                self.session.answered(steps, steps.len(), None);
            }
            return answer;
        }
        // Cancelled here, it is rolled back. Where diesel-async would take a transaction to be open then, writes that seem to be part of it
        // would commit one by one: nothing may run any more.
        let mut session = std::mem::take(self.session);
        *self.broken = self.managed;
        let open = RollbackOnDrop::new(self.raw);
        let answer = statement.await;
        match &answer {
            Ok(_) => session.answered(steps, steps.len(), None),
            Err(Error::DatabaseError(..)) => match steps {
                [step] => session.failed(Some(step)),
                _ => self.find_out(&mut session).await,
            },
            Err(_) => session.forget(),
        }
        open.disarm();
        *self.broken = false;
        *self.session = session;
        answer
    }

    /// How far a text of several statements came is not said. In a transaction that has failed the server refuses everything,
    /// and after an error there is no other that is open.
    async fn find_out(&self, session: &mut Session) {
        match send(self.raw, "SELECT 1").await {
            Ok(()) => session.end(),
            Err(_) => {
                session.begin();
                session.forget();
            }
        }
    }
}
