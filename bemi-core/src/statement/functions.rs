//! The functions that change rows although a SELECT calls them.

use super::lexer::{Kind, Lexer};
use super::name::{NAME_BYTES_MAX, Name};

/// The names of functions that change rows, so that `SELECT transfer(1, 2)` counts as a write.
///
/// SQL text does not say what a function does, so a plain `SELECT` is taken for a read unless it calls one
/// of these. A name registered without a schema matches a call in any schema; one registered with a schema
/// also matches an unqualified call, because the search path may lead there. Case counts only in quotes.
/// What is not seen: operators, casts, and views or other functions that call these.
///
/// ```
/// use bemi_core::statement::{Statement, WriteFunctions};
///
/// let functions = WriteFunctions::new(["transfer", "billing.close_month"])?;
/// assert!(Statement::classify_with("SELECT Transfer($1, $2)", &functions).writes());
/// assert!(Statement::classify_with("SELECT billing.close_month()", &functions).writes());
/// assert!(!Statement::classify_with("SELECT transfer FROM t", &functions).writes());
/// # Ok::<(), bemi_core::statement::NotAFunctionName>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteFunctions {
    functions: Vec<Function>,
    /// A bit for each byte that a call may end with before its parenthesis, taken modulo 32, which folds case.
    last_bytes: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Function {
    schema: Option<Box<str>>,
    name: Box<str>,
}

/// A text that was to name a function does not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not the name of a function: write it as in SQL, `name` or `schema.name`, without arguments"
)]
pub struct NotAFunctionName(String);

impl WriteFunctions {
    /// No functions: every `SELECT` without `INTO` and without a writing `WITH` is a read.
    pub const NONE: &Self = &Self { functions: Vec::new(), last_bytes: 0 };

    /// The functions of these names, spelled as in SQL.
    ///
    /// # Errors
    /// When one of the texts is neither `name` nor `schema.name`.
    pub fn new<I>(names: I) -> Result<Self, NotAFunctionName>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let functions = names
            .into_iter()
            .map(|name| Function::parse(name.as_ref()))
            .collect::<Result<Vec<_>, _>>()?;
        let last_bytes = functions.iter().map(Function::last_bytes).fold(0, |all, bits| all | bits);
        Ok(Self { functions, last_bytes })
    }

    /// Whether no function is registered.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.functions.is_empty()
    }

    pub(super) fn contains(&self, schema: Option<Name<'_>>, name: Name<'_>) -> bool {
        let name = name.folded();
        self.functions.iter().filter(|function| *function.name == *name).any(|function| {
            match (&function.schema, schema) {
                (Some(registered), Some(called)) => **registered == *called.folded(),
                _ => true,
            }
        })
    }

    /// Whether `text`, which stands before a parenthesis, may end with one of the names; it may only look so.
    #[inline]
    pub(super) fn may_end(&self, text: &[u8]) -> bool {
        let Some(last) = text.last() else { return false };
        bit(*last) & self.last_bytes != 0
            && self.functions.iter().any(|function| function.may_end(text))
    }
}

/// The bit of a byte in [`WriteFunctions::last_bytes`].
const fn bit(byte: u8) -> u32 {
    1 << (byte & 31)
}

impl Function {
    /// The bytes that a call may end with: the last one of the name, in any case, or a quote.
    fn last_bytes(&self) -> u32 {
        match self.name.as_bytes().last() {
            Some(last) if !self.may_be_spelled_otherwise() => bit(*last) | bit(b'"'),
            _ => u32::MAX,
        }
    }

    fn may_end(&self, text: &[u8]) -> bool {
        let text = text.strip_suffix(b"\"").unwrap_or(text);
        let start = text.len().checked_sub(self.name.len());
        let end = start.and_then(|start| text.get(start..));
        self.may_be_spelled_otherwise()
            || end.is_some_and(|end| end.eq_ignore_ascii_case(self.name.as_bytes()))
    }

    /// The server cuts longer names to this length, and a quote in a name is doubled.
    fn may_be_spelled_otherwise(&self) -> bool {
        self.name.len() >= NAME_BYTES_MAX || self.name.contains('"')
    }

    fn parse(text: &str) -> Result<Self, NotAFunctionName> {
        let mut lexer = Lexer::new(text);
        let tokens: Vec<_> = lexer.by_ref().take(4).collect();
        let name = |token| lexer.text(token);
        let (schema, name) = match tokens.as_slice() {
            [only] if is_name(only.kind) => (None, name(*only)),
            [schema, dot, last]
                if is_name(schema.kind) && dot.kind == Kind::Dot && is_name(last.kind) =>
            {
                (Some(name(*schema)), name(*last))
            }
            _ => return Err(NotAFunctionName(text.to_owned())),
        };
        let folded = |written| Box::from(Name::new(written).folded());
        Ok(Self { schema: schema.map(folded), name: folded(name) })
    }
}

fn is_name(kind: Kind) -> bool {
    matches!(kind, Kind::Word | Kind::Name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement::Statement;

    #[test]
    fn a_query_that_calls_a_registered_function_is_a_write() {
        let functions =
            WriteFunctions::new(["transfer", "billing.Close", "\"Odd Name\"", "app.\"Log\""])
                .unwrap();
        for (sql, writes) in [
            ("SELECT transfer(1, 2)", true),
            ("select TRANSFER (1)", true),
            ("SELECT \"transfer\"/* here */(1)", true),
            ("SELECT bank.transfer(1)", true),
            ("SELECT db.bank.transfer(1)", true),
            ("SELECT billing.close()", true),
            ("SELECT Billing . Close ()", true),
            ("SELECT close()", true),
            ("SELECT other.close()", false),
            ("SELECT billing.x, other.close()", false),
            ("SELECT billing.x y FROM billing JOIN other.close() ON true", false),
            ("SELECT \"Odd Name\"()", true),
            ("SELECT \"odd name\"()", false),
            ("SELECT app.\"Log\"()", true),
            ("SELECT app.log()", false),
            ("SELECT \"Transfer\"(1)", false),
            ("SELECT transfer FROM t", false),
            ("SELECT transfers(1)", false),
            ("SELECT 'transfer(1)' -- transfer(1)", false),
            ("WITH x AS (SELECT transfer(1)) SELECT * FROM x", true),
            ("WITH x AS (SELECT 1) SELECT transfer(1) FROM x", true),
            ("VALUES (transfer(1))", true),
            ("COPY (SELECT transfer(1)) TO STDOUT", true),
            ("DECLARE c CURSOR FOR SELECT transfer(1)", true),
            ("EXPLAIN ANALYZE SELECT transfer(1)", true),
            ("EXPLAIN SELECT transfer(1)", false),
            ("PREPARE p AS SELECT transfer(1)", false),
            ("CREATE FUNCTION transfer(int) RETURNS int LANGUAGE sql AS 'SELECT 1'", false),
            ("SELECT 1; SELECT transfer(1)", true),
            ("SELECT transfer(1); SELECT 1", true),
        ] {
            assert_eq!(Statement::classify_with(sql, &functions).writes(), writes, "{sql}");
            assert!(!Statement::classify(sql).writes(), "{sql}");
        }
    }

    #[test]
    fn what_names_no_function_is_refused() {
        for text in ["", "f()", "a.b.c", "a.", ".b", "'f'", "f g", "1", "\"f"] {
            let error = WriteFunctions::new(["fine", text]).unwrap_err();
            assert_eq!(error, NotAFunctionName(text.to_owned()));
        }
        assert!(WriteFunctions::new(Vec::<String>::new()).unwrap().is_empty());
    }
}
