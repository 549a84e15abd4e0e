//! What can be said about a row at a moment, as programs read it.

use bemi_core::record::{Row, RowAt, Unknown};
use serde::Serialize;

/// What can be said, in words that are a contract.
#[derive(Debug, Serialize)]
pub(super) struct Told<'a> {
    /// `present`, `absent` or `unknown`.
    pub(super) state: &'static str,
    /// The row, where it is present.
    pub(super) row: Option<&'a Row>,
    /// Why it is unknown, where it is.
    pub(super) unknown: Option<&'a Unknown>,
}

impl<'a> Told<'a> {
    pub(super) fn of(row: &'a RowAt) -> Self {
        match row {
            RowAt::Present(row) => Self { state: "present", row: Some(row), unknown: None },
            RowAt::Unknown(why) => Self { state: "unknown", row: None, unknown: Some(why) },
            _ => Self { state: "absent", row: None, unknown: None },
        }
    }

    /// The same as values of CSV: what is JSON there is JSON here.
    pub(super) fn record(&self) -> [Option<String>; 3] {
        [
            Some(self.state.to_owned()),
            self.row.map(ToString::to_string),
            self.unknown.and_then(|why| serde_json::to_string(why).ok()),
        ]
    }
}
