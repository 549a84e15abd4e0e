//! Values of a row, on copies of which a revert is simulated.
//!
//! Invariant: two cells are equal only if the server would write them equally.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::record::Row;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Cell {
    value: Arc<str>,
    /// Whether it is the server's text instead of JSON.
    is_text: bool,
}

/// Columns with their values.
pub(super) type Cells = BTreeMap<String, Cell>;

impl Cell {
    /// A value as `jsonb` spells it.
    pub(super) fn json(json: &str) -> Self {
        Self { value: json.into(), is_text: false }
    }

    /// A value as the server spells it, of a type that JSON does not hold.
    pub(super) fn text(text: &str) -> Self {
        Self { value: text.into(), is_text: true }
    }

    /// A value of the record; `encoded` where that says so of the column.
    fn recorded(json: &str, encoded: bool) -> Self {
        match serde_json::from_str::<Option<String>>(json) {
            Ok(Some(text)) if encoded => Self::text(&text),
            _ => Self::json(json),
        }
    }

    pub(super) fn is_null(&self) -> bool {
        !self.is_text && &*self.value == "null"
    }

    /// The server's text, where it is that.
    pub(super) fn as_text(&self) -> Option<&str> {
        self.is_text.then_some(&*self.value)
    }

    /// JSON, where it is that.
    pub(super) fn as_json(&self) -> Option<&str> {
        (!self.is_text).then_some(&*self.value)
    }

    /// JSON for people and parameters; a text is a JSON string.
    pub(super) fn to_raw(&self) -> Box<RawValue> {
        let json = if self.is_text {
            serde_json::Value::from(&*self.value).to_string()
        } else {
            self.value.to_string()
        };
        RawValue::from_string(json).unwrap_or_default()
    }
}

/// The values of a row of the record.
pub(super) fn recorded(row: &Row, encoded: &[String]) -> Cells {
    row.columns()
        .map(|(column, json)| {
            let encoded = encoded.iter().any(|name| name == column);
            (column.to_owned(), Cell::recorded(json, encoded))
        })
        .collect()
}

/// These columns as a JSON object.
pub(super) fn object<'a>(cells: impl IntoIterator<Item = (&'a str, &'a Cell)>) -> String {
    let fields: BTreeMap<&str, Box<RawValue>> =
        cells.into_iter().map(|(name, cell)| (name, cell.to_raw())).collect();
    // Names and JSON are always JSON.
    serde_json::to_string(&fields).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_not_the_json_string_of_it() {
        assert_eq!(Cell::recorded("\"(1,x)\"", true), Cell::text("(1,x)"));
        assert_ne!(Cell::recorded("\"(1,x)\"", true), Cell::recorded("\"(1,x)\"", false));
        assert!(Cell::recorded("null", true).is_null());
        assert_ne!(Cell::json("1.0"), Cell::json("1.00"));
    }
}
