//! Columns that must not be stored, by the rules that setup keeps in the source.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::error::WorkerError;
use crate::render::Table;

/// The rules, as `bemi.excluded_columns` has them.
#[derive(Debug)]
pub(super) struct HiddenColumns {
    rules: Vec<Rule>,
}

/// Patterns of names, in which `*` stands for anything.
#[derive(Debug)]
struct Rule {
    schema: String,
    table: String,
    column: String,
}

impl HiddenColumns {
    pub(super) async fn read(client: &Client) -> Result<Self, WorkerError> {
        let read = || WorkerError::database("read bemi.excluded_columns in the source");
        let rows = client
            .query("SELECT schema_name, table_name, column_name FROM bemi.excluded_columns", &[])
            .await
            .map_err(|error| match error.code().map(SqlState::code) {
                // Neither the table nor its schema.
                Some("42P01" | "3F000") => WorkerError::NotSetUp {
                    what: "the source has no table bemi.excluded_columns".to_owned(),
                },
                _ => read()(error),
            })?;
        let rules = rows
            .iter()
            .map(|row| {
                Ok(Rule {
                    schema: row.try_get(0)?,
                    table: row.try_get(1)?,
                    column: row.try_get(2)?,
                })
            })
            .collect::<Result<_, _>>()
            .map_err(read())?;
        Ok(Self { rules })
    }

    pub(super) fn apply(&self, table: &mut Table) {
        let of_table: Vec<&str> = self
            .rules
            .iter()
            .filter(|rule| {
                matches(&rule.schema, &table.schema) && matches(&rule.table, &table.name)
            })
            .map(|rule| rule.column.as_str())
            .collect();
        table.hide_columns(|column| of_table.iter().any(|pattern| matches(pattern, column)));
    }
}

/// Whether `name` is what `pattern` says, in which `*` stands for any characters, none included.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(head) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let tail = parts.pop().unwrap_or_default();
    for part in parts {
        match name.split_once(part) {
            Some((_, after)) => name = after,
            None => return false,
        }
    }
    name.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, name) in [
            ("*", ""),
            ("*", "a"),
            ("a", "a"),
            ("a*", "a"),
            ("a*", "abc"),
            ("*c", "abc"),
            ("*b*", "abc"),
            ("a*c", "abc"),
            ("a*b*c", "aXbYc"),
            ("*_hash", "password_hash"),
            ("*a*a", "aa"),
            ("**", "x"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("a", "b"),
            ("a", "ab"),
            ("a*", "ba"),
            ("*c", "cb"),
            ("a*a", "a"),
            ("*b*", "ac"),
            ("%", "a"),
            ("_", "a"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}
