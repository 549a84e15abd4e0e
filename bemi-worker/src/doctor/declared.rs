//! What columns the worker's own tables are to have: read off the statements that create them, so that it
//! is said in one place.

use std::collections::BTreeMap;

use crate::sink::CREATE_STATEMENTS;

/// Columns, and their types as `format_type` spells them.
pub(super) type Columns = BTreeMap<String, String>;

/// The tables of schema `bemi` in the destination.
pub(super) fn tables() -> BTreeMap<String, Columns> {
    let mut tables: BTreeMap<String, Columns> = BTreeMap::new();
    for statement in CREATE_STATEMENTS {
        if let Some(rest) = statement.strip_prefix("CREATE TABLE IF NOT EXISTS bemi.") {
            let (table, columns) = rest.split_once(" (\n").unwrap_or((rest, ""));
            // A line each; those that go on with the line before stand deeper.
            let columns =
                columns.lines().filter_map(|line| line.strip_prefix("    ").and_then(column));
            tables.entry(table.to_owned()).or_default().extend(columns);
        } else if let Some(rest) = statement.strip_prefix("ALTER TABLE bemi.")
            && let Some((table, definition)) = rest.split_once(" ADD COLUMN IF NOT EXISTS ")
        {
            tables.entry(table.to_owned()).or_default().extend(column(definition));
        }
    }
    tables
}

/// Name and type of a column by its definition; none of a constraint of the table.
fn column(definition: &str) -> Option<(String, String)> {
    let (name, rest) = definition.split_once(' ')?;
    if name.is_empty() || !name.starts_with(|c: char| c.is_ascii_lowercase() || c == '"') {
        return None;
    }
    let data_type = rest.split([' ', ',']).next()?;
    let data_type = if data_type == "timestamptz" { "timestamp with time zone" } else { data_type };
    Some((name.trim_matches('"').to_owned(), data_type.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_read_off_their_definitions() {
        let read = |definition| column(definition).unwrap();
        let pair = |name: &str, data_type: &str| (name.to_owned(), data_type.to_owned());
        assert_eq!(read("slot text PRIMARY KEY,"), pair("slot", "text"));
        assert_eq!(read("\"table\" text,"), pair("table", "text"));
        assert_eq!(read("started_at timestamptz,"), pair("started_at", "timestamp with time zone"));
        assert_eq!(read("key_last bytea[],"), pair("key_last", "bytea[]"));
        for constraint in ["PRIMARY KEY (slot, schema)", "UNIQUE (slot)", "    CHECK (a IN ('x')),"]
        {
            assert_eq!(column(constraint), None, "{constraint}");
        }
    }

    #[test]
    fn the_tables_are_those_of_the_statements() {
        let tables = tables();
        assert_eq!(tables["backfill"]["began_at_position"], "bigint");
        assert_eq!(tables["checkpoint"].len(), 14);
        assert!(!tables["table_events"].contains_key("CHECK"));
    }
}
