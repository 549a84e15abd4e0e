//! The key of a row, as the record has it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The key of a row as the column `primary_key` has it: the server's text; of several columns, a
/// JSON array of texts in the order of the index.
///
/// ```
/// use bemi_core::record::Key;
///
/// assert_eq!(Key::from(26).as_str(), "26");
/// assert_eq!(Key::of(["1", "2026-05-05"]).as_str(), r#"["1","2026-05-05"]"#);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(String);

impl Key {
    /// The key of these columns' texts, in the order of the index.
    pub fn of<T: Into<String>>(columns: impl IntoIterator<Item = T>) -> Self {
        let mut columns: Vec<String> = columns.into_iter().map(Into::into).collect();
        match columns.as_mut_slice() {
            [only] => Self(std::mem::take(only)),
            // An array of texts is always JSON.
            _ => Self(serde_json::Value::from(columns).to_string()),
        }
    }

    /// As the record has it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Key {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

macro_rules! from_displayed {
    ($($type:ty)*) => {$(
        impl From<$type> for Key {
            fn from(value: $type) -> Self {
                Self(value.to_string())
            }
        }
    )*};
}

from_displayed!(i16 i32 i64 u32 uuid::Uuid);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
