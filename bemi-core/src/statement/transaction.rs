//! Statements that begin, end or divide a transaction.

use super::lexer::{Kind, Token};
use super::name::Name;
use super::tokens::Tokens;

/// What a statement does to the transaction it runs in.
///
/// A driver that keeps its own count of open transactions does not see these when they come as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransactionControl<'sql> {
    /// `BEGIN`, `START TRANSACTION`.
    Begin {
        /// The text says `READ ONLY`. Without it the session's default holds, which may be read only too.
        read_only: bool,
    },
    /// `SET TRANSACTION … READ ONLY` or `READ WRITE`, for the transaction that is open.
    AccessMode {
        /// The mode from here on.
        read_only: bool,
    },
    /// `COMMIT`, `END`.
    Commit {
        /// `AND CHAIN`: a new transaction is open at once.
        chain: bool,
    },
    /// `ROLLBACK`, `ABORT`, of the whole transaction.
    Rollback {
        /// `AND CHAIN`: a new transaction is open at once.
        chain: bool,
    },
    /// `SAVEPOINT name`.
    Savepoint(Name<'sql>),
    /// `ROLLBACK TO name`: what was done since is undone, and the savepoint stays. Names may repeat: the
    /// newest savepoint of the name is meant. A name that you do not know is an error, or a savepoint made
    /// out of your sight: assume that nothing is left of what you emitted.
    RollbackTo(Name<'sql>),
    /// `RELEASE name`: the savepoint, and those after it, are gone; what was done stays.
    Release(Name<'sql>),
    /// `PREPARE TRANSACTION`: the session is out of the transaction, which waits for the next two.
    Prepare,
    /// `COMMIT PREPARED`, never inside a transaction.
    CommitPrepared,
    /// `ROLLBACK PREPARED`, never inside a transaction.
    RollbackPrepared,
}

/// What follows `BEGIN` or `START`.
pub(super) fn begin<'sql>(tokens: &mut Tokens<'sql, '_>) -> TransactionControl<'sql> {
    TransactionControl::Begin { read_only: access_mode(tokens).unwrap_or(false) }
}

/// What follows `COMMIT` or `END`.
pub(super) fn commit<'sql>(tokens: &mut Tokens<'sql, '_>) -> TransactionControl<'sql> {
    match after_noise(tokens) {
        Some(token) if tokens.is(token, "prepared") => TransactionControl::CommitPrepared,
        token => TransactionControl::Commit { chain: chain(tokens, token) },
    }
}

/// What follows `ROLLBACK` or `ABORT`.
pub(super) fn rollback<'sql>(tokens: &mut Tokens<'sql, '_>) -> TransactionControl<'sql> {
    match after_noise(tokens) {
        Some(token) if tokens.is(token, "prepared") => TransactionControl::RollbackPrepared,
        Some(token) if tokens.is(token, "to") => {
            TransactionControl::RollbackTo(savepoint_name(tokens))
        }
        token => TransactionControl::Rollback { chain: chain(tokens, token) },
    }
}

/// What follows `SAVEPOINT`.
pub(super) fn savepoint<'sql>(tokens: &mut Tokens<'sql, '_>) -> TransactionControl<'sql> {
    TransactionControl::Savepoint(name(tokens).unwrap_or(Name::new("")))
}

/// What follows `RELEASE`.
pub(super) fn release<'sql>(tokens: &mut Tokens<'sql, '_>) -> TransactionControl<'sql> {
    TransactionControl::Release(savepoint_name(tokens))
}

/// What follows `PREPARE`: the same word prepares a statement, whose name may be `transaction`.
pub(super) fn prepare<'sql>(tokens: &mut Tokens<'sql, '_>) -> Option<TransactionControl<'sql>> {
    let first = tokens.next()?;
    if !tokens.is(first, "transaction") {
        return None;
    }
    let next = tokens.next();
    let names_a_statement =
        next.is_some_and(|token| token.kind == Kind::Open || tokens.is(token, "as"));
    (!names_a_statement).then_some(TransactionControl::Prepare)
}

/// What follows `SET`: only `[SESSION | LOCAL] TRANSACTION` with an access mode matters.
pub(super) fn set<'sql>(tokens: &mut Tokens<'sql, '_>) -> Option<TransactionControl<'sql>> {
    let mut token = tokens.next()?;
    if tokens.is(token, "session") || tokens.is(token, "local") {
        token = tokens.next()?;
    }
    if !tokens.is(token, "transaction") {
        return None;
    }
    access_mode(tokens).map(|read_only| TransactionControl::AccessMode { read_only })
}

/// Whether the modes say `READ ONLY` or `READ WRITE`; the last one holds.
fn access_mode(tokens: &mut Tokens<'_, '_>) -> Option<bool> {
    let mut read_only = None;
    let mut after_read = false;
    while let Some(token) = tokens.next() {
        match tokens.keyword(token).as_bytes() {
            b"only" if after_read => read_only = Some(true),
            b"write" if after_read => read_only = Some(false),
            _ => {}
        }
        after_read = tokens.is(token, "read");
    }
    read_only
}

/// The first token behind an optional `WORK` or `TRANSACTION`.
fn after_noise(tokens: &mut Tokens<'_, '_>) -> Option<Token> {
    let token = tokens.next()?;
    if tokens.is(token, "work") || tokens.is(token, "transaction") {
        tokens.next()
    } else {
        Some(token)
    }
}

/// `AND CHAIN`, but not `AND NO CHAIN`.
fn chain(tokens: &mut Tokens<'_, '_>, first: Option<Token>) -> bool {
    first.is_some_and(|token| tokens.is(token, "and"))
        && tokens.next().is_some_and(|token| tokens.is(token, "chain"))
}

/// A name behind an optional `SAVEPOINT`, which may itself be the name.
fn savepoint_name<'sql>(tokens: &mut Tokens<'sql, '_>) -> Name<'sql> {
    let first = tokens.next();
    let word = first.is_some_and(|token| tokens.is(token, "savepoint"));
    let first = first.map(|token| Name::new(tokens.text(token)));
    let second = if word { name(tokens) } else { None };
    second.or(first).unwrap_or(Name::new(""))
}

fn name<'sql>(tokens: &mut Tokens<'sql, '_>) -> Option<Name<'sql>> {
    tokens.next().map(|token| Name::new(tokens.text(token)))
}

#[cfg(test)]
mod tests {
    use super::TransactionControl::*;
    use super::*;
    use crate::statement::Statement;

    #[test]
    fn control_is_recognised_in_all_its_spellings() {
        let name = Name::new;
        for (sql, expected) in [
            ("BEGIN", Begin { read_only: false }),
            ("begin transaction isolation level read committed", Begin { read_only: false }),
            ("BEGIN WORK READ ONLY", Begin { read_only: true }),
            (
                "START TRANSACTION ISOLATION LEVEL READ UNCOMMITTED, READ ONLY, DEFERRABLE",
                Begin { read_only: true },
            ),
            ("START TRANSACTION READ/**/ONLY", Begin { read_only: true }),
            ("BEGIN READ ONLY READ WRITE", Begin { read_only: false }),
            ("SET TRANSACTION READ ONLY", AccessMode { read_only: true }),
            (
                "SET LOCAL TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ WRITE",
                AccessMode { read_only: false },
            ),
            ("COMMIT", Commit { chain: false }),
            ("COMMIT WORK AND CHAIN", Commit { chain: true }),
            ("END TRANSACTION AND NO CHAIN", Commit { chain: false }),
            ("END;", Commit { chain: false }),
            ("ROLLBACK", Rollback { chain: false }),
            ("ABORT AND CHAIN", Rollback { chain: true }),
            ("ROLLBACK TRANSACTION AND NO CHAIN", Rollback { chain: false }),
            ("SAVEPOINT A", Savepoint(name("a"))),
            ("SAVEPOINT \"A b\";", Savepoint(name("\"A b\""))),
            ("SAVEPOINT savepoint", Savepoint(name("savepoint"))),
            ("ROLLBACK TO a", RollbackTo(name("a"))),
            ("ROLLBACK WORK TO SAVEPOINT a", RollbackTo(name("a"))),
            ("ROLLBACK TO SAVEPOINT", RollbackTo(name("savepoint"))),
            ("ROLLBACK TO savepoint savepoint", RollbackTo(name("savepoint"))),
            ("RELEASE a", Release(name("a"))),
            ("RELEASE SAVEPOINT -- which\n a", Release(name("a"))),
            ("PREPARE TRANSACTION 'a'", Prepare),
            ("COMMIT PREPARED 'a'", CommitPrepared),
            ("ROLLBACK PREPARED 'a'", RollbackPrepared),
        ] {
            assert_eq!(Statement::classify(sql), Statement::Control(expected), "{sql}");
        }
    }

    #[test]
    fn what_only_looks_like_control_is_none() {
        for sql in [
            "PREPARE transaction AS SELECT 1",
            "PREPARE transaction (int) AS SELECT $1",
            "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
            "SET x = 'TRANSACTION READ ONLY'",
            "SELECT 1 AS begin",
        ] {
            assert_eq!(Statement::classify(sql), Statement::Read, "{sql}");
        }
    }
}
