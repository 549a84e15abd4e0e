//! A statement's text without the data in it.

use std::borrow::Cow;

use super::lexer::{Kind, Lexer};

/// No redacted text is longer than this, in bytes.
pub const REDACTED_BYTES_MAX: usize = 4096;

/// Stands, behind a space, for what did not fit.
const ELLIPSIS: &str = " …";

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
    let mut redacted = Redacted { sql, kept: 0, rewritten: None };
    let mut lexer = Lexer::new(sql);
    let mut end = 0;
    let mut room_end = 0;
    while let Some(token) = lexer.next() {
        let blank = if token.start > end && redacted.length() > 0 { " " } else { "" };
        let text = if token.kind == Kind::Literal { "?" } else { lexer.text(token) };
        if redacted.length() + blank.len() + text.len() > REDACTED_BYTES_MAX {
            redacted.truncate(room_end);
            redacted.push(sql.len(), ELLIPSIS);
            break;
        }
        redacted.push(end, blank);
        redacted.push(token.start, text);
        if redacted.length() + ELLIPSIS.len() <= REDACTED_BYTES_MAX {
            room_end = redacted.length();
        }
        end = token.end;
    }
    redacted.finish()
}

/// The text written so far, which is borrowed as long as it is how `sql` begins.
struct Redacted<'sql> {
    sql: &'sql str,
    kept: usize,
    rewritten: Option<String>,
}

impl<'sql> Redacted<'sql> {
    fn length(&self) -> usize {
        self.rewritten.as_ref().map_or(self.kept, String::len)
    }

    /// Appends `text`, which stands for what is at `at` in `sql`.
    fn push(&mut self, at: usize, text: &str) {
        if self.rewritten.is_none() {
            let same =
                at == self.kept && self.sql.get(at..).is_some_and(|rest| rest.starts_with(text));
            if same {
                self.kept += text.len();
                return;
            }
        }
        self.rewrite().push_str(text);
    }

    fn truncate(&mut self, length: usize) {
        self.rewrite().truncate(length);
    }

    fn rewrite(&mut self) -> &mut String {
        let begun = self.sql.get(..self.kept).unwrap_or_default();
        self.rewritten.get_or_insert_with(|| {
            let mut text = String::with_capacity(self.sql.len().min(REDACTED_BYTES_MAX));
            text.push_str(begun);
            text
        })
    }

    fn finish(self) -> Cow<'sql, str> {
        match self.rewritten {
            Some(text) => Cow::Owned(text),
            None => Cow::Borrowed(self.sql.get(..self.kept).unwrap_or_default()),
        }
    }
}
