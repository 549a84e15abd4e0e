//! The name of a table, with its schema.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::sql::identifier;

/// A table of the source: its schema and its name, as they are in `changes`.
///
/// Read from a text as SQL has it: `todo` is in `public`, `sales.orders` in `sales`, and names in
/// double quotes keep their case and may have dots.
///
/// ```
/// use bemi_core::record::TableName;
///
/// let name: TableName = "sales.\"Orders\"".parse()?;
/// assert_eq!((name.schema(), name.table()), ("sales", "Orders"));
/// assert_eq!("Todo".parse::<TableName>()?, TableName::new("public", "todo"));
/// # Ok::<(), bemi_core::record::InvalidTableName>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TableName {
    schema: String,
    table: String,
}

/// The text is not a table's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not the name of a table; one looks like todo, sales.orders or \"My Table\"")]
pub struct InvalidTableName(String);

impl TableName {
    /// The table of that name in that schema, both as the catalog has them.
    pub fn new(schema: impl Into<String>, table: impl Into<String>) -> Self {
        Self { schema: schema.into(), table: table.into() }
    }

    /// The schema's name.
    #[must_use]
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// The table's name.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    /// As SQL has it, both names in quotes.
    #[must_use]
    pub fn quoted(&self) -> String {
        format!("{}.{}", identifier(&self.schema), identifier(&self.table))
    }
}

impl FromStr for TableName {
    type Err = InvalidTableName;

    fn from_str(text: &str) -> Result<Self, InvalidTableName> {
        let invalid = || InvalidTableName(text.to_owned());
        let (first, rest) = part(text).ok_or_else(invalid)?;
        let Some(rest) = rest.strip_prefix('.') else {
            return if rest.is_empty() { Ok(Self::new("public", first)) } else { Err(invalid()) };
        };
        match part(rest) {
            Some((second, "")) => Ok(Self::new(first, second)),
            _ => Err(invalid()),
        }
    }
}

/// The name at the start of a text, and what is behind it.
fn part(text: &str) -> Option<(String, &str)> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let end = text.find(['.', '"']).unwrap_or(text.len());
        let (name, rest) = text.split_at_checked(end)?;
        return (!name.is_empty()).then(|| (name.to_ascii_lowercase(), rest));
    };
    let mut name = String::new();
    loop {
        let (before, after) = rest.split_once('"')?;
        name.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return (!name.is_empty()).then_some((name, after)),
        }
    }
}

impl fmt::Display for TableName {
    /// For people: without the schema where it is `public`, in quotes where SQL needs them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.schema != "public" {
            write!(f, "{}.", shown(&self.schema))?;
        }
        f.write_str(&shown(&self.table))
    }
}

fn shown(name: &str) -> String {
    let plain = name.chars().all(|c| c == '_' || c.is_ascii_digit() || c.is_ascii_lowercase());
    if plain && !name.starts_with(|c: char| c.is_ascii_digit()) {
        name.to_owned()
    } else {
        identifier(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_again() {
        for (schema, table) in
            [("public", "todo"), ("a.b", "c\"d"), ("Sales", "1"), ("public", "ä")]
        {
            let name = TableName::new(schema, table);
            assert_eq!(name.to_string().parse(), Ok(name));
        }
    }

    #[test]
    fn what_is_no_name_is_an_error() {
        for text in ["", ".", "a.", ".a", "a.b.c", "\"a", "\"\"", "a\"b", "\"a\"b"] {
            assert!(text.parse::<TableName>().is_err(), "{text}");
        }
    }
}
