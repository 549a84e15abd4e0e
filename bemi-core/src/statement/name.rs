//! A name in SQL text, compared as the server compares names.

use std::borrow::Cow;
use std::fmt;

/// The server cuts longer names (`NAMEDATALEN` - 1).
pub(super) const NAME_BYTES_MAX: usize = 63;

/// The name of a savepoint, as it stands in the statement's text.
///
/// Two names are equal when the server takes them for the same: without quotes ASCII letters are folded to
/// lower case. The escapes of `U&"…"` are not decoded.
///
/// ```
/// use bemi_core::statement::{Statement, TransactionControl};
///
/// let Statement::Control(TransactionControl::Savepoint(name)) = Statement::classify("SAVEPOINT Before_Import")
/// else {
///     unreachable!()
/// };
/// assert_eq!(name.as_written(), "Before_Import");
/// assert_eq!(name.folded(), "before_import");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Name<'sql> {
    written: &'sql str,
}

impl<'sql> Name<'sql> {
    pub(super) const fn new(written: &'sql str) -> Self {
        Self { written }
    }

    /// The name with its quotes, if it has any.
    #[must_use]
    pub const fn as_written(self) -> &'sql str {
        self.written
    }

    /// The name as the server keeps it.
    #[must_use]
    pub fn folded(self) -> Cow<'sql, str> {
        let quoted = self.written.find('"').and_then(|quote| {
            let inside = self.written.get(quote + 1..)?;
            Some(inside.strip_suffix('"').unwrap_or(inside))
        });
        match quoted {
            Some(name) if name.contains("\"\"") => clip(Cow::Owned(name.replace("\"\"", "\""))),
            Some(name) => clip(Cow::Borrowed(name)),
            None if self.written.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                clip(Cow::Owned(self.written.to_ascii_lowercase()))
            }
            None => clip(Cow::Borrowed(self.written)),
        }
    }
}

impl PartialEq for Name<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.folded() == other.folded()
    }
}

impl Eq for Name<'_> {}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.folded())
    }
}

fn clip(name: Cow<'_, str>) -> Cow<'_, str> {
    if name.len() <= NAME_BYTES_MAX {
        return name;
    }
    let end = name.floor_char_boundary(NAME_BYTES_MAX);
    match name {
        Cow::Borrowed(name) => Cow::Borrowed(name.get(..end).unwrap_or(name)),
        Cow::Owned(mut name) => {
            name.truncate(end);
            Cow::Owned(name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_folded_as_the_server_folds_them() {
        let (long, cut) = ("x".repeat(70), "x".repeat(63));
        let (umlauts, cut_umlauts) = ("ä".repeat(40), "ä".repeat(31));
        for (written, folded) in [
            ("plain", "plain"),
            ("Mixed_1$", "mixed_1$"),
            ("ÄB", "Äb"),
            ("\"Mixed\"", "Mixed"),
            ("\"a\"\"b\"", "a\"b"),
            ("\"\"\"\"", "\""),
            ("U&\"Mixed\"", "Mixed"),
            (&long, &cut),
            (&umlauts, &cut_umlauts),
        ] {
            assert_eq!(Name::new(written).folded(), folded);
        }
        assert_eq!(Name::new("SP"), Name::new("\"sp\""));
        assert_ne!(Name::new("SP"), Name::new("\"SP\""));
    }
}
