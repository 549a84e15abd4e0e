//! The changes that were made, and assertions about them.
//!
//! Invariant: an assertion that fails shows all changes, field by field, each with what it lacks of what was expected.

use std::fmt::{self, Write};

use bemi_core::Change;

use crate::Expected;

/// The changes that were made meanwhile, by whomever, in the order of their commits.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "nothing is asserted yet"]
pub struct Made {
    changes: Vec<Change>,
}

impl Made {
    pub(crate) fn new(changes: Vec<Change>) -> Self {
        Self { changes }
    }

    /// The changes themselves, for what no assertion here can say.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Exactly these changes were made, in this order.
    ///
    /// # Panics
    /// Where others were made, more or fewer; the message shows them field by field.
    #[track_caller]
    pub fn assert(&self, expected: impl IntoIterator<Item = Expected>) {
        let expected: Vec<Expected> = expected.into_iter().collect();
        let fits = expected.len() == self.changes.len()
            && expected
                .iter()
                .zip(&self.changes)
                .all(|(one, change)| one.misfits(change).is_empty());
        if !fits {
            fail(&self.compared(&expected));
        }
    }

    /// Exactly this change was made.
    ///
    /// # Panics
    /// Where it was not, or others too; the message shows them field by field.
    #[track_caller]
    pub fn assert_one(&self, expected: Expected) {
        self.assert([expected]);
    }

    /// This change was made, whatever else was.
    ///
    /// # Panics
    /// Where it was not; the message shows those that were, field by field.
    #[track_caller]
    pub fn assert_any(&self, expected: Expected) {
        if !self.changes.iter().any(|change| expected.misfits(change).is_empty()) {
            fail(&self.compared_with_each(&expected));
        }
    }

    /// Nothing was changed.
    ///
    /// # Panics
    /// Where something was; the message shows it field by field.
    #[track_caller]
    pub fn assert_none(&self) {
        self.assert([]);
    }

    /// What was expected and what was made, each change beside the expectation in its place.
    fn compared(&self, expected: &[Expected]) -> String {
        let mut text = match (expected.len(), self.changes.len()) {
            (expected, made) if expected == made => "the changes are not those expected".to_owned(),
            (expected, made) => format!("expected {}, made {made}", counted(expected)),
        };
        text.push('\n');
        if !expected.is_empty() {
            text.push_str("\nexpected:");
            numbered(&mut text, expected.iter().map(ToString::to_string));
        }
        text.push_str("\nmade:");
        let misfits = expected.iter().map(Some).chain(std::iter::repeat(None));
        numbered(
            &mut text,
            self.changes
                .iter()
                .zip(misfits)
                .map(|(change, expected)| with_misfits(change, expected)),
        );
        text
    }

    fn compared_with_each(&self, expected: &Expected) -> String {
        let mut text = format!("no change is the one expected, of {}", counted(self.changes.len()));
        text.push_str("\n\nexpected:");
        numbered(&mut text, [expected.to_string()].into_iter());
        text.push_str("\nmade:");
        numbered(&mut text, self.changes.iter().map(|change| with_misfits(change, Some(expected))));
        text
    }
}

impl fmt::Display for Made {
    /// Field by field.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        numbered(&mut text, self.changes.iter().map(described));
        f.write_str(text.trim_start())
    }
}

/// A change, field by field.
fn described(change: &Change) -> String {
    let table = bemi_core::record::TableName::new(&change.schema, &change.table);
    let mut text = format!("{} {table}", change.operation);
    let add = |text: &mut String, line: fmt::Arguments<'_>| {
        // Writing to a text cannot fail.
        let _ = text.write_fmt(line);
    };
    if let Some(key) = &change.primary_key {
        add(&mut text, format_args!(" {key}"));
    }
    for field in change.fields() {
        let column = field.column;
        match (field.before, field.after) {
            (Some(before), Some(after)) => {
                add(&mut text, format_args!("\n  {column}: {before} → {after}"));
            }
            (Some(value), None) | (None, Some(value)) => {
                add(&mut text, format_args!("\n  {column}: {value}"));
            }
            (None, None) => {}
        }
    }
    add(&mut text, format_args!("\n  context: {}", change.context));
    text
}

fn with_misfits(change: &Change, expected: Option<&Expected>) -> String {
    let mut text = described(change);
    let misfits = match expected {
        Some(expected) => expected.misfits(change),
        None => vec!["nothing more was expected".to_owned()],
    };
    for misfit in misfits {
        text.push_str("\n  ✗ ");
        text.push_str(&misfit);
    }
    text
}

/// Adds a list to the text: each item with its number, and its further lines under its first.
fn numbered(text: &mut String, items: impl Iterator<Item = String>) {
    let mut is_empty = true;
    for (number, item) in (1..).zip(items) {
        is_empty = false;
        let item = item.replace('\n', "\n     ");
        let _ = write!(text, "\n  {number}. {item}");
    }
    if is_empty {
        text.push_str("\n  nothing");
    }
}

fn counted(changes: usize) -> String {
    match changes {
        0 => "no change".to_owned(),
        1 => "1 change".to_owned(),
        _ => format!("{changes} changes"),
    }
}

#[track_caller]
#[allow(clippy::panic, reason = "an assertion fails by panicking")]
fn fail(message: &str) {
    panic!("{message}\n");
}
