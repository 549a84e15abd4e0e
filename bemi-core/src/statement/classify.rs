//! Reads as much of one statement's grammar as it takes to know whether it changes rows.
//!
//! It follows the server's grammar where rows depend on it (`WITH`, `COPY`, `EXPLAIN`, `CREATE`) and knows
//! nothing of the rest. What the server would refuse may get any verdict.

use super::Statement;
use super::lexer::{Kind, Token};
use super::tokens::Tokens;
use super::transaction;

/// The verdict on the next statement; none when it is empty. Reads no further than it must.
pub(super) fn classify<'sql>(tokens: &mut Tokens<'sql, '_>) -> Option<Statement<'sql>> {
    let first = tokens.next()?;
    let head = behind_parentheses(tokens, first);
    if let Some(verdict) = planned(tokens, head) {
        return Some(verdict);
    }
    Some(match tokens.keyword(head).as_bytes() {
        b"truncate" => Statement::Write,
        b"copy" => copy(tokens),
        b"explain" => explain(tokens),
        b"call" | b"do" => Statement::Procedure,
        b"begin" | b"start" => Statement::Control(transaction::begin(tokens)),
        b"commit" | b"end" => Statement::Control(transaction::commit(tokens)),
        b"rollback" | b"abort" => Statement::Control(transaction::rollback(tokens)),
        b"savepoint" => Statement::Control(transaction::savepoint(tokens)),
        b"release" => Statement::Control(transaction::release(tokens)),
        b"prepare" => transaction::prepare(tokens).map_or(Statement::Read, Statement::Control),
        b"set" => transaction::set(tokens).map_or(Statement::Read, Statement::Control),
        _ => Statement::Read,
    })
}

/// Whether the next statement is a query.
pub(super) fn is_query(tokens: &mut Tokens<'_, '_>) -> bool {
    let Some(first) = tokens.next() else { return false };
    let head = behind_parentheses(tokens, first);
    matches!(tokens.keyword(head).as_bytes(), b"select" | b"values" | b"table" | b"with")
}

/// The verdict on what the server plans, which is also what `EXPLAIN` and `COPY (…)` take. None for
/// everything else.
fn planned<'sql>(tokens: &mut Tokens<'sql, '_>, head: Token) -> Option<Statement<'sql>> {
    Some(match tokens.keyword(head).as_bytes() {
        b"select" | b"values" | b"table" | b"declare" => query(tokens),
        b"insert" | b"update" | b"delete" | b"merge" => Statement::Write,
        b"with" => with(tokens),
        // What was prepared, or what the functions in the view do, cannot be seen from here.
        b"execute" | b"refresh" => Statement::Write,
        b"create" => create(tokens),
        _ => return None,
    })
}

/// A query changes rows by `INTO`, which is reserved for that, and by the functions it calls.
fn query<'sql>(tokens: &mut Tokens<'sql, '_>) -> Statement<'sql> {
    if !tokens.may_hold_into() && !tokens.may_call_write_function() {
        return read_unless_called(tokens);
    }
    careful_query(tokens)
}

fn careful_query<'sql>(tokens: &mut Tokens<'sql, '_>) -> Statement<'sql> {
    let mut after_as = false;
    while let Some(token) = tokens.next() {
        if tokens.is(token, "into") && !after_as {
            return Statement::Write;
        }
        after_as = tokens.is(token, "as");
    }
    read_unless_called(tokens)
}

fn read_unless_called<'sql>(tokens: &Tokens<'sql, '_>) -> Statement<'sql> {
    if tokens.calls_write_function() { Statement::Write } else { Statement::Read }
}

/// `WITH [RECURSIVE] name [(columns)] AS [[NOT] MATERIALIZED] (body) [SEARCH …] [CYCLE …] [, …] main`
///
/// The first word of a body, or of the main statement, decides. A body may begin with `WITH` again: `level`
/// says at which depth of parentheses the innermost list stands that we are in. Once its main statement
/// has been passed over, we are behind a body of the list around it.
fn with<'sql>(tokens: &mut Tokens<'sql, '_>) -> Statement<'sql> {
    if !tokens.may_hold_into()
        && !tokens.may_hold_writing_body()
        && !tokens.may_call_write_function()
    {
        return read_unless_called(tokens);
    }
    let outermost = tokens.depth();
    let mut level = outermost;
    'definitions: loop {
        skip_to_keyword(tokens, level, "as");
        if !tokens.any(|token| token.kind == Kind::Open) {
            return read_unless_called(tokens);
        }
        let Some(head) = tokens.next() else { return read_unless_called(tokens) };
        match tokens.keyword(head).as_bytes() {
            b"insert" | b"update" | b"delete" | b"merge" => return Statement::Write,
            b"with" => {
                level = tokens.depth();
                continue;
            }
            _ => tokens.skip_to_depth(level),
        }
        loop {
            let Some(token) = tokens.next() else { return read_unless_called(tokens) };
            match tokens.keyword(token).as_bytes() {
                b"insert" | b"update" | b"delete" | b"merge" => return Statement::Write,
                b"search" => {
                    skip_to_keyword(tokens, level, "set");
                    tokens.next();
                }
                b"cycle" => {
                    skip_to_keyword(tokens, level, "using");
                    tokens.next();
                }
                _ if token.kind == Kind::Comma => continue 'definitions,
                _ if level == outermost => return careful_query(tokens),
                _ => {
                    level -= 1;
                    tokens.skip_to_depth(level);
                }
            }
        }
    }
}

/// `COPY … FROM` changes rows, `COPY … TO` does not, `COPY (…) TO` runs what is in the parentheses.
fn copy<'sql>(tokens: &mut Tokens<'sql, '_>) -> Statement<'sql> {
    let Some(first) = tokens.next() else { return Statement::Read };
    if first.kind == Kind::Open {
        let head = behind_parentheses(tokens, first);
        return planned(tokens, head).unwrap_or(Statement::Read);
    }
    while let Some(token) = tokens.next() {
        match tokens.keyword(token).as_bytes() {
            b"from" => return Statement::Write,
            b"to" => return Statement::Read,
            _ => {}
        }
    }
    Statement::Read
}

/// `EXPLAIN` runs the statement only with `ANALYZE`, which is a word, or an option in parentheses; but
/// the parenthesis may also be the query's.
fn explain<'sql>(tokens: &mut Tokens<'sql, '_>) -> Statement<'sql> {
    let mut analyze = false;
    while let Some(token) = tokens.next() {
        match tokens.keyword(token).as_bytes() {
            b"analyze" | b"analyse" => analyze = true,
            b"verbose" => {}
            _ if token.kind == Kind::Open && !opens_query(tokens) => {
                analyze = explain_options(tokens);
            }
            _ => {
                let head = behind_parentheses(tokens, token);
                let verdict = if analyze { planned(tokens, head) } else { None };
                return verdict.unwrap_or(Statement::Read);
            }
        }
    }
    Statement::Read
}

fn opens_query(tokens: &Tokens<'_, '_>) -> bool {
    tokens.peek().is_some_and(|token| {
        let keyword = tokens.keyword(token);
        token.kind == Kind::Open
            || matches!(keyword.as_bytes(), b"select" | b"with" | b"values" | b"table")
    })
}

/// Whether the options, from behind their parenthesis to the one that closes them, turn `ANALYZE` on. A
/// value that is no bare `FALSE` or `OFF` is taken for true.
fn explain_options(tokens: &mut Tokens<'_, '_>) -> bool {
    let outside = tokens.depth().saturating_sub(1);
    let mut analyze = false;
    let mut in_analyze = false;
    let mut at_name = true;
    while let Some(token) = tokens.next() {
        if tokens.depth() == outside {
            break;
        }
        match tokens.keyword(token).as_bytes() {
            b"analyze" | b"analyse" if at_name => {
                analyze = true;
                in_analyze = true;
            }
            b"false" | b"off" if in_analyze => analyze = false,
            _ if at_name => in_analyze = false,
            _ => {}
        }
        at_name = token.kind == Kind::Comma;
    }
    analyze
}

/// `CREATE TABLE … AS` and `CREATE MATERIALIZED VIEW` store rows; the rest is plain DDL.
fn create<'sql>(tokens: &mut Tokens<'sql, '_>) -> Statement<'sql> {
    let depth = tokens.depth();
    while let Some(token) = tokens.next() {
        match tokens.keyword(token).as_bytes() {
            b"or" | b"replace" | b"global" | b"local" | b"temp" | b"temporary" | b"unlogged" => {}
            b"materialized" => return Statement::Write,
            b"table" => {
                let fills = skip_to_keyword(tokens, depth, "as");
                return if fills { Statement::Write } else { Statement::Read };
            }
            b"function" | b"procedure" => {
                skip_routine(tokens);
                return Statement::Read;
            }
            _ => return Statement::Read,
        }
    }
    Statement::Read
}

/// The body of a routine may be statements with semicolons between `BEGIN ATOMIC` and `END`.
fn skip_routine(tokens: &mut Tokens<'_, '_>) {
    let mut after_begin = false;
    let mut after_as = false;
    while let Some(token) = tokens.next() {
        match tokens.keyword(token).as_bytes() {
            b"atomic" if after_begin => tokens.blocks += 1,
            b"case" if tokens.blocks > 0 && !after_as => tokens.blocks += 1,
            b"end" if tokens.blocks > 0 && !after_as => tokens.blocks -= 1,
            _ => {}
        }
        after_begin = tokens.is(token, "begin");
        after_as = tokens.is(token, "as");
    }
}

/// The first token that opens no parenthesis; `first` itself where there is no other.
fn behind_parentheses(tokens: &mut Tokens<'_, '_>, first: Token) -> Token {
    let mut token = first;
    while token.kind == Kind::Open {
        let Some(next) = tokens.next() else { return token };
        token = next;
    }
    token
}

/// Takes tokens up to and including this keyword outside of further parentheses; false if there is none.
fn skip_to_keyword(tokens: &mut Tokens<'_, '_>, depth: usize, keyword: &str) -> bool {
    while let Some(token) = tokens.next() {
        if tokens.depth() == depth && tokens.is(token, keyword) {
            return true;
        }
    }
    false
}
