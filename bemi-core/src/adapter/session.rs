//! What is known of a connection's transaction, and of the message that governs the next write in it.
//!
//! Pure: it is told what ran, it sends nothing. It learns of transactions from the text of statements, because libraries count
//! only those that they began themselves.
//!
//! Invariant: when the governing message is known, it is the last one that the server has in this transaction. When in
//! doubt it is unknown, so that the next write emits again, which is harmless.

use crate::ContextMessage;
use crate::statement::TransactionControl;

/// The transaction of one connection: whether one is open, its savepoints, and the message that governs the next write in it.
///
/// ```
/// use bemi_core::adapter::Session;
/// use bemi_core::{Context, MessageOptions};
///
/// let message = MessageOptions::new().encode(&Context::new().with("user_id", 1), None);
/// let mut session = Session::default();
/// session.begin();
/// session.savepoint("a");
/// session.emitted(message.clone());
/// assert!(!session.needs(&message));
/// session.rollback_to("a");
/// assert!(session.needs(&message));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Session {
    open: Option<Open>,
}

#[derive(Clone, Debug)]
struct Open {
    /// Somebody said `BEGIN`; else the transaction ends with the text that it began in.
    explicit: bool,
    /// Whether it may be read only for a while. Nothing is emitted where it is, and when that ends is not told.
    maybe_read_only: bool,
    governing: Governing,
    savepoints: Vec<Savepoint>,
}

/// The server could not read the text, so none of its statements has run.
const SYNTAX_ERROR: &str = "42601";

/// The last message in the transaction: `{}` where there is none, which governs the same; `None` where it is not known.
type Governing = Option<ContextMessage>;

#[derive(Clone, Debug)]
struct Savepoint {
    name: String,
    governing: Governing,
}

/// One statement of a text, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// A message of ours.
    Emit(ContextMessage),
    /// A transaction begins.
    Begin,
    /// A transaction ends.
    End {
        /// Another transaction is open at once.
        chain: bool,
    },
    /// A savepoint of this name.
    Savepoint(String),
    /// Back to the newest savepoint of this name, which stays.
    RollbackTo(String),
    /// The newest savepoint of this name is forgotten.
    Release(String),
    /// The transaction, or the savepoint that is open, is made read only or no longer so.
    AccessMode,
    /// Anything else.
    Other,
}

impl Step {
    /// What the session has to know of a statement that begins, divides or ends a transaction.
    #[must_use]
    pub fn of(control: TransactionControl<'_>) -> Self {
        match control {
            TransactionControl::Begin { .. } => Self::Begin,
            TransactionControl::Commit { chain } | TransactionControl::Rollback { chain } => {
                Self::End { chain }
            }
            TransactionControl::Prepare => Self::End { chain: false },
            TransactionControl::Savepoint(name) => Self::Savepoint(name.folded().into_owned()),
            TransactionControl::RollbackTo(name) => Self::RollbackTo(name.folded().into_owned()),
            TransactionControl::Release(name) => Self::Release(name.folded().into_owned()),
            TransactionControl::AccessMode { .. } => Self::AccessMode,
            _ => Self::Other,
        }
    }

    /// Whether it begins or ends a transaction.
    #[must_use]
    pub fn is_boundary(&self) -> bool {
        matches!(self, Self::Begin | Self::End { .. })
    }
}

impl Session {
    /// Whether a transaction is open that lasts beyond the statement.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.explicit)
    }

    /// Whether a write that `message` is to govern needs it emitted first.
    #[must_use]
    pub fn needs(&self, message: &ContextMessage) -> bool {
        match &self.open {
            Some(open) => open.governing.as_ref() != Some(message),
            None => *message != ContextMessage::empty(),
        }
    }

    /// A transaction was begun; in one that is open already, the server changes nothing.
    pub fn begin(&mut self) {
        self.open.get_or_insert_with(Open::new).explicit = true;
    }

    /// The transaction is over.
    pub fn end(&mut self) {
        self.open = None;
    }

    /// A savepoint was made.
    pub fn savepoint(&mut self, name: &str) {
        if let Some(open) = &mut self.open {
            open.savepoints
                .push(Savepoint { name: name.to_owned(), governing: open.governing.clone() });
        }
    }

    /// What was emitted since the savepoint does not exist any more.
    pub fn rollback_to(&mut self, name: &str) {
        let Some(open) = &mut self.open else { return };
        let place = open.place(name);
        open.savepoints.truncate(place.map_or(0, |place| place + 1));
        open.governing = open.savepoints.last().and_then(|savepoint| savepoint.governing.clone());
    }

    /// The savepoint is gone; what was done since stays.
    pub fn release(&mut self, name: &str) {
        if let Some(open) = &mut self.open
            && let Some(place) = open.place(name)
        {
            open.savepoints.truncate(place);
        }
    }

    /// A message may or may not have reached the server.
    pub fn forget_message(&mut self) {
        if let Some(open) = &mut self.open {
            open.governing = None;
        }
    }

    /// Something happens out of sight, or may be cancelled: savepoints may come and go.
    pub fn forget(&mut self) {
        if let Some(open) = &mut self.open {
            open.governing = None;
            for savepoint in &mut open.savepoints {
                savepoint.governing = None;
            }
        }
    }

    /// The server has this message.
    pub fn emitted(&mut self, message: ContextMessage) {
        if let Some(open) = &mut self.open {
            open.governing = (!open.maybe_read_only).then_some(message);
        }
    }

    /// A statement with `message` in it has run. Where it changed no row, the server may have left the message out: it is then
    /// not known which one governs.
    pub fn inlined(&mut self, message: ContextMessage, rows_affected: u64) {
        if rows_affected > 0 {
            self.emitted(message);
        } else {
            self.forget_message();
        }
    }

    /// A text of several statements runs in one transaction from here on, if none is open.
    pub fn enter_text(&mut self) {
        self.open.get_or_insert_with(Open::new);
    }

    /// The text is over, and with it the transaction that nobody began.
    pub fn leave_text(&mut self) {
        self.open.take_if(|open| !open.explicit);
    }

    /// One statement of a text has run.
    pub fn ran(&mut self, step: &Step) {
        self.enter_text();
        match step {
            Step::Emit(message) => self.emitted(message.clone()),
            Step::Begin => self.begin(),
            Step::End { chain } => {
                let chain = *chain && self.is_open();
                self.end();
                if chain {
                    self.begin();
                }
            }
            Step::Savepoint(name) => self.savepoint(name),
            Step::RollbackTo(name) => self.rollback_to(name),
            Step::Release(name) => self.release(name),
            Step::AccessMode => {
                if let Some(open) = &mut self.open {
                    open.maybe_read_only = true;
                }
            }
            Step::Other => {}
        }
    }

    /// A text was answered: so many of its statements have run, and then the server refused one with this SQLSTATE, if it did.
    pub fn answered(&mut self, steps: &[Step], completed: usize, refused: Option<&str>) {
        if refused == Some(SYNTAX_ERROR) {
            return;
        }
        for step in steps.iter().take(completed) {
            self.ran(step);
        }
        if refused.is_some() {
            self.failed(steps.get(completed));
        }
        self.leave_text();
    }

    /// The statement failed, and the text with it.
    pub fn failed(&mut self, step: Option<&Step>) {
        // A COMMIT that fails has ended the transaction; anything else leaves it to be rolled back.
        if let Some(Step::End { .. }) = step {
            self.end();
        }
    }
}

impl Open {
    fn new() -> Self {
        Self {
            explicit: false,
            maybe_read_only: false,
            governing: Some(ContextMessage::empty()),
            savepoints: Vec::new(),
        }
    }

    /// The newest savepoint of this name: names may repeat.
    fn place(&self, name: &str) -> Option<usize> {
        self.savepoints.iter().rposition(|savepoint| savepoint.name == name)
    }
}

#[cfg(test)]
mod tests {
    use crate::{Context, MessageOptions};

    use super::*;

    fn message(user: u32) -> ContextMessage {
        MessageOptions::new().encode(&Context::new().with("user_id", user), None)
    }

    fn in_transaction() -> Session {
        let mut session = Session::default();
        session.begin();
        session
    }

    #[test]
    fn a_message_is_needed_once_until_it_changes() {
        let mut session = in_transaction();
        assert!(session.needs(&message(1)));
        session.emitted(message(1));
        assert!(!session.needs(&message(1)));
        assert!(session.needs(&message(2)));
    }

    #[test]
    fn outside_any_scope_a_message_is_needed_only_to_end_the_reach_of_another() {
        let mut session = in_transaction();
        assert!(!session.needs(&ContextMessage::empty()));
        session.emitted(message(1));
        assert!(session.needs(&ContextMessage::empty()));
    }

    #[test]
    fn a_rollback_to_a_savepoint_forgets_what_was_emitted_since() {
        let mut session = in_transaction();
        session.emitted(message(1));
        session.savepoint("a");
        session.emitted(message(2));
        session.savepoint("b");
        session.emitted(message(3));
        session.rollback_to("a");
        assert!(!session.needs(&message(1)));
        session.emitted(message(2));
        session.rollback_to("a");
        assert!(!session.needs(&message(1)), "the savepoint stays after a rollback to it");
    }

    #[test]
    fn a_released_savepoint_is_gone_and_its_message_stays() {
        let mut session = in_transaction();
        session.savepoint("a");
        session.savepoint("a");
        session.emitted(message(1));
        session.release("a");
        assert!(!session.needs(&message(1)));
        session.rollback_to("a");
        assert!(!session.needs(&ContextMessage::empty()), "the older one of the name is left");
    }

    #[test]
    fn a_statement_with_a_message_in_it_tells_of_the_message_only_by_the_rows_it_changed() {
        let mut session = in_transaction();
        session.inlined(message(1), 0);
        assert!(session.needs(&message(1)));
        assert!(session.needs(&ContextMessage::empty()));
        session.inlined(message(1), 2);
        assert!(!session.needs(&message(1)));
    }

    #[test]
    fn after_a_rollback_to_an_unknown_savepoint_nothing_is_known() {
        let mut session = in_transaction();
        session.emitted(message(1));
        session.rollback_to("made elsewhere");
        assert!(session.needs(&message(1)));
        assert!(session.needs(&ContextMessage::empty()));
    }

    #[test]
    fn a_text_without_begin_leaves_no_transaction_open() {
        let mut session = Session::default();
        session.ran(&Step::Emit(message(1)));
        assert!(!session.needs(&message(1)));
        session.leave_text();
        assert!(!session.is_open());
        assert!(session.needs(&message(1)));
    }

    #[test]
    fn begin_in_the_middle_of_a_text_keeps_what_was_emitted_before() {
        let mut session = Session::default();
        for step in [Step::Emit(message(1)), Step::Other, Step::Begin] {
            session.ran(&step);
        }
        session.leave_text();
        assert!(session.is_open());
        assert!(!session.needs(&message(1)));
    }

    #[test]
    fn commit_and_chain_opens_a_transaction_without_a_message() {
        let mut session = in_transaction();
        session.emitted(message(1));
        session.ran(&Step::End { chain: true });
        assert!(session.is_open());
        assert!(session.needs(&message(1)));
        session.ran(&Step::End { chain: false });
        session.leave_text();
        assert!(!session.is_open());
    }

    /// The savepoint's end brings back what was before, without a word.
    #[test]
    fn where_it_may_be_read_only_no_message_is_taken_to_govern() {
        let mut session = in_transaction();
        session.savepoint("a");
        session.ran(&Step::AccessMode);
        session.emitted(message(1));
        session.release("a");
        assert!(session.needs(&message(1)));
        session.end();
        session.begin();
        session.emitted(message(1));
        assert!(!session.needs(&message(1)));
    }

    #[test]
    fn a_text_that_was_answered_has_run_as_far_as_it_was_completed() {
        let steps = [Step::Begin, Step::Emit(message(1)), Step::Other, Step::End { chain: false }];
        for (completed, refused, open) in [
            (4, None, false),
            (2, Some("23505"), true),
            (3, Some("23505"), false),
            (0, Some(SYNTAX_ERROR), false),
        ] {
            let mut session = Session::default();
            session.answered(&steps, completed, refused);
            assert_eq!(session.is_open(), open, "{completed} {refused:?}");
        }
    }

    #[test]
    fn only_a_failed_commit_ends_the_transaction() {
        let mut session = in_transaction();
        session.failed(Some(&Step::Savepoint("a".to_owned())));
        assert!(session.is_open());
        session.failed(Some(&Step::End { chain: false }));
        assert!(!session.is_open());
    }
}
