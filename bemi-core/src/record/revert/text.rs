//! A statement in both its forms: with parameters for a connection, and whole for a script.
//!
//! Invariant: both say the same, and a value never becomes text of SQL but as a literal.

use crate::record::Sql;
use crate::record::sql::literal;

/// The text of a statement, with the values in it kept apart.
#[derive(Clone, Debug, Default)]
pub(super) struct Text(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Sql(String),
    Value(Option<String>),
}

impl Text {
    pub(super) fn new(sql: impl Into<String>) -> Self {
        Self(vec![Part::Sql(sql.into())])
    }

    /// Adds SQL.
    pub(super) fn push(&mut self, sql: &str) -> &mut Self {
        match self.0.last_mut() {
            Some(Part::Sql(text)) => text.push_str(sql),
            _ => self.0.push(Part::Sql(sql.to_owned())),
        }
        self
    }

    /// Adds a value, of type `text`.
    pub(super) fn value(&mut self, value: impl Into<Option<String>>) -> &mut Self {
        self.0.push(Part::Value(value.into()));
        self
    }

    /// With parameters.
    pub(super) fn sql(&self) -> Sql {
        let mut sql = Sql::default();
        for part in &self.0 {
            match part {
                Part::Sql(text) => sql.push(text),
                Part::Value(value) => sql.bind(value.clone()),
            }
        }
        sql
    }

    /// With literals.
    pub(super) fn whole(&self) -> String {
        self.0
            .iter()
            .map(|part| match part {
                Part::Sql(text) => text.clone(),
                Part::Value(Some(value)) => literal(value),
                Part::Value(None) => "NULL".to_owned(),
            })
            .collect()
    }
}

/// A name as a text of SQL.
pub(super) fn quoted(name: &str) -> String {
    literal(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let mut text = Text::new("SELECT ");
        text.value("it's".to_owned()).push("::jsonb, ").value(None).push("::int");
        assert_eq!(text.sql().text(), "SELECT $1::text::jsonb, $2::text::int");
        assert_eq!(text.whole(), "SELECT 'it''s'::jsonb, NULL::int");
    }
}
