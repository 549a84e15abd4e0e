//! The rules of setup for columns: which are masked or left out, and whose changes are ignored.
//!
//! They are patterns as psql takes names: `[[schema.]table.]column`, with `*` for any characters, and
//! double quotes around what stands for itself.

use serde::Deserialize;

use super::RevertError;
use super::facts::unreadable;
use crate::record::{Database, RecordError, Sql, TableName};

/// The rules.
#[derive(Debug, Default)]
pub(super) struct Rules {
    ignored: Vec<Pattern>,
    masked: Vec<Pattern>,
}

#[derive(Deserialize)]
struct Stored {
    pattern: String,
    rule: String,
}

/// Whether there are rules, and whether they can be read.
const READABLE: &str = "
SELECT CASE WHEN NOT EXISTS (
    SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'bemi' AND c.relname = 'column_rules') THEN 'none'
  WHEN has_schema_privilege('bemi', 'USAGE') AND has_table_privilege('bemi.column_rules', 'SELECT') THEN 'readable'
  ELSE 'hidden' END";

impl Rules {
    /// Reads them.
    pub(super) async fn read<S: Database>(source: &mut S) -> Result<Self, RevertError<S::Error>> {
        let failed = |source| RecordError::Database { doing: "read bemi.column_rules", source };
        match source.query(&Sql::new(READABLE)).await.map_err(failed)?.pop().as_deref() {
            Some("none") => return Ok(Self::default()),
            Some("readable") => {}
            _ => return Err(RevertError::RulesHidden),
        }
        let sql = "SELECT jsonb_build_object('pattern', pattern, 'rule', rule)::text FROM bemi.column_rules";
        let mut rules = Self::default();
        for row in source.query(&Sql::new(sql)).await.map_err(failed)? {
            let Stored { pattern, rule } = serde_json::from_str(&row).map_err(unreadable)?;
            let pattern = Pattern::of(&pattern);
            if rule == "ignore" {
                rules.ignored.push(pattern);
            } else {
                rules.masked.push(pattern);
            }
        }
        Ok(rules)
    }

    /// Whether the record has something else in place of the column's values, or nothing.
    pub(super) fn mask(&self, table: &TableName, column: &str) -> bool {
        self.masked.iter().any(|pattern| pattern.matches(table, column))
    }

    /// Whether changes of the column alone are not in the record.
    pub(super) fn ignore(&self, table: &TableName, column: &str) -> bool {
        self.ignored.iter().any(|pattern| pattern.matches(table, column))
    }
}

/// A pattern: for each part of the name, the last one being the column's, its characters, or none for
/// any.
#[derive(Debug)]
struct Pattern(Vec<Vec<Option<char>>>);

impl Pattern {
    fn of(text: &str) -> Self {
        let (mut parts, mut part, mut quoted) = (Vec::new(), Vec::new(), false);
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '"' if quoted && characters.peek() == Some(&'"') => {
                    characters.next();
                    part.push(Some('"'));
                }
                '"' => quoted = !quoted,
                _ if quoted => part.push(Some(character)),
                '.' => parts.push(std::mem::take(&mut part)),
                '*' => part.push(None),
                _ => part.extend(character.to_lowercase().map(Some)),
            }
        }
        parts.push(part);
        Self(parts)
    }

    fn matches(&self, table: &TableName, column: &str) -> bool {
        // What is left out stands for any.
        let names = [column, table.table(), table.schema()];
        self.0.iter().rev().zip(names).all(|(part, name)| {
            let name: Vec<char> = name.chars().collect();
            matches(part, &name)
        })
    }
}

fn matches(pattern: &[Option<char>], name: &[char]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some((Some(character), rest)) => name
            .split_first()
            .is_some_and(|(first, left)| first == character && matches(rest, left)),
        Some((None, rest)) => {
            (0..=name.len()).any(|taken| name.get(taken..).is_some_and(|left| matches(rest, left)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_what_it_means_to_setup() {
        let users = TableName::new("public", "users");
        for (pattern, column, expected) in [
            ("email", "email", true),
            ("Email", "email", true),
            ("\"Email\"", "email", false),
            ("users.*_at", "seen_at", true),
            ("users.*_at", "seen_on", false),
            ("orders.email", "email", false),
            ("*.*.e*l", "email", true),
            ("sales.users.email", "email", false),
            ("public.users.email", "email", true),
            ("\"a\"\"b.c*\"", "a\"b.c*", true),
        ] {
            assert_eq!(Pattern::of(pattern).matches(&users, column), expected, "{pattern}");
        }
    }
}
