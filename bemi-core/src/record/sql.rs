//! A statement as a value: text, and its parameters as texts.

/// A statement with its parameters.
///
/// Every parameter is a text, or null, and the statement's text casts it where it is something else:
/// so any library can bind it. The text never has a value in it that came from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sql {
    text: String,
    parameters: Vec<Option<String>>,
}

impl Sql {
    /// A statement without parameters yet.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), parameters: Vec::new() }
    }

    /// The statement with its placeholders, `$1` and so on; each is cast to `text` where it stands.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The parameters, in order.
    #[must_use]
    pub fn parameters(&self) -> &[Option<String>] {
        &self.parameters
    }

    /// Adds to the text.
    pub(crate) fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Adds a parameter, and its placeholder to the text: `$3::text`.
    pub(crate) fn bind(&mut self, value: impl Into<Option<String>>) {
        let placeholder = self.parameter(value);
        self.text.push_str(&placeholder);
    }

    /// Adds a parameter; gives its placeholder, to stand wherever it is needed.
    pub(crate) fn parameter(&mut self, value: impl Into<Option<String>>) -> String {
        self.parameters.push(value.into());
        format!("${}::text", self.parameters.len())
    }
}

/// A name as SQL has it, in quotes.
pub(crate) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as SQL has it, in quotes; for scripts that people read and run, where there are no
/// parameters.
pub(crate) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_numbered_as_they_come() {
        let mut sql = Sql::new("SELECT ");
        sql.bind("a".to_owned());
        sql.push(", ");
        sql.bind(None);
        assert_eq!(sql.text(), "SELECT $1::text, $2::text");
        assert_eq!(sql.parameters(), [Some("a".to_owned()), None]);
    }

    #[test]
    fn names_and_literals_end_where_they_end() {
        assert_eq!(identifier("a\"b"), "\"a\"\"b\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("\\'; --"), "E'\\\\''; --'");
    }
}
