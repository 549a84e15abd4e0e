//! Decides how a statement runs, from its text and from what is known of the connection. Sends nothing.
//!
//! ```text
//!                     read, or its message governs already ─▶ AsIs
//!  text + session ─┬─ arguments, no transaction open ───────▶ Wrapped      BEGIN; emit │ write │ COMMIT
//!                  ├─ arguments, transaction open ──────────▶ Preceded     emit │ write
//!                  ├─ simple text ──────────────────────────▶ Rewritten    emit; write
//!                  └─ BEGIN, SAVEPOINT, COMMIT … ───────────▶ Watched
//! ```
//!
//! Invariant: what is not [`Plan::AsIs`] is followed to its end before the caller sees any of its rows.

use bemi_core::ContextMessage;
use bemi_core::statement::{Statement, statements_with};

use crate::session::{Session, Step};
use crate::settings::Settings;

/// The column of the row that an emission answers with: its row and result are not the caller's.
pub(crate) const EMITTED_COLUMN: &str = "bemi context emitted";

/// How a statement is to run.
#[derive(Debug)]
pub(crate) enum Plan {
    /// Untouched.
    AsIs,
    /// In a transaction of ours, which begins with the message.
    Wrapped(ContextMessage),
    /// After the message, in the transaction that is open.
    Preceded(ContextMessage),
    /// As this text, which has the messages in it.
    Rewritten {
        sql: String,
        /// What the statements of the text do, those of ours included.
        steps: Vec<Step>,
    },
    /// Untouched, but it begins, divides or ends a transaction.
    Watched(Vec<Step>),
}

/// Plans for the text `sql`. `message` gives the message that is to govern the statement it is given.
pub(crate) fn plan(
    session: &Session,
    settings: &Settings,
    sql: &str,
    simple: bool,
    message: impl Fn(&str) -> ContextMessage,
) -> Plan {
    match Statement::classify_with(sql, &settings.functions) {
        Statement::Read => Plan::AsIs,
        // The server refuses several statements where there are arguments.
        Statement::Script { .. } if !simple => Plan::AsIs,
        Statement::Control(control) if !simple => Plan::Watched(vec![Step::of(control)]),
        Statement::Control(_) | Statement::Script { .. } => {
            let text = Rewriting::of(session, settings, sql, message);
            if text.emits() { text.into_plan() } else { Plan::Watched(text.steps) }
        }
        _ if simple => {
            let text = Rewriting::of(session, settings, sql, message);
            if text.emits() { text.into_plan() } else { Plan::AsIs }
        }
        // It may commit, which fails inside a transaction of ours.
        Statement::Procedure if !session.is_open() => Plan::AsIs,
        _ => {
            let message = message(sql);
            if !session.needs(&message) {
                Plan::AsIs
            } else if session.is_open() {
                Plan::Preceded(message)
            } else {
                Plan::Wrapped(message)
            }
        }
    }
}

/// The statement that emits `message`, by the simple query protocol.
///
/// In a read-only transaction and on a standby it does nothing: there the write must fail for its own reason and with its own
/// error, and on a standby the emission could only fail with another one.
pub(crate) fn emission(message: &ContextMessage) -> String {
    let emit = message.emit_statement();
    format!(
        "SELECT ({emit} WHERE current_setting('transaction_read_only') = 'off') AS \"{EMITTED_COLUMN}\""
    )
}

/// A text in the making that has messages in it.
pub(crate) struct Rewriting {
    pub(crate) sql: String,
    pub(crate) steps: Vec<Step>,
    /// What is known of the connection once the text has run.
    pub(crate) after: Session,
}

impl Rewriting {
    /// Puts a message before each statement of `sql` that needs one.
    pub(crate) fn of(
        session: &Session,
        settings: &Settings,
        sql: &str,
        message: impl Fn(&str) -> ContextMessage,
    ) -> Self {
        let statements: Vec<_> = statements_with(sql, &settings.functions).collect();
        let several = statements.len() > 1;
        let mut text = Self { sql: String::new(), steps: Vec::new(), after: session.clone() };
        // With `standard_conforming_strings = off`, what looks like the border between two statements may be inside of a
        // string. Only the front of the text is safe then.
        let at_front = several && sql.contains("\\'");
        if at_front && statements.iter().any(|(_, statement)| statement.writes()) {
            text.emit(message(sql));
        }
        let mut copied = 0;
        for (range, statement) in statements {
            // A lone CALL may commit, which fails where another statement shares its transaction.
            let may_emit = several || session.is_open() || statement != Statement::Procedure;
            if statement.writes() && may_emit && !at_front {
                text.copy(sql, &mut copied, range.start);
                text.emit(message(sql.get(range).unwrap_or(sql)));
            }
            text.step(match statement {
                Statement::Control(control) => Step::of(control),
                _ => Step::Other,
            });
        }
        text.copy(sql, &mut copied, sql.len());
        text.after.leave_text();
        text
    }

    pub(crate) fn emits(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Emit(_)))
    }

    fn into_plan(self) -> Plan {
        Plan::Rewritten { sql: self.sql, steps: self.steps }
    }

    fn copy(&mut self, sql: &str, copied: &mut usize, to: usize) {
        self.sql.push_str(sql.get(*copied..to).unwrap_or_default());
        *copied = to;
    }

    fn emit(&mut self, message: ContextMessage) {
        self.after.enter_text();
        if self.after.needs(&message) {
            self.sql.push_str(&emission(&message));
            self.sql.push_str("; ");
            self.step(Step::Emit(message));
        }
    }

    fn step(&mut self, step: Step) {
        self.after.ran(&step);
        self.steps.push(step);
    }
}

#[cfg(test)]
mod tests {
    use bemi_core::{Context, MessageOptions, SqlCapture};

    use super::*;

    fn in_scope(sql: &str) -> ContextMessage {
        MessageOptions::new().encode(&Context::new().with("user_id", 1), Some(sql))
    }

    fn without_sql(_: &str) -> ContextMessage {
        MessageOptions::new().sql(SqlCapture::Off).encode(&Context::new().with("user_id", 1), None)
    }

    fn outside(_: &str) -> ContextMessage {
        ContextMessage::empty()
    }

    fn open(message: Option<ContextMessage>) -> Session {
        let mut session = Session::default();
        session.begin();
        if let Some(message) = message {
            session.emitted(message);
        }
        session
    }

    fn plan_of(
        session: &Session,
        sql: &str,
        simple: bool,
        message: impl Fn(&str) -> ContextMessage,
    ) -> Plan {
        plan(session, &Settings::default(), sql, simple, message)
    }

    /// The text of a plan, with each emission as `<emit …>`.
    fn rewritten(plan: Plan) -> String {
        let Plan::Rewritten { mut sql, steps } = plan else { panic!("not rewritten: {plan:?}") };
        for step in steps {
            if let Step::Emit(message) = step {
                sql = sql.replace(&emission(&message), &format!("<emit {message}>"));
            }
        }
        sql
    }

    #[test]
    fn reads_run_untouched_in_a_scope_and_outside() {
        for simple in [true, false] {
            assert!(matches!(
                plan_of(&Session::default(), "SELECT 1", simple, in_scope),
                Plan::AsIs
            ));
            assert!(matches!(
                plan_of(&open(None), "SELECT 1; SELECT 2", simple, in_scope),
                Plan::AsIs
            ));
        }
    }

    #[test]
    fn writes_outside_a_scope_run_untouched() {
        for simple in [true, false] {
            assert!(matches!(
                plan_of(&Session::default(), "DELETE FROM t", simple, outside),
                Plan::AsIs
            ));
            assert!(matches!(plan_of(&open(None), "DELETE FROM t", simple, outside), Plan::AsIs));
        }
    }

    #[test]
    fn a_write_with_arguments_is_wrapped_or_preceded_by_a_message() {
        let sql = "DELETE FROM t";
        assert!(matches!(plan_of(&Session::default(), sql, false, in_scope), Plan::Wrapped(_)));
        assert!(matches!(plan_of(&open(None), sql, false, in_scope), Plan::Preceded(_)));
        let governed = open(Some(in_scope(sql)));
        assert!(matches!(plan_of(&governed, sql, false, in_scope), Plan::AsIs));
        assert!(matches!(plan_of(&governed, "DELETE FROM u", false, in_scope), Plan::Preceded(_)));
    }

    #[test]
    fn a_write_outside_any_scope_ends_the_reach_of_a_message() {
        let governed = open(Some(without_sql("")));
        let Plan::Preceded(message) = plan_of(&governed, "DELETE FROM t", false, outside) else {
            panic!()
        };
        assert_eq!(message, ContextMessage::empty());
        assert_eq!(
            rewritten(plan_of(&governed, "DELETE FROM t", true, outside)),
            "<emit {}>; DELETE FROM t"
        );
    }

    #[test]
    fn a_procedure_is_never_in_a_transaction_of_ours() {
        for sql in ["CALL p()", "DO $$ BEGIN COMMIT; END $$"] {
            for simple in [true, false] {
                assert!(
                    matches!(plan_of(&Session::default(), sql, simple, in_scope), Plan::AsIs),
                    "{sql}"
                );
            }
            assert!(matches!(plan_of(&open(None), sql, false, in_scope), Plan::Preceded(_)));
            assert!(matches!(plan_of(&open(None), sql, true, in_scope), Plan::Rewritten { .. }));
        }
    }

    #[test]
    fn each_write_of_a_simple_text_has_the_message_of_its_own_statement() {
        let plan = plan_of(
            &Session::default(),
            "INSERT INTO t VALUES (1); INSERT INTO t VALUES (2);\n-- gone\nDELETE FROM t; SELECT 1;",
            true,
            in_scope,
        );
        assert_eq!(
            rewritten(plan),
            r#"<emit {"SQL":"INSERT INTO t VALUES (?)","user_id":1}>; INSERT INTO t VALUES (1); INSERT INTO t VALUES (2);"#
                .to_owned()
                + "\n"
                + r#"<emit {"SQL":"DELETE FROM t","user_id":1}>; "#
                + "-- gone\nDELETE FROM t; SELECT 1;"
        );
    }

    #[test]
    fn each_transaction_of_a_script_has_its_own_message() {
        let plan = plan_of(
            &Session::default(),
            "DELETE FROM t; BEGIN; DELETE FROM t; COMMIT; DELETE FROM t",
            true,
            without_sql,
        );
        let emit = r#"<emit {"user_id":1}>; "#;
        assert_eq!(
            rewritten(plan),
            format!("{emit}DELETE FROM t; BEGIN; DELETE FROM t; COMMIT; {emit}DELETE FROM t")
        );
    }

    #[test]
    fn transaction_control_is_watched() {
        for simple in [true, false] {
            let Plan::Watched(steps) = plan_of(&Session::default(), "BEGIN", simple, in_scope)
            else {
                panic!()
            };
            assert_eq!(steps, [Step::Begin]);
        }
        let Plan::Watched(steps) =
            plan_of(&open(None), "SELECT 1; ROLLBACK TO \"A\"", true, in_scope)
        else {
            panic!()
        };
        assert_eq!(steps, [Step::Other, Step::RollbackTo("A".to_owned())]);
    }

    #[test]
    fn where_strings_may_be_cut_differently_only_the_front_of_a_text_is_touched() {
        let sql = r"INSERT INTO t VALUES ('a\'); DELETE FROM t; --')";
        assert!(
            rewritten(plan_of(&Session::default(), sql, true, without_sql))
                .ends_with(&format!("; {sql}"))
        );
    }
}
