//! Patterns of tables and columns, written as psql takes names: `todo`, `sales.*`, `"Audit".log`.
//!
//! Outside double quotes letters fold to lower case and `*` stands for any characters; inside them
//! everything stands for itself, and `""` for a quote. Dots separate the parts, commas patterns.
//!
//! Invariants: a pattern and its text are the same both ways, whatever the names hold, and
//! [`NamePattern::like`] means in SQL what [`NamePattern::matches`] means here.

use std::fmt;
use std::str::FromStr;

use super::ConfigError;

/// The schema of a table that is given without one.
const DEFAULT_SCHEMA: &str = "public";

/// A pattern of one name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NamePattern {
    /// What stands between the wildcards: one more than there are wildcards.
    literals: Vec<String>,
}

/// A pattern of tables: `[schema.]table`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TablePattern {
    pub(crate) schema: NamePattern,
    pub(crate) table: NamePattern,
}

/// A pattern of columns: `[[schema.]table.]column`. What is left out stands for any.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ColumnPattern {
    pub(crate) table: TablePattern,
    pub(crate) column: NamePattern,
}

/// What `--exclude` takes: tables, or columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Exclusion {
    Tables(TablePattern),
    Columns(ColumnPattern),
}

/// What `--forget` takes: what some rule was given with, as a pattern of tables and as one of columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AnyPattern {
    /// As it was given.
    text: String,
    /// In three parts there are no tables.
    pub(crate) tables: Option<TablePattern>,
    pub(crate) columns: ColumnPattern,
}

impl NamePattern {
    /// The pattern that this name alone matches.
    pub(crate) fn exactly(name: &str) -> Self {
        Self { literals: vec![name.to_owned()] }
    }

    /// The pattern that every name matches.
    fn any() -> Self {
        Self { literals: vec![String::new(), String::new()] }
    }

    pub(crate) fn has_wildcard(&self) -> bool {
        self.literals.len() > 1
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        let Some((first, rest)) = self.literals.split_first() else { return false };
        let Some((last, middle)) = rest.split_last() else { return name == first };
        // Each literal is taken where it comes first: that leaves most for those that follow.
        let Some(mut left) = name.strip_prefix(first.as_str()) else { return false };
        for literal in middle {
            let Some((_, after)) = left.split_once(literal.as_str()) else { return false };
            left = after;
        }
        left.ends_with(last.as_str())
    }

    /// The same as a pattern of SQL's LIKE.
    pub(crate) fn like(&self) -> String {
        let escaped: Vec<String> = self
            .literals
            .iter()
            .map(|literal| literal.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"))
            .collect();
        escaped.join("%")
    }
}

impl TablePattern {
    /// The pattern that this table alone matches.
    pub(crate) fn exactly(schema: &str, table: &str) -> Self {
        Self { schema: NamePattern::exactly(schema), table: NamePattern::exactly(table) }
    }

    /// All tables of all schemas.
    pub(crate) fn everything() -> Self {
        Self { schema: NamePattern::any(), table: NamePattern::any() }
    }

    pub(crate) fn has_wildcard(&self) -> bool {
        self.schema.has_wildcard() || self.table.has_wildcard()
    }

    pub(crate) fn matches(&self, schema: &str, table: &str) -> bool {
        self.schema.matches(schema) && self.table.matches(table)
    }
}

/// Splits a list at its commas and reads each pattern.
pub(crate) fn list<T: FromStr>(text: &str) -> Result<Vec<T>, T::Err> {
    split(text, ',').into_iter().map(str::trim).map(str::parse).collect()
}

impl FromStr for TablePattern {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match names(text, "tables")?.as_slice() {
            [table] => {
                Ok(Self { schema: NamePattern::exactly(DEFAULT_SCHEMA), table: table.clone() })
            }
            [schema, table] => Ok(Self { schema: schema.clone(), table: table.clone() }),
            _ => Err(wrong(text, "tables", "write [schema.]table")),
        }
    }
}

impl FromStr for ColumnPattern {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let any = NamePattern::any;
        let (schema, table, column) = match names(text, "columns")?.as_slice() {
            [column] => (any(), any(), column.clone()),
            [table, column] => (any(), table.clone(), column.clone()),
            [schema, table, column] => (schema.clone(), table.clone(), column.clone()),
            _ => return Err(wrong(text, "columns", "write [[schema.]table.]column")),
        };
        Ok(Self { table: TablePattern { schema, table }, column })
    }
}

impl FromStr for AnyPattern {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        Ok(Self { text: text.to_owned(), tables: text.parse().ok(), columns: text.parse()? })
    }
}

impl FromStr for Exclusion {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match names(text, "tables or columns")?.as_slice() {
            [_, _, _] => text.parse().map(Self::Columns),
            [_] | [_, _] => text.parse().map(Self::Tables),
            _ => Err(wrong(
                text,
                "tables or columns",
                "write [schema.]table for tables, schema.table.column for columns",
            )),
        }
    }
}

impl FromStr for NamePattern {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match names(text, "names")?.as_slice() {
            [name] => Ok(name.clone()),
            _ => Err(wrong(text, "names", "write one name")),
        }
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, literal) in self.literals.iter().enumerate() {
            if i > 0 {
                f.write_str("*")?;
            }
            let is_plain =
                |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || !c.is_ascii();
            let folds_to_itself = literal.chars().all(|c| is_plain(c) && !c.is_whitespace());
            // An empty literal beside a wildcard is nothing; an empty name is a name in quotes.
            if folds_to_itself && (!literal.is_empty() || self.has_wildcard()) {
                f.write_str(literal)?;
            } else {
                write!(f, "\"{}\"", literal.replace('"', "\"\""))?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for TablePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

impl fmt::Display for ColumnPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.table, self.column)
    }
}

impl fmt::Display for AnyPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn names(text: &str, of: &'static str) -> Result<Vec<NamePattern>, ConfigError> {
    split(text, '.')
        .into_iter()
        .map(|part| name(part).map_err(|why| wrong(text, of, why)))
        .collect()
}

/// Reads one part of a pattern, which holds no separator outside quotes.
fn name(part: &str) -> Result<NamePattern, &'static str> {
    let mut literals = vec![];
    let mut literal = String::new();
    let mut quoted = false;
    let mut characters = part.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\0' => return Err("no name holds a NUL"),
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                literal.push('"');
            }
            '"' => quoted = !quoted,
            _ if quoted => literal.push(character),
            '*' => literals.push(std::mem::take(&mut literal)),
            _ if character.is_whitespace() => {
                return Err("a name with a space goes in double quotes");
            }
            _ => literal.push(character.to_ascii_lowercase()),
        }
    }
    if quoted {
        return Err("a double quote is missing");
    }
    literals.push(literal);
    if literals == [""] {
        return Err("a name is empty");
    }
    Ok(NamePattern { literals })
}

/// Cuts at the first separator outside double quotes.
pub(super) fn first_part(text: &str, separator: char) -> (&str, Option<&str>) {
    let first = split(text, separator).first().copied().unwrap_or_default();
    let rest = text.get(first.len()..).and_then(|rest| rest.strip_prefix(separator));
    (first, rest)
}

/// Splits at a separator outside double quotes.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut quoted = false;
    text.split(|character| {
        quoted ^= character == '"';
        character == separator && !quoted
    })
    .collect()
}

fn wrong(pattern: &str, of: &'static str, why: &'static str) -> ConfigError {
    ConfigError::Pattern { pattern: pattern.to_owned(), of, why }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(text: &str) -> TablePattern {
        text.parse().unwrap()
    }

    #[test]
    fn names_fold_as_in_psql() {
        assert!(table("Todo").matches("public", "todo"));
        assert!(!table("Todo").matches("public", "Todo"));
        assert!(table("\"Todo\"").matches("public", "Todo"));
        assert!(table("\"My Schema\".\"a.b\"").matches("My Schema", "a.b"));
        assert!(table("\"say \"\"hi\"\"\"").matches("public", "say \"hi\""));
        assert!(table("Ünder").matches("public", "Ünder"));
        assert!(table("😀.\"a,b\"").matches("😀", "a,b"));
    }

    #[test]
    fn a_star_stands_for_anything_and_in_quotes_for_itself() {
        assert!(table("*").matches("public", "anything"));
        assert!(!table("*").matches("sales", "anything"));
        assert!(table("*.*").matches("sales", ""));
        assert!(table("log_*").matches("public", "log_"));
        assert!(!table("log_*").matches("public", "logs"));
        assert!(table("a*b*c").matches("public", "a_b_b_c"));
        assert!(!table("a*bc").matches("public", "abcd"));
        assert!(!table("a*a").matches("public", "a"));
        assert!(table("\"*\"").matches("public", "*"));
        assert!(!table("\"*\"").matches("public", "x"));
        assert!(table("\"Log_\"*").matches("public", "Log_2024"));
    }

    #[test]
    fn a_list_is_split_at_commas_outside_quotes() {
        let tables: Vec<TablePattern> = list("a, sales.*,\"x,y\"").unwrap();
        assert_eq!(tables, [table("a"), table("sales.*"), table("\"x,y\"")]);
    }

    #[test]
    fn three_parts_are_columns_and_two_are_tables() {
        let exclusion = |text: &str| text.parse::<Exclusion>();
        assert!(matches!(exclusion("a"), Ok(Exclusion::Tables(_))));
        assert!(matches!(exclusion("a.b"), Ok(Exclusion::Tables(_))));
        let Ok(Exclusion::Columns(columns)) = exclusion("*.*.password_hash") else { panic!() };
        assert!(columns.table.matches("any", "table"));
        assert!(columns.column.matches("password_hash"));
        assert!(exclusion("a.b.c.d").is_err());
    }

    #[test]
    fn of_columns_what_is_left_out_stands_for_any() {
        let column = |text: &str| text.parse::<ColumnPattern>().unwrap();
        let matches = |text: &str, schema: &str, table: &str, name: &str| {
            let pattern = column(text);
            pattern.table.matches(schema, table) && pattern.column.matches(name)
        };
        assert!(matches("updated_at", "any", "table", "updated_at"));
        assert!(matches("users.*_at", "any", "users", "seen_at"));
        assert!(!matches("users.*_at", "any", "todo", "seen_at"));
        assert!(!matches("public.users.*_at", "sales", "users", "seen_at"));
        assert_eq!(column("Updated_At").to_string(), "*.*.updated_at");
        assert!("a.b.c.d".parse::<ColumnPattern>().is_err());
    }

    #[test]
    fn what_is_forgotten_may_be_tables_or_columns() {
        let any = |text: &str| text.parse::<AnyPattern>().unwrap();
        assert_eq!(any("todo").tables, Some(table("todo")));
        assert_eq!(any("a.b").columns.to_string(), "*.a.b");
        assert_eq!(any("*.*.a").tables, None);
    }

    #[test]
    fn what_is_no_name_is_refused_with_a_reason() {
        for text in ["", "a.", ".a", "a..b", "\"a", "a b", "a.b.c", "a\0", "\"\""] {
            assert!(text.parse::<TablePattern>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn like_escapes_what_like_takes_for_its_own() {
        assert_eq!(table("a_b*\"%\\\"").table.like(), "a\\_b%\\%\\\\");
    }

    proptest! {
        #[test]
        fn any_name_is_matched_by_its_own_pattern_and_text(schema in "[^\0]+", name in "[^\0]+") {
            let pattern = TablePattern::exactly(&schema, &name);
            prop_assert!(pattern.matches(&schema, &name));
            prop_assert_eq!(pattern.to_string().parse::<TablePattern>().unwrap(), pattern);
        }

        #[test]
        fn columns_are_matched_by_their_own_pattern_and_text(
            table in "[^\0]+", column in "[^\0]+",
        ) {
            let table = TablePattern::exactly("public", &table);
            let pattern = ColumnPattern { table, column: NamePattern::exactly(&column) };
            prop_assert!(pattern.column.matches(&column));
            prop_assert_eq!(pattern.to_string().parse::<ColumnPattern>().unwrap(), pattern);
        }

        #[test]
        fn text_and_pattern_are_the_same_both_ways(text in "[a-z*\"A. ]{1,12}") {
            if let Ok(pattern) = text.parse::<TablePattern>() {
                prop_assert_eq!(pattern.to_string().parse::<TablePattern>().unwrap(), pattern);
            }
        }
    }
}
