//! What a statement's text says about the rows it changes, without a parser.
//!
//! An adapter asks [`Statement::classify`] before each statement, and [`redact_literals`] gives the text
//! that goes into the context. Both rest on one scanner, which cuts text as the server does, and neither
//! can fail: any text has a verdict.
//!
//! ```text
//! lexer ─▶ tokens (of one statement) ─▶ classify (quick), transaction ─▶ Statement
//!   ├────▶ redact ─▶ text without literals
//!   ├────▶ ddl ─▶ text of a command that changed a table's shape, without the data in it
//!   └────▶ inline ─▶ text with the message in it
//! ```
//!
//! The verdict leans towards a write: a needless context message costs a transaction id, a missing one
//! loses the context for good. Only a query is a read until something in its text says otherwise.
//!
//! What the text does not say is not known here: what a function, a view's rule or a trigger does (see
//! [`WriteFunctions`]), and whether event triggers of the database answer DDL with writes.
//! `standard_conforming_strings = on` is assumed, the server's default since 9.1.

mod classify;
mod ddl;
mod functions;
mod inline;
mod lexer;
mod name;
mod quick;
mod redact;
mod tokens;
mod transaction;

use std::ops::Range;

use self::tokens::Tokens;

pub use self::ddl::{DDL_BYTES_MAX, redact_ddl};
pub use self::functions::{NotAFunctionName, WriteFunctions};
pub use self::inline::with_message;
pub use self::name::Name;
pub use self::redact::{REDACTED_BYTES_MAX, redact_literals};
pub use self::transaction::TransactionControl;

/// What a text means to the one who has to emit a context message before rows change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Statement<'sql> {
    /// Changes no row that logical decoding shows: a query (also `FOR UPDATE`), DDL, a setting, maintenance.
    /// To be left alone; some of these, such as `VACUUM`, fail inside a transaction. Also an empty text.
    Read,
    /// May change rows, and may run inside a transaction: in one that is open, or in one of ours.
    Write,
    /// `CALL` and `DO`: may change rows, and may also commit. Inside a transaction of ours a commit would
    /// fail, so emit only if one is open already.
    Procedure,
    /// Begins, ends or divides a transaction.
    Control(TransactionControl<'sql>),
    /// Several statements that hold at least one [`Statement::Control`]: walk them with [`statements`].
    ///
    /// Several without any are [`Statement::Write`] or [`Statement::Read`]: the server runs them in one
    /// transaction, all or nothing, also a `CALL` among them, so that one of ours changes nothing.
    Script {
        /// At least one of them may change rows.
        writes: bool,
    },
}

impl<'sql> Statement<'sql> {
    /// What this text, usually a single statement, does to rows and transactions.
    ///
    /// ```
    /// use bemi_core::statement::Statement;
    ///
    /// assert_eq!(Statement::classify("UPDATE todos SET done = $1"), Statement::Write);
    /// assert_eq!(Statement::classify("WITH gone AS (DELETE FROM todos RETURNING id) SELECT 1"), Statement::Write);
    /// assert_eq!(Statement::classify("SELECT * FROM todos FOR UPDATE"), Statement::Read);
    /// assert_eq!(Statement::classify("BEGIN; DELETE FROM todos; COMMIT"), Statement::Script { writes: true });
    /// ```
    #[must_use]
    pub fn classify(sql: &'sql str) -> Self {
        Self::classify_with(sql, WriteFunctions::NONE)
    }

    /// The same, where a query that calls one of these functions is a write.
    #[must_use]
    pub fn classify_with(sql: &'sql str, functions: &WriteFunctions) -> Self {
        let mut tokens = Tokens::new(sql, functions);
        if !tokens.may_hold_several() {
            return classify::classify(&mut tokens).unwrap_or(Self::Read);
        }
        let mut single = None;
        let mut several = false;
        let mut writes = false;
        let mut controls = false;
        for (_, statement) in each_statement(sql, tokens) {
            several = single.replace(statement).is_some();
            writes |= statement.writes();
            controls |= matches!(statement, Self::Control(_));
        }
        match single {
            Some(statement) if !several => statement,
            _ if controls => Self::Script { writes },
            _ if writes => Self::Write,
            _ => Self::Read,
        }
    }

    /// Whether rows may change, so that the context must be emitted before.
    #[must_use]
    pub const fn writes(self) -> bool {
        match self {
            Self::Write | Self::Procedure => true,
            Self::Read | Self::Control(_) => false,
            Self::Script { writes } => writes,
        }
    }
}

/// The single statements of a text, each with the bytes it takes, from behind the semicolon before it to its
/// own, without white space around. Empty ones are left out. Each is judged by itself.
///
/// A context is in force from where it is emitted to the end of the transaction, or to a rollback behind
/// that place. So a script needs it before its first write, and again before the first write after each
/// commit or rollback. A `BEGIN` does not end what came before: it takes the statements in front of it, back
/// to the last commit or rollback, into its transaction.
///
/// ```
/// use bemi_core::statement::{Statement, statements};
///
/// let sql = "BEGIN; DELETE FROM todos WHERE title = ';'; COMMIT";
/// let writes: Vec<_> = statements(sql).filter(|(_, statement)| statement.writes()).collect();
/// assert_eq!(writes, [(7..42, Statement::Write)]);
/// ```
pub fn statements(sql: &str) -> impl Iterator<Item = (Range<usize>, Statement<'_>)> {
    statements_with(sql, WriteFunctions::NONE)
}

/// The same, where a query that calls one of these functions is a write.
pub fn statements_with<'sql>(
    sql: &'sql str,
    functions: &WriteFunctions,
) -> impl Iterator<Item = (Range<usize>, Statement<'sql>)> {
    each_statement(sql, Tokens::new(sql, functions))
}

fn each_statement<'sql>(
    sql: &'sql str,
    mut tokens: Tokens<'sql, '_>,
) -> impl Iterator<Item = (Range<usize>, Statement<'sql>)> {
    let mut start = Some(0);
    std::iter::from_fn(move || {
        loop {
            let from = start?;
            let statement = classify::classify(&mut tokens);
            let more = tokens.next_statement();
            let behind = tokens.offset();
            start = more.then_some(behind);
            if let Some(statement) = statement {
                return Some((trimmed(sql, from..behind), statement));
            }
        }
    })
}

/// Whether a single statement is a query: what may call a function that writes.
pub(crate) fn is_query(sql: &str) -> bool {
    classify::is_query(&mut Tokens::new(sql, WriteFunctions::NONE))
}

/// The range without white space around, and without the semicolon at its end.
fn trimmed(sql: &str, range: Range<usize>) -> Range<usize> {
    let text = sql.get(range.clone()).unwrap_or_default();
    let text = text.strip_suffix(';').unwrap_or(text);
    let start = range.start + text.len() - text.trim_ascii_start().len();
    start..start + text.trim_ascii().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_found_where_they_lie() {
        let sql = " ;; SELECT ';' ;\n-- why\nDELETE FROM t;(SELECT 1; 2)\t; /* end */";
        let found: Vec<_> = statements(sql)
            .map(|(range, statement)| (sql.get(range).unwrap(), statement))
            .collect();
        let expected = [
            ("SELECT ';'", Statement::Read),
            ("-- why\nDELETE FROM t", Statement::Write),
            ("(SELECT 1; 2)", Statement::Read),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn each_statement_of_a_script_has_its_own_verdict() {
        let verdicts: Vec<_> =
            statements("BEGIN; CALL p(); VALUES (1); COMMIT; COPY t FROM STDIN").collect();
        let verdicts: Vec<_> = verdicts.into_iter().map(|(_, statement)| statement).collect();
        let expected = [
            Statement::Control(TransactionControl::Begin { read_only: false }),
            Statement::Procedure,
            Statement::Read,
            Statement::Control(TransactionControl::Commit { chain: false }),
            Statement::Write,
        ];
        assert_eq!(verdicts, expected);
    }

    #[test]
    fn the_work_is_linear_in_the_text() {
        // Quadratic work on these would take a minute each.
        for part in [
            "(",
            "$a",
            "/*",
            "*/",
            "WITH a AS (",
            "EXPLAIN ",
            "'a'\n",
            "\"",
            "$$",
            "U&",
            "1.",
            ";",
            "CREATE ",
            "SELECT 1;",
            "WITH a AS (SELECT 1) SELECT 2;",
        ] {
            let sql = part.repeat(200_000);
            let _ = Statement::classify(&sql);
            let _ = Statement::classify_with(&sql, &WriteFunctions::new(["transfer"]).unwrap());
            let _ = statements(&sql).count();
            let _ = redact_literals(&sql);
        }
    }
}
