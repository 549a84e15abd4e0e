//! A row as JSON, with every digit that the server sent.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A row: its columns, each with its value as JSON text.
///
/// The texts are those of `jsonb`, which spells equal values equally, and numbers keep all their
/// digits: two values are the same if their texts are.
///
/// ```
/// use bemi_core::record::Row;
///
/// let row: Row = serde_json::from_str(r#"{"id": 1, "price": 0.10000000000000000000001}"#)?;
/// assert_eq!(row.get("price"), Some("0.10000000000000000000001"));
///
/// #[derive(serde::Deserialize)]
/// struct Todo { id: i64 }
/// assert_eq!(row.to::<Todo>()?.id, 1);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Row(BTreeMap<String, Box<RawValue>>);

impl Row {
    /// Whether it has no columns: there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The JSON text of a column's value.
    #[must_use]
    pub fn get(&self, column: &str) -> Option<&str> {
        self.0.get(column).map(|value| value.get())
    }

    /// The columns with the JSON texts of their values, in the order of their names.
    pub fn columns(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.get()))
    }

    /// Puts a value there, or takes another one's place.
    pub fn insert(&mut self, column: impl Into<String>, value: Box<RawValue>) {
        self.0.insert(column.into(), value);
    }

    /// Takes a column out.
    pub fn remove(&mut self, column: &str) -> Option<Box<RawValue>> {
        self.0.remove(column)
    }

    /// The row as a value of `T`. Columns that `T` does not know are left out, and those that it wants
    /// and the row lacks are as serde has them: `None`, a default, or an error.
    ///
    /// # Errors
    /// Where serde cannot make a `T` of it.
    pub fn to<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        // Through text: only so do numbers keep their digits.
        serde_json::from_str(&serde_json::to_string(self)?)
    }
}

impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        self.columns().eq(other.columns())
    }
}

impl Eq for Row {}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = serde_json::to_string(self).map_err(|_| std::fmt::Error)?;
        f.write_str(&text)
    }
}
