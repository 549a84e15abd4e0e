//! What is known of a connection, and what a statement needs around it. Sends nothing.
//!
//! Statements may be queued before those ahead of them were answered. So what is kept is the session as it will be when
//! all that was queued has run, and it is changed at the moment of queueing, inside the [gate](Gate). In a transaction
//! that is no guess for messages: one that fails takes the transaction with it. It is a guess for texts that begin,
//! divide or end a transaction; those are [watched](Watch) until they are answered.
//!
//! Invariant: where the outcome of a watched text is not known, no message is taken to govern.

use std::sync::{Arc, Mutex};

use bemi_core::adapter::{Plan, Protocol, Session, Step, emission, plan};
use bemi_core::{MissingContextError, Settings, current_context};
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::gate::{Gate, lock};

/// What the client and its transactions share.
#[derive(Debug)]
pub(crate) struct Tracking {
    pub(crate) settings: Settings,
    pub(crate) gate: Gate,
    known: Arc<Mutex<Known>>,
    /// The statements that the pool keeps for this connection.
    #[cfg(feature = "deadpool")]
    pub(crate) cache: Option<Arc<deadpool_postgres::StatementCache>>,
}

#[derive(Debug, Default)]
struct Known {
    session: Session,
    /// How often the session was changed.
    changes: u64,
    /// The last of the changes that began or ended a transaction.
    boundary: u64,
}

/// What goes to the server before a statement and behind it, in the same round trip.
#[derive(Debug, Default)]
pub(crate) struct Around {
    pub(crate) before: Option<String>,
    pub(crate) after: Option<&'static str>,
    pub(crate) watch: Option<Watch>,
}

/// A text of the simple query protocol.
#[derive(Debug, Default)]
pub(crate) struct Text {
    /// The text with messages in it; none where it stays as it is.
    pub(crate) rewritten: Option<String>,
    pub(crate) watch: Option<Watch>,
}

/// A text that was queued and may begin, divide or end a transaction.
#[derive(Debug)]
pub(crate) struct Watch {
    known: Arc<Mutex<Known>>,
    before: Session,
    steps: Vec<Step>,
    change: u64,
}

/// A transaction or savepoint that is open; dropped, it is taken to be rolled back.
#[derive(Debug)]
pub(crate) struct Open<'a> {
    tracking: &'a Tracking,
    /// None when it is over.
    level: Option<Level>,
}

#[derive(Debug)]
enum Level {
    Transaction,
    Savepoint(String),
}

impl Around {
    /// Whether the statement goes by itself, as reads do.
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(self, Self { before: None, after: None, watch: None })
    }
}

impl Tracking {
    pub(crate) fn new() -> Self {
        Self {
            settings: Settings::default(),
            gate: Gate::default(),
            known: Arc::default(),
            #[cfg(feature = "deadpool")]
            cache: None,
        }
    }

    #[cfg(feature = "deadpool")]
    pub(crate) fn with_cache(cache: &Arc<deadpool_postgres::StatementCache>) -> Self {
        Self { cache: Some(Arc::clone(cache)), ..Self::new() }
    }

    /// Whether a transaction is open, be it begun by a method or as text.
    pub(crate) fn is_open(&self) -> bool {
        lock(&self.known).session.is_open()
    }

    /// Something is done out of sight.
    pub(crate) fn forget(&self) {
        lock(&self.known).change(Session::forget);
    }

    /// What the statement `sql` needs around it. It must be queued with it, at once.
    ///
    /// # Errors
    ///
    /// Where there is a write, no context, and that was said to be an error.
    pub(crate) fn around(&self, sql: &str) -> Result<Around, MissingContextError> {
        let mut known = lock(&self.known);
        // A message in the statement itself would save no round trip, and would need another text to be prepared.
        let protocol = Protocol::Extended { parameters: None };
        match plan(&known.session, &self.settings, sql, protocol, current_context)? {
            // Only simple texts are rewritten.
            Plan::AsIs | Plan::Rewritten { .. } => Ok(Around::default()),
            Plan::Wrapped(message) | Plan::Preceded(message) | Plan::Inlined { message, .. } => {
                let emission = emission(&message);
                if known.session.is_open() {
                    known.change(|session| session.emitted(message));
                    return Ok(Around { before: Some(emission), ..Around::default() });
                }
                // Whatever was believed before: behind this COMMIT no transaction is open.
                known.change_boundary(Session::end);
                let before = Some(format!("BEGIN; {emission}"));
                Ok(Around { before, after: Some("COMMIT"), watch: None })
            }
            Plan::Watched(steps) => {
                Ok(Around { watch: self.watch(&mut known, steps), ..Around::default() })
            }
        }
    }

    /// What is to be sent for the text `sql`. It must be queued at once.
    ///
    /// # Errors
    ///
    /// Where there is a write, no context, and that was said to be an error.
    pub(crate) fn text(&self, sql: &str) -> Result<Text, MissingContextError> {
        let mut known = lock(&self.known);
        match plan(&known.session, &self.settings, sql, Protocol::Simple, current_context)? {
            // A simple text takes its messages along; nothing goes around it.
            Plan::AsIs | Plan::Wrapped(_) | Plan::Preceded(_) | Plan::Inlined { .. } => {
                Ok(Text::default())
            }
            Plan::Rewritten { sql, steps } => {
                Ok(Text { rewritten: Some(sql), watch: self.watch(&mut known, steps) })
            }
            Plan::Watched(steps) => {
                Ok(Text { rewritten: None, watch: self.watch(&mut known, steps) })
            }
        }
    }

    /// `START TRANSACTION` is queued; until it is answered, the library rolls back when it is dropped.
    pub(crate) fn begin(&self) -> Open<'_> {
        lock(&self.known).change_boundary(Session::begin);
        Open { tracking: self, level: Some(Level::Transaction) }
    }

    /// A `SAVEPOINT` is queued.
    pub(crate) fn savepoint(&self, name: &str) -> Option<Watch> {
        self.watch(&mut lock(&self.known), vec![Step::Savepoint(name.to_owned())])
    }

    /// The `SAVEPOINT` was made.
    pub(crate) fn opened(&self, savepoint: String) -> Open<'_> {
        Open { tracking: self, level: Some(Level::Savepoint(savepoint)) }
    }

    fn watch(&self, known: &mut Known, steps: Vec<Step>) -> Option<Watch> {
        if steps.iter().all(|step| *step == Step::Other) {
            return None;
        }
        let before = known.session.clone();
        let expected = |session: &mut Session| {
            for step in &steps {
                session.ran(step);
            }
            session.leave_text();
            session.forget();
        };
        if steps.iter().any(Step::is_boundary) {
            known.change_boundary(expected);
        } else {
            known.change(expected);
        }
        Some(Watch { known: Arc::clone(&self.known), before, change: known.changes, steps })
    }
}

impl Known {
    fn change(&mut self, change: impl FnOnce(&mut Session)) {
        change(&mut self.session);
        self.changes += 1;
    }

    fn change_boundary(&mut self, change: impl FnOnce(&mut Session)) {
        self.change(change);
        self.boundary = self.changes;
    }
}

impl Watch {
    /// The text was answered: so many of its statements have run, those of ours included, and then this error came.
    pub(crate) fn answered(self, completed: usize, error: Option<&Error>) {
        let refused = match error.map(Error::code) {
            // The connection does not work: nobody will ask.
            Some(None) => return,
            Some(code) => code,
            None => None,
        };
        let mut session = self.before;
        session.answered(&self.steps, completed, refused.map(SqlState::code));
        let mut known = lock(&self.known);
        if known.changes == self.change {
            known.session = session;
        } else if refused.is_some() && known.boundary == self.change {
            // What was queued since rests on a transaction that is not as it was expected to be.
            session.forget();
            known.session = session;
        }
    }
}

impl Open<'_> {
    /// `COMMIT` or `RELEASE` is queued.
    pub(crate) fn commit(mut self) -> Option<Watch> {
        self.end(Step::Release)
    }

    /// `ROLLBACK` or `ROLLBACK TO` is queued.
    pub(crate) fn roll_back(mut self) -> Option<Watch> {
        self.end(Step::RollbackTo)
    }

    fn end(&mut self, savepoint: impl FnOnce(String) -> Step) -> Option<Watch> {
        let mut known = lock(&self.tracking.known);
        match self.level.take()? {
            Level::Savepoint(name) => self.tracking.watch(&mut known, vec![savepoint(name)]),
            // Whatever the server answers to a COMMIT, the transaction is over.
            Level::Transaction => {
                known.change_boundary(Session::end);
                None
            }
        }
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let mut known = lock(&self.tracking.known);
        match self.level.take() {
            Some(Level::Savepoint(name)) => known.change(|session| session.rollback_to(&name)),
            Some(Level::Transaction) => known.change_boundary(Session::end),
            None => {}
        }
    }
}
