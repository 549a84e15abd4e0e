//! A statement's text without the data in it.

use std::borrow::Cow;
use std::ops::Range;

use super::lexer::{Kind, Lexer, Token};

/// No redacted text is longer than this, in bytes.
pub const REDACTED_BYTES_MAX: usize = 4096;

/// Stands for what did not fit; without the space where nothing did.
pub(super) const ELLIPSIS: &str = " …";

/// The text with every literal in it replaced by `?`.
///
/// - Literals are strings of every kind, dollar-quoted bodies and numbers. Whatever follows a quote that is
///   never closed is one.
/// - Comments go, because they may hold data too; they and runs of white space become one space.
/// - Names, keywords, `$1`, `TRUE`, `FALSE` and `NULL` stay, and so does the number of elements of a list.
/// - A text that would be longer than [`REDACTED_BYTES_MAX`] is cut before the word that does not fit, and
///   ends in `…`.
///
/// Redacting the result again changes nothing.
///
/// ```
/// use bemi_core::statement::redact_literals;
///
/// let sql = "UPDATE users SET token = 's3cret' /* ops */\n WHERE id IN (1, 2) AND email = $1";
/// assert_eq!(redact_literals(sql), "UPDATE users SET token = ? WHERE id IN (?, ?) AND email = $1");
/// ```
#[must_use]
pub fn redact_literals(sql: &str) -> Cow<'_, str> {
    redact(sql, REDACTED_BYTES_MAX, |_| true)
}

/// The text with those literals replaced by `?` that `hides` tells to, of at most `bytes_max` bytes.
pub(super) fn redact(sql: &str, bytes_max: usize, hides: impl Fn(&str) -> bool) -> Cow<'_, str> {
    let mut redacted = Redacted { sql, text: String::new(), run: 0..0 };
    let mut room = 0;
    let mut lexer = Lexer::new(sql);
    while let Some(token) = lexer.next() {
        let blank = redacted.length() > 0 && token.start > redacted.run.end;
        let text = lexer.text(token);
        // At the start, a byte order mark is no part of the text. One behind it begins no statement that a
        // server would take, and must not come to stand at the start.
        let marked = redacted.length() == 0 && text.starts_with('\u{feff}');
        if marked || token.kind == Kind::Literal && hides(text) {
            redacted.replace(token, blank);
        } else {
            redacted.keep(token, blank);
        }
        if redacted.length() > bytes_max {
            return Cow::Owned(redacted.cut(room));
        }
        if redacted.length() + ELLIPSIS.len() <= bytes_max {
            room = redacted.length();
        }
    }
    redacted.finish()
}

/// What was written so far: `text`, and behind it the part of `sql` that `run` names. What needs no change
/// is so copied in long runs, or not at all.
struct Redacted<'sql> {
    sql: &'sql str,
    text: String,
    run: Range<usize>,
}

impl<'sql> Redacted<'sql> {
    fn length(&self) -> usize {
        self.text.len() + self.run.len()
    }

    fn keep(&mut self, token: Token, blank: bool) {
        let gap = self.sql.as_bytes().get(self.run.end..token.start).unwrap_or_default();
        if self.length() > 0 && (gap.is_empty() || gap == b" ") {
            self.run.end = token.end;
        } else {
            self.end_run(blank);
            self.run = token.start..token.end;
        }
    }

    fn replace(&mut self, token: Token, blank: bool) {
        self.end_run(blank);
        self.text.push('?');
        self.run = token.end..token.end;
    }

    fn end_run(&mut self, blank: bool) {
        self.text.push_str(self.kept());
        if blank {
            self.text.push(' ');
        }
    }

    fn kept(&self) -> &'sql str {
        self.sql.get(self.run.clone()).unwrap_or_default()
    }

    /// The first `length` bytes, with the mark that there was more.
    fn cut(mut self, length: usize) -> String {
        self.end_run(false);
        self.text.truncate(length);
        self.text.push_str(if length == 0 { ELLIPSIS.trim_start() } else { ELLIPSIS });
        self.text
    }

    fn finish(mut self) -> Cow<'sql, str> {
        if self.text.is_empty() {
            return Cow::Borrowed(self.kept());
        }
        self.end_run(false);
        Cow::Owned(self.text)
    }
}
