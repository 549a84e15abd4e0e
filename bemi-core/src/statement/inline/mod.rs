//! Puts a context message into the statement that it is to govern, where that is provably the same statement.
//!
//! ```text
//!  UPDATE t SET … WHERE cond        ─▶  UPDATE t SET … WHERE (cond) AND (SELECT emit) IS NOT NULL
//!  DELETE FROM t WHERE cond         ─▶  DELETE FROM t WHERE (cond) AND (SELECT emit) IS NOT NULL
//!  INSERT INTO t (a) VALUES ($1) …  ─▶  INSERT INTO t (a) SELECT $1 WHERE (SELECT emit) IS NOT NULL …
//! ```
//!
//! What is added is always true and asks nothing of any row, so the server evaluates it once, before the first row that passes
//! the condition. A row that is changed has passed it; where no row can, the server may leave the message out.
//!
//! A constant or parameter whose type nobody has said gets the column's type in the list of such a `SELECT` as it does in
//! `VALUES`; one whose type is said is converted to the column's by an assignment in both.
//!
//! Invariants: what comes out is cut into the tokens that went in, and those of the message between them. A text that some server
//! may cut in another way is left alone.

mod rest;
#[cfg(test)]
mod tests;

use std::ops::Range;

use self::rest::Rest;
use super::lexer::{Kind, Lexer, Token};

/// The statement `sql` with its context message in it, which is taken from the text parameter of this number; none where it is not
/// provably the same statement.
///
/// An adapter that cannot pipeline saves its round trips that way. `parameter` is to be the first number that is free: a text
/// that has other parameters than those before it is left alone.
///
/// ```
/// use bemi_core::statement::with_message;
///
/// assert_eq!(
///     with_message("UPDATE todos SET done = true WHERE id = $1 RETURNING id", 2).unwrap(),
///     "UPDATE todos SET done = true WHERE (id = $1) \
///      AND (SELECT pg_logical_emit_message(true, '_bemi_spacer', \
///      left(pg_logical_emit_message(true, '_bemi', $2::text)::text, 0))) IS NOT NULL RETURNING id"
/// );
/// assert_eq!(
///     with_message("INSERT INTO todos (task) VALUES ($1)", 2).unwrap(),
///     "INSERT INTO todos (task) SELECT $1 \
///      WHERE (SELECT pg_logical_emit_message(true, '_bemi_spacer', \
///      left(pg_logical_emit_message(true, '_bemi', $2::text)::text, 0))) IS NOT NULL"
/// );
/// assert_eq!(with_message("INSERT INTO todos (task) VALUES (lower($1))", 2), None);
/// ```
#[must_use]
pub fn with_message(sql: &str, parameter: usize) -> Option<String> {
    let text = Text::certain(sql, parameter)?;
    let condition = format!(
        "(SELECT pg_logical_emit_message(true, '_bemi_spacer', \
         left(pg_logical_emit_message(true, '_bemi', ${parameter}::text)::text, 0))) IS NOT NULL"
    );
    let first = *text.tokens.first()?;
    if text.is(first, "insert") {
        text.with_selected_row(&condition)
    } else if text.is(first, "update") || text.is(first, "delete") {
        text.with_condition(&condition)
    } else {
        None
    }
}

/// A single statement, cut into tokens.
struct Text<'sql> {
    sql: &'sql str,
    tokens: Vec<Token>,
}

impl<'sql> Text<'sql> {
    /// None where it is several statements, where parentheses do not match, where `parameter` is not the number behind the highest
    /// that it has, and where another server than we have in mind would cut it in another way.
    fn certain(sql: &'sql str, parameter: usize) -> Option<Self> {
        // With `standard_conforming_strings = off`, that quote ends no string.
        if sql.contains("\\'") {
            return None;
        }
        let mut text = Self { sql, tokens: Lexer::new(sql).collect() };
        while text.tokens.pop_if(|token| token.kind == Kind::Semicolon).is_some() {}
        let mut depth = 0_usize;
        let mut highest = 0;
        for &token in &text.tokens {
            match token.kind {
                Kind::Open => depth += 1,
                Kind::Close => depth = depth.checked_sub(1)?,
                Kind::Semicolon => return None,
                Kind::Parameter => {
                    // Newer servers refuse `$1returning`, older ones make two tokens of it.
                    if text.goes_on_at(token.end) {
                        return None;
                    }
                    highest = highest.max(text.of(token).trim_start_matches('$').parse().ok()?);
                }
                Kind::Literal if !text.is_cut_alike(token) => return None,
                _ => {}
            }
        }
        let fits = depth == 0 && highest + 1 == parameter && text.is_closed();
        fits.then_some(text)
    }

    /// Servers do not agree on where numbers end that have letters in them, such as `1_000`, `0xff` and `1returning`.
    fn is_cut_alike(&self, literal: Token) -> bool {
        let text = self.of(literal);
        let is_number = text.starts_with(|first: char| first.is_ascii_digit() || first == '.');
        !is_number
            || text.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte))
                && !text.ends_with(['e', 'E'])
    }

    /// Whether the last token ends with its text: a string that is never closed would go on in what is put behind it.
    fn is_closed(&self) -> bool {
        let Some(&last) = self.tokens.last() else { return false };
        if last.kind != Kind::Literal || last.end < self.sql.len() {
            return true;
        }
        let longer = format!("{} ", self.of(last));
        Lexer::new(&longer).next().is_some_and(|token| token.end < longer.len())
    }

    fn goes_on_at(&self, offset: usize) -> bool {
        let next = self.sql.as_bytes().get(offset);
        next.is_some_and(|&byte| byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii())
    }

    fn of(&self, token: Token) -> &'sql str {
        self.sql.get(token.start..token.end).unwrap_or_default()
    }

    /// Whether the token is this keyword, which is given in lower case.
    fn is(&self, token: Token, keyword: &str) -> bool {
        token.kind == Kind::Word && self.of(token).eq_ignore_ascii_case(keyword)
    }

    /// `UPDATE` and `DELETE`.
    fn with_condition(&self, condition: &str) -> Option<String> {
        // Where there is no condition, ours would make the statement pass an extension that asks for one, such as safeupdate.
        let (place, end) = self.clauses()?;
        let given = self.tokens.get(place? + 1..end)?;
        let (first, last) = (*given.first()?, *given.last()?);
        // `CURRENT OF` is no condition; and a query is one only in parentheses, which the server must miss.
        if ["current", "select", "with", "values", "table"].iter().any(|word| self.is(first, word))
        {
            return None;
        }
        self.edited(&[
            (first.start..first.start, "("),
            (last.end..last.end, &format!(") AND {condition}")),
        ])
    }

    /// The places among the tokens of `WHERE`, if there is one, and of `RETURNING` or the end. Both are reserved words: outside of
    /// parentheses they are what they seem, but for labels.
    fn clauses(&self) -> Option<(Option<usize>, usize)> {
        let mut depth = 0_usize;
        let mut condition = None;
        for (place, &token) in self.tokens.iter().enumerate() {
            match token.kind {
                Kind::Open => depth += 1,
                Kind::Close => depth = depth.saturating_sub(1),
                // In parentheses, two conditions would be a row.
                Kind::Comma if depth == 0 && condition.is_some() => return None,
                Kind::Word if depth == 0 && self.is(token, "where") => {
                    let another = condition.replace(place).is_some();
                    if another || self.is_label(place) {
                        return None;
                    }
                }
                Kind::Word if depth == 0 && self.is(token, "returning") => {
                    return (!self.is_label(place)).then_some((condition, place));
                }
                _ => {}
            }
        }
        Some((condition, self.tokens.len()))
    }

    /// Whether the token at this place stands behind `AS`, where any word is a label.
    fn is_label(&self, place: usize) -> bool {
        let before = place.checked_sub(1).and_then(|place| self.tokens.get(place));
        before.is_some_and(|&before| self.is(before, "as"))
    }

    /// `INSERT` of one row.
    fn with_selected_row(&self, condition: &str) -> Option<String> {
        let mut rest = Rest::of(self);
        rest.keyword("insert")?;
        rest.keyword("into")?;
        rest.qualified_name()?;
        if rest.keyword("as").is_some() {
            rest.name()?;
        }
        rest.kind(Kind::Open)?;
        rest.list(Rest::name)?;
        rest.kind(Kind::Close)?;
        let values = rest.keyword("values")?;
        let open = rest.kind(Kind::Open)?;
        rest.list(Rest::value)?;
        let close = rest.kind(Kind::Close)?;
        let ends = rest.is_empty();
        if !ends && rest.keyword("on").or_else(|| rest.keyword("returning")).is_none() {
            return None;
        }
        self.edited(&[
            (values.start..values.end, "SELECT"),
            (open.start..open.end, if open.start == values.end { " " } else { "" }),
            (close.start..close.end, &format!(" WHERE {condition}")),
        ])
    }

    /// The text with other words in these places, which ascend.
    fn edited(&self, edits: &[(Range<usize>, &str)]) -> Option<String> {
        let added: usize = edits.iter().map(|(_, words)| words.len()).sum();
        let mut edited = String::with_capacity(self.sql.len() + added + 1);
        let mut copied = 0;
        for (range, words) in edits {
            edited.push_str(self.sql.get(copied..range.start)?);
            edited.push_str(words);
            copied = range.end;
        }
        // A keyword may stand right behind a parenthesis.
        if self.goes_on_at(copied) {
            edited.push(' ');
        }
        edited.push_str(self.sql.get(copied..)?);
        Some(edited)
    }
}
