//! Decides how a statement runs, from its text and from what is known of the connection. Sends nothing.
//!
//! ```text
//!                     read, or its message governs already ─▶ AsIs
//!  text + session ─┬─ arguments, no transaction open ───────▶ Wrapped      BEGIN; emit │ write │ COMMIT
//!                  ├─ arguments, transaction open ──────────▶ Preceded     emit │ write
//!                  ├─ arguments, to be put in, and can be ──▶ Inlined      write with emit in it
//!                  ├─ simple text ──────────────────────────▶ Rewritten    emit; write
//!                  └─ BEGIN, SAVEPOINT, COMMIT … ───────────▶ Watched
//! ```
//!
//! Invariant: no plan lets a write that needs a message run before it, or in another transaction.

use super::session::{Session, Step};
use crate::declared::declared;
use crate::statement::{Statement, is_query, statements_with, with_message};
use crate::{Context, ContextMessage, MissingContextError, Settings};

/// The column of the row that an emission answers with: its row and result are not the caller's.
pub const EMITTED_COLUMN: &str = "bemi context emitted";

/// How a statement is to run.
///
/// It is exhaustive on purpose: an adapter that forgets a way loses contexts.
#[derive(Debug)]
pub enum Plan {
    /// Untouched.
    AsIs,
    /// In a transaction of ours, which begins with the message.
    Wrapped(ContextMessage),
    /// After the message, in the transaction that is open.
    Preceded(ContextMessage),
    /// As this text, which takes the message from one more parameter of type `text`, the last.
    Inlined {
        /// The text.
        sql: String,
        /// The value of its last parameter.
        message: ContextMessage,
    },
    /// As this text, which has the messages in it.
    Rewritten {
        /// The text.
        sql: String,
        /// What the statements of the text do, those of ours included.
        steps: Vec<Step>,
    },
    /// Untouched, but it begins, divides or ends a transaction.
    Watched(Vec<Step>),
}

/// How a text goes to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// By the simple query protocol, where a text may hold several statements.
    Simple,
    /// By the extended query protocol, where it is one statement.
    Extended {
        /// How many parameters it has, if one more can be added and the text be changed; else none, as where it is prepared
        /// already.
        parameters: Option<usize>,
    },
}

/// Plans for the text `sql`. `context` is asked only where there is a write: for the context of the scope that it runs in.
///
/// ```
/// use bemi_core::adapter::{Plan, Protocol, Session, plan};
/// use bemi_core::{Context, Settings};
///
/// let context = || Some(Context::new().with("user_id", 1));
/// let protocol = Protocol::Extended { parameters: Some(1) };
/// let plan_of = |sql| plan(&Session::default(), &Settings::new(), sql, protocol, context);
/// assert!(matches!(plan_of("SELECT * FROM todos WHERE id = $1")?, Plan::AsIs));
/// assert!(matches!(plan_of("DELETE FROM todos WHERE id = $1")?, Plan::Wrapped(_)));
/// # Ok::<(), bemi_core::MissingContextError>(())
/// ```
///
/// # Errors
///
/// Where there is a write, no context, and that was said to be an error.
pub fn plan(
    session: &Session,
    settings: &Settings,
    sql: &str,
    protocol: Protocol,
    context: impl FnOnce() -> Option<Context>,
) -> Result<Plan, MissingContextError> {
    let statement = match settings.classify(sql) {
        Statement::Read if !declared() => return Ok(Plan::AsIs),
        // In a simple text each statement is looked at.
        Statement::Read if protocol != Protocol::Simple && !is_query(sql) => return Ok(Plan::AsIs),
        Statement::Read => Statement::Write,
        Statement::Control(control) if protocol != Protocol::Simple => {
            return Ok(Plan::Watched(vec![Step::of(control)]));
        }
        // The server refuses several statements where there are parameters.
        Statement::Script { .. } if protocol != Protocol::Simple => return Ok(Plan::AsIs),
        statement => statement,
    };
    let context = context();
    let Protocol::Extended { parameters } = protocol else {
        let text = Rewriting::of(session, settings, sql, context.as_ref())?;
        let watched = matches!(statement, Statement::Control(_) | Statement::Script { .. });
        return Ok(match text.emits() {
            true => Plan::Rewritten { sql: text.sql, steps: text.steps },
            false if watched => Plan::Watched(text.steps),
            false => Plan::AsIs,
        });
    };
    // It may commit, which fails inside a transaction of ours.
    if statement == Statement::Procedure && !session.is_open() {
        settings.message(context.as_ref(), sql)?;
        return Ok(Plan::AsIs);
    }
    let message = settings.message(context.as_ref(), sql)?;
    if !session.needs(&message) {
        return Ok(Plan::AsIs);
    }
    if settings.inlines_messages()
        && let Some(parameters) = parameters
        && let Some(sql) = with_message(sql, parameters + 1)
    {
        return Ok(Plan::Inlined { sql, message });
    }
    Ok(if session.is_open() { Plan::Preceded(message) } else { Plan::Wrapped(message) })
}

/// The statement that emits `message`, by the simple query protocol.
///
/// In a read-only transaction and on a standby it does nothing: there the write must fail for its own reason and with its own
/// error, and on a standby the emission could only fail with another one.
#[must_use]
pub fn emission(message: &ContextMessage) -> String {
    let emit = message.emit_statement();
    format!(
        "SELECT ({emit} WHERE current_setting('transaction_read_only') = 'off') AS \"{EMITTED_COLUMN}\""
    )
}

/// A text of the simple query protocol with messages in it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Rewriting {
    /// The text.
    pub sql: String,
    /// What its statements do, those of ours included.
    pub steps: Vec<Step>,
    /// What is known of the connection once the text has run.
    pub after: Session,
}

impl Rewriting {
    /// Puts a message before each statement of `sql` that needs one.
    ///
    /// # Errors
    ///
    /// Where there is a write, no context, and that was said to be an error.
    pub fn of(
        session: &Session,
        settings: &Settings,
        sql: &str,
        context: Option<&Context>,
    ) -> Result<Self, MissingContextError> {
        let declared = declared();
        let statements: Vec<_> = statements_with(sql, settings.functions())
            .map(|(range, statement)| {
                let text = sql.get(range.clone()).unwrap_or(sql);
                let writes = statement.writes() || (declared && is_query(text));
                (range.start, text, statement, writes)
            })
            .collect();
        if context.is_none() && statements.iter().any(|&(.., writes)| writes) {
            settings.allow_missing(sql)?;
        }
        let several = statements.len() > 1;
        let mut text = Self { sql: String::new(), steps: Vec::new(), after: session.clone() };
        // With `standard_conforming_strings = off`, what looks like the border between two statements may be inside of a
        // string. Only the front of the text is safe then.
        let at_front = several && sql.contains("\\'");
        if at_front && statements.iter().any(|&(.., writes)| writes) {
            text.emit(settings.encode(context, sql));
        }
        let mut copied = 0;
        for (start, statement_sql, statement, writes) in statements {
            // A lone CALL may commit, which fails where another statement shares its transaction.
            let may_emit = several || session.is_open() || statement != Statement::Procedure;
            if writes && may_emit && !at_front {
                text.copy(sql, &mut copied, start);
                text.emit(settings.encode(context, statement_sql));
            }
            text.step(match statement {
                Statement::Control(control) => Step::of(control),
                _ => Step::Other,
            });
        }
        text.copy(sql, &mut copied, sql.len());
        text.after.leave_text();
        Ok(text)
    }

    /// Whether there is any message in it.
    #[must_use]
    pub fn emits(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Emit(_)))
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
    use super::*;
    use crate::{MissingContext, write_sync};

    const EXTENDED: Protocol = Protocol::Extended { parameters: Some(0) };
    const PROTOCOLS: [Protocol; 2] = [Protocol::Simple, EXTENDED];

    fn in_scope() -> (Settings, Option<Context>) {
        (Settings::new(), Some(Context::new().with("user_id", 1)))
    }

    fn without_sql() -> (Settings, Option<Context>) {
        (Settings::new().without_sql(), in_scope().1)
    }

    fn outside() -> (Settings, Option<Context>) {
        (Settings::new(), None)
    }

    fn message((settings, context): (Settings, Option<Context>), sql: &str) -> ContextMessage {
        settings.message(context.as_ref(), sql).unwrap()
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
        protocol: Protocol,
        (settings, context): (Settings, Option<Context>),
    ) -> Plan {
        plan(session, &settings, sql, protocol, || context).unwrap()
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
        for protocol in PROTOCOLS {
            assert!(matches!(
                plan_of(&Session::default(), "SELECT 1", protocol, in_scope()),
                Plan::AsIs
            ));
            assert!(matches!(
                plan_of(&open(None), "SELECT 1; SELECT 2", protocol, in_scope()),
                Plan::AsIs
            ));
        }
    }

    #[test]
    fn writes_outside_a_scope_run_untouched() {
        for protocol in PROTOCOLS {
            assert!(matches!(
                plan_of(&Session::default(), "DELETE FROM t", protocol, outside()),
                Plan::AsIs
            ));
            assert!(matches!(
                plan_of(&open(None), "DELETE FROM t", protocol, outside()),
                Plan::AsIs
            ));
        }
    }

    #[test]
    fn a_write_with_arguments_is_wrapped_or_preceded_by_a_message() {
        let sql = "DELETE FROM t";
        assert!(matches!(
            plan_of(&Session::default(), sql, EXTENDED, in_scope()),
            Plan::Wrapped(_)
        ));
        assert!(matches!(plan_of(&open(None), sql, EXTENDED, in_scope()), Plan::Preceded(_)));
        let governed = open(Some(message(in_scope(), sql)));
        assert!(matches!(plan_of(&governed, sql, EXTENDED, in_scope()), Plan::AsIs));
        assert!(matches!(
            plan_of(&governed, "DELETE FROM u", EXTENDED, in_scope()),
            Plan::Preceded(_)
        ));
    }

    #[test]
    fn a_write_outside_any_scope_ends_the_reach_of_a_message() {
        let governed = open(Some(message(without_sql(), "")));
        let Plan::Preceded(message) = plan_of(&governed, "DELETE FROM t", EXTENDED, outside())
        else {
            panic!()
        };
        assert_eq!(message, ContextMessage::empty());
        assert_eq!(
            rewritten(plan_of(&governed, "DELETE FROM t", Protocol::Simple, outside())),
            "<emit {}>; DELETE FROM t"
        );
    }

    #[test]
    fn a_procedure_is_never_in_a_transaction_of_ours() {
        for sql in ["CALL p()", "DO $$ BEGIN COMMIT; END $$"] {
            for protocol in PROTOCOLS {
                assert!(
                    matches!(plan_of(&Session::default(), sql, protocol, in_scope()), Plan::AsIs),
                    "{sql}"
                );
            }
            assert!(matches!(plan_of(&open(None), sql, EXTENDED, in_scope()), Plan::Preceded(_)));
            assert!(matches!(
                plan_of(&open(None), sql, Protocol::Simple, in_scope()),
                Plan::Rewritten { .. }
            ));
        }
    }

    #[test]
    fn each_write_of_a_simple_text_has_the_message_of_its_own_statement() {
        let plan = plan_of(
            &Session::default(),
            "INSERT INTO t VALUES (1); INSERT INTO t VALUES (2);\n-- gone\nDELETE FROM t; SELECT 1;",
            Protocol::Simple,
            in_scope(),
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
            Protocol::Simple,
            without_sql(),
        );
        let emit = r#"<emit {"user_id":1}>; "#;
        assert_eq!(
            rewritten(plan),
            format!("{emit}DELETE FROM t; BEGIN; DELETE FROM t; COMMIT; {emit}DELETE FROM t")
        );
    }

    #[test]
    fn transaction_control_is_watched() {
        for protocol in PROTOCOLS {
            let Plan::Watched(steps) = plan_of(&Session::default(), "BEGIN", protocol, in_scope())
            else {
                panic!()
            };
            assert_eq!(steps, [Step::Begin]);
        }
        let Plan::Watched(steps) =
            plan_of(&open(None), "SELECT 1; ROLLBACK TO \"A\"", Protocol::Simple, in_scope())
        else {
            panic!()
        };
        assert_eq!(steps, [Step::Other, Step::RollbackTo("A".to_owned())]);
    }

    #[test]
    fn where_strings_may_be_cut_differently_only_the_front_of_a_text_is_touched() {
        let sql = r"INSERT INTO t VALUES ('a\'); DELETE FROM t; --')";
        assert!(
            rewritten(plan_of(&Session::default(), sql, Protocol::Simple, without_sql()))
                .ends_with(&format!("; {sql}"))
        );
    }

    #[test]
    fn a_query_that_is_declared_a_write_is_one_and_a_setting_is_not() {
        write_sync(|| {
            for protocol in PROTOCOLS {
                let plan = plan_of(&Session::default(), "SELECT f()", protocol, in_scope());
                assert!(matches!(plan, Plan::Wrapped(_) | Plan::Rewritten { .. }), "{plan:?}");
                let plan = plan_of(&Session::default(), "VACUUM", protocol, in_scope());
                assert!(matches!(plan, Plan::AsIs), "{plan:?}");
            }
        });
    }

    #[test]
    fn only_writes_are_denied_without_a_context() {
        let settings = Settings::new().missing_context(MissingContext::Deny);
        for protocol in PROTOCOLS {
            let plan_of = |sql| plan(&Session::default(), &settings, sql, protocol, || None);
            assert!(plan_of("SELECT 1").is_ok());
            assert!(plan_of("BEGIN").is_ok());
            assert!(plan_of("CALL p()").is_err());
            let error = plan_of("DELETE FROM t WHERE a = 'secret'").unwrap_err();
            assert!(error.to_string().ends_with("DELETE FROM t WHERE a = ?"), "{error}");
        }
    }
}
