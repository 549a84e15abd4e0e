//! Puts a context message into the statement that it is to govern, where that is provably the same statement.
//!
//! ```text
//!  UPDATE t SET … WHERE cond        ─▶  UPDATE t SET … WHERE (cond) AND (SELECT emit) IS NOT NULL
//!  DELETE FROM t WHERE cond         ─▶  DELETE FROM t WHERE (cond) AND (SELECT emit) IS NOT NULL
//!  INSERT INTO t (a) VALUES ($1) …  ─▶  INSERT INTO t (a) SELECT $1 WHERE (SELECT emit) IS NOT NULL …
//! ```
//!
//! What is added is always true and asks nothing of any row, so the server evaluates it once, before the first row that passes
//! the condition. A row that is changed has passed it; where no row can, the server may leave the message out.
//!
//! A constant or parameter whose type nobody has said gets the column's type in the list of such a `SELECT` as it does in
//! `VALUES`; one whose type is said is converted to the column's by an assignment in both.
//!
//! Invariants: what comes out is cut into the tokens that went in, and those of the message between them. A text that some server
//! may cut in another way is left alone.

use std::ops::Range;

use super::lexer::{Kind, Lexer, Token};

/// The statement `sql` with its context message in it, which is taken from the text parameter of this number; none where it is not
/// provably the same statement.
///
/// An adapter that cannot pipeline saves its round trips that way. `parameter` is to be the first number that is free: a text
/// that has other parameters than those before it is left alone.
///
/// ```
/// use bemi_core::statement::with_message;
///
/// assert_eq!(
///     with_message("UPDATE todos SET done = true WHERE id = $1 RETURNING id", 2).unwrap(),
///     "UPDATE todos SET done = true WHERE (id = $1) \
///      AND (SELECT pg_logical_emit_message(true, '_bemi', $2::text)) IS NOT NULL RETURNING id"
/// );
/// assert_eq!(
///     with_message("INSERT INTO todos (task) VALUES ($1)", 2).unwrap(),
///     "INSERT INTO todos (task) SELECT $1 \
///      WHERE (SELECT pg_logical_emit_message(true, '_bemi', $2::text)) IS NOT NULL"
/// );
/// assert_eq!(with_message("INSERT INTO todos (task) VALUES (lower($1))", 2), None);
/// ```
#[must_use]
pub fn with_message(sql: &str, parameter: usize) -> Option<String> {
    let text = Text::certain(sql, parameter)?;
    let condition =
        format!("(SELECT pg_logical_emit_message(true, '_bemi', ${parameter}::text)) IS NOT NULL");
    let first = *text.tokens.first()?;
    if text.is(first, "insert") {
        text.with_selected_row(&condition)
    } else if text.is(first, "update") || text.is(first, "delete") {
        text.with_condition(&condition)
    } else {
        None
    }
}

/// A single statement, cut into tokens.
struct Text<'sql> {
    sql: &'sql str,
    tokens: Vec<Token>,
}

impl<'sql> Text<'sql> {
    /// None where it is several statements, where parentheses do not match, where `parameter` is not the number behind the highest
    /// that it has, and where another server than we have in mind would cut it in another way.
    fn certain(sql: &'sql str, parameter: usize) -> Option<Self> {
        // With `standard_conforming_strings = off`, that quote ends no string.
        if sql.contains("\\'") {
            return None;
        }
        let mut text = Self { sql, tokens: Lexer::new(sql).collect() };
        while text.tokens.pop_if(|token| token.kind == Kind::Semicolon).is_some() {}
        let mut depth = 0_usize;
        let mut highest = 0;
        for &token in &text.tokens {
            match token.kind {
                Kind::Open => depth += 1,
                Kind::Close => depth = depth.checked_sub(1)?,
                Kind::Semicolon => return None,
                Kind::Parameter => {
                    // Newer servers refuse `$1returning`, older ones make two tokens of it.
                    if text.goes_on_at(token.end) {
                        return None;
                    }
                    highest = highest.max(text.of(token).trim_start_matches('$').parse().ok()?);
                }
                Kind::Literal if !text.is_cut_alike(token) => return None,
                _ => {}
            }
        }
        let fits = depth == 0 && highest + 1 == parameter && text.is_closed();
        fits.then_some(text)
    }

    /// Servers do not agree on where numbers end that have letters in them, such as `1_000`, `0xff` and `1returning`.
    fn is_cut_alike(&self, literal: Token) -> bool {
        let text = self.of(literal);
        let is_number = text.starts_with(|first: char| first.is_ascii_digit() || first == '.');
        !is_number
            || text.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte))
                && !text.ends_with(['e', 'E'])
    }

    /// Whether the last token ends with its text: a string that is never closed would go on in what is put behind it.
    fn is_closed(&self) -> bool {
        let Some(&last) = self.tokens.last() else { return false };
        if last.kind != Kind::Literal || last.end < self.sql.len() {
            return true;
        }
        let longer = format!("{} ", self.of(last));
        Lexer::new(&longer).next().is_some_and(|token| token.end < longer.len())
    }

    fn goes_on_at(&self, offset: usize) -> bool {
        let next = self.sql.as_bytes().get(offset);
        next.is_some_and(|&byte| byte.is_ascii_alphanumeric() || byte == b'_' || !byte.is_ascii())
    }

    fn of(&self, token: Token) -> &'sql str {
        self.sql.get(token.start..token.end).unwrap_or_default()
    }

    /// Whether the token is this keyword, which is given in lower case.
    fn is(&self, token: Token, keyword: &str) -> bool {
        token.kind == Kind::Word && self.of(token).eq_ignore_ascii_case(keyword)
    }

    /// `UPDATE` and `DELETE`.
    fn with_condition(&self, condition: &str) -> Option<String> {
        // Where there is no condition, ours would make the statement pass an extension that asks for one, such as safeupdate.
        let (place, end) = self.clauses()?;
        let given = self.tokens.get(place? + 1..end)?;
        let (first, last) = (*given.first()?, *given.last()?);
        // `CURRENT OF` is no condition; and a query is one only in parentheses, which the server must miss.
        if ["current", "select", "with", "values", "table"].iter().any(|word| self.is(first, word))
        {
            return None;
        }
        self.edited(&[
            (first.start..first.start, "("),
            (last.end..last.end, &format!(") AND {condition}")),
        ])
    }

    /// The places among the tokens of `WHERE`, if there is one, and of `RETURNING` or the end. Both are reserved words: outside of
    /// parentheses they are what they seem, but for labels.
    fn clauses(&self) -> Option<(Option<usize>, usize)> {
        let mut depth = 0_usize;
        let mut condition = None;
        for (place, &token) in self.tokens.iter().enumerate() {
            match token.kind {
                Kind::Open => depth += 1,
                Kind::Close => depth = depth.saturating_sub(1),
                // In parentheses, two conditions would be a row.
                Kind::Comma if depth == 0 && condition.is_some() => return None,
                Kind::Word if depth == 0 && self.is(token, "where") => {
                    let another = condition.replace(place).is_some();
                    if another || self.is_label(place) {
                        return None;
                    }
                }
                Kind::Word if depth == 0 && self.is(token, "returning") => {
                    return (!self.is_label(place)).then_some((condition, place));
                }
                _ => {}
            }
        }
        Some((condition, self.tokens.len()))
    }

    /// Whether the token at this place stands behind `AS`, where any word is a label.
    fn is_label(&self, place: usize) -> bool {
        let before = place.checked_sub(1).and_then(|place| self.tokens.get(place));
        before.is_some_and(|&before| self.is(before, "as"))
    }

    /// `INSERT` of one row.
    fn with_selected_row(&self, condition: &str) -> Option<String> {
        let mut rest = Rest { text: self, tokens: &self.tokens };
        rest.keyword("insert")?;
        rest.keyword("into")?;
        rest.qualified_name()?;
        if rest.keyword("as").is_some() {
            rest.name()?;
        }
        rest.kind(Kind::Open)?;
        rest.list(Rest::name)?;
        rest.kind(Kind::Close)?;
        let values = rest.keyword("values")?;
        let open = rest.kind(Kind::Open)?;
        rest.list(Rest::value)?;
        let close = rest.kind(Kind::Close)?;
        if let Some(&next) = rest.tokens.first()
            && !self.is(next, "on")
            && !self.is(next, "returning")
        {
            return None;
        }
        self.edited(&[
            (values.start..values.end, "SELECT"),
            (open.start..open.end, if open.start == values.end { " " } else { "" }),
            (close.start..close.end, &format!(" WHERE {condition}")),
        ])
    }

    /// The text with other words in these places, which ascend.
    fn edited(&self, edits: &[(Range<usize>, &str)]) -> Option<String> {
        let added: usize = edits.iter().map(|(_, words)| words.len()).sum();
        let mut edited = String::with_capacity(self.sql.len() + added + 1);
        let mut copied = 0;
        for (range, words) in edits {
            edited.push_str(self.sql.get(copied..range.start)?);
            edited.push_str(words);
            copied = range.end;
        }
        // A keyword may stand right behind a parenthesis.
        if self.goes_on_at(copied) {
            edited.push(' ');
        }
        edited.push_str(self.sql.get(copied..)?);
        Some(edited)
    }
}

/// The tokens that have not been read yet. What does not find what it asks for reads nothing, unless it is a sequence.
struct Rest<'t, 'sql> {
    text: &'t Text<'sql>,
    tokens: &'t [Token],
}

impl Rest<'_, '_> {
    fn next_if(&mut self, wanted: impl FnOnce(Token) -> bool) -> Option<Token> {
        let (&first, rest) = self.tokens.split_first()?;
        wanted(first).then(|| self.tokens = rest).map(|()| first)
    }

    fn kind(&mut self, kind: Kind) -> Option<Token> {
        self.next_if(|token| token.kind == kind)
    }

    fn keyword(&mut self, keyword: &str) -> Option<Token> {
        let text = self.text;
        self.next_if(|token| text.is(token, keyword))
    }

    fn symbol(&mut self, symbol: &str) -> Option<Token> {
        let text = self.text;
        self.next_if(|token| token.kind == Kind::Symbol && text.of(token) == symbol)
    }

    fn name(&mut self) -> Option<()> {
        self.next_if(|token| matches!(token.kind, Kind::Word | Kind::Name)).map(drop)
    }

    fn qualified_name(&mut self) -> Option<()> {
        self.name()?;
        while self.kind(Kind::Dot).is_some() {
            self.name()?;
        }
        Some(())
    }

    fn list(&mut self, one: fn(&mut Self) -> Option<()>) -> Option<()> {
        one(self)?;
        while self.kind(Kind::Comma).is_some() {
            one(self)?;
        }
        Some(())
    }

    /// A parameter or a constant, or a cast of one: what can neither be a set of rows nor mean the default.
    fn value(&mut self) -> Option<()> {
        if self.keyword("cast").is_some() {
            self.kind(Kind::Open)?;
            self.constant()?;
            self.casts()?;
            self.keyword("as")?;
            self.type_name()?;
            self.kind(Kind::Close)?;
        } else {
            self.constant()?;
        }
        self.casts()
    }

    fn constant(&mut self) -> Option<()> {
        let text = self.text;
        let is_constant = |token: Token| match token.kind {
            Kind::Parameter | Kind::Literal => true,
            _ => ["null", "true", "false"].iter().any(|word| text.is(token, word)),
        };
        self.next_if(is_constant).map(drop)
    }

    fn casts(&mut self) -> Option<()> {
        while let Some(colon) = self.symbol(":") {
            self.symbol(":").filter(|second| second.start == colon.end)?;
            self.type_name()?;
        }
        Some(())
    }

    /// `schema.name`, `varchar(20)`, `double precision`, `timestamp(3) with time zone`, `int[]`.
    fn type_name(&mut self) -> Option<()> {
        self.qualified_name()?;
        let _ = self.keyword("precision").or_else(|| self.keyword("varying"));
        if self.kind(Kind::Open).is_some() {
            self.list(Self::type_modifier)?;
            self.kind(Kind::Close)?;
        }
        if self.keyword("with").or_else(|| self.keyword("without")).is_some() {
            self.keyword("time")?;
            self.keyword("zone")?;
        }
        while self.symbol("[").is_some() {
            let _ = self.kind(Kind::Literal);
            self.symbol("]")?;
        }
        Some(())
    }

    fn type_modifier(&mut self) -> Option<()> {
        self.next_if(|token| matches!(token.kind, Kind::Literal | Kind::Word)).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::statement::Statement;

    /// What comes out, with the condition of ours as `<emit N>`.
    fn inlined(sql: &str) -> Option<String> {
        let parameters = Lexer::new(sql).filter(|token| token.kind == Kind::Parameter);
        let highest =
            parameters.filter_map(|token| sql.get(token.start + 1..token.end)?.parse().ok());
        let parameter = highest.max().unwrap_or(0) + 1;
        let emit = format!(
            "(SELECT pg_logical_emit_message(true, '_bemi', ${parameter}::text)) IS NOT NULL"
        );
        let inlined = with_message(sql, parameter)?;
        assert_eq!(inlined.matches(&emit).count(), 1, "{inlined}");
        Some(inlined.replace(&emit, &format!("<emit {parameter}>")))
    }

    #[test]
    fn a_condition_is_added_to_updates_and_deletes() {
        for (sql, expected) in [
            ("UPDATE t SET a = 1 WHERE b", "UPDATE t SET a = 1 WHERE (b) AND <emit 1>"),
            (
                "UPDATE ONLY s.t * AS x SET a = $1 WHERE b = $2",
                "UPDATE ONLY s.t * AS x SET a = $1 WHERE (b = $2) AND <emit 3>",
            ),
            (
                "UPDATE t SET a = 1 WHERE b = 'x'RETURNING id",
                "UPDATE t SET a = 1 WHERE (b = 'x') AND <emit 1> RETURNING id",
            ),
            (
                "UPDATE t SET a = 1 WHERE(b)RETURNING id;",
                "UPDATE t SET a = 1 WHERE((b)) AND <emit 1> RETURNING id;",
            ),
            (
                "UPDATE t SET a = u.a FROM u WHERE u.id = t.id OR true",
                "UPDATE t SET a = u.a FROM u WHERE (u.id = t.id OR true) AND <emit 1>",
            ),
            (
                "UPDATE t SET (a, b) = (SELECT c, d FROM u WHERE e) WHERE f IN (1, 2)",
                "UPDATE t SET (a, b) = (SELECT c, d FROM u WHERE e) WHERE (f IN (1, 2)) AND <emit 1>",
            ),
            (
                "UPDATE t SET a = 1 FROM (SELECT 1 AS where) AS x WHERE b",
                "UPDATE t SET a = 1 FROM (SELECT 1 AS where) AS x WHERE (b) AND <emit 1>",
            ),
            (
                "update t set a = x.where where \"where\" and t.returning returning id as where",
                "update t set a = x.where where (\"where\" and t.returning) AND <emit 1> returning id as where",
            ),
            (
                "UPDATE t SET a = 1 WHERE b -- c\n",
                "UPDATE t SET a = 1 WHERE (b) AND <emit 1> -- c\n",
            ),
            ("UPDATE t SET a = 1 WHERE b -- c", "UPDATE t SET a = 1 WHERE (b) AND <emit 1> -- c"),
            (
                "UPDATE t SET a = 1 WHERE -- why\nb /* end */ ; ",
                "UPDATE t SET a = 1 WHERE -- why\n(b) AND <emit 1> /* end */ ; ",
            ),
            (
                "UPDATE t SET a = $q$ WHERE $q$ WHERE b = E'\\nx' RETURNING *",
                "UPDATE t SET a = $q$ WHERE $q$ WHERE (b = E'\\nx') AND <emit 1> RETURNING *",
            ),
            ("DELETE FROM t WHERE true", "DELETE FROM t WHERE (true) AND <emit 1>"),
            (
                "DELETE FROM t USING u WHERE EXISTS (SELECT 1 WHERE $1) RETURNING 1",
                "DELETE FROM t USING u WHERE (EXISTS (SELECT 1 WHERE $1)) AND <emit 2> RETURNING 1",
            ),
            (
                "/* a */ DELETE FROM t WHERE a = 'it''s' ;;",
                "/* a */ DELETE FROM t WHERE (a = 'it''s') AND <emit 1> ;;",
            ),
        ] {
            assert_eq!(inlined(sql).as_deref(), Some(expected));
        }
    }

    #[test]
    fn one_row_is_selected_instead_of_given() {
        for (sql, expected) in [
            ("INSERT INTO t (a) VALUES ($1)", "INSERT INTO t (a) SELECT $1 WHERE <emit 2>"),
            (
                "insert into s.\"T\" as x(a,\"b\")values($1,$2)returning id",
                "insert into s.\"T\" as x(a,\"b\")SELECT $1,$2 WHERE <emit 3> returning id",
            ),
            (
                "INSERT INTO t (a, b, c, d, e) VALUES (1.5e-3, 'x', NULL, true, B'01') ON CONFLICT (a) WHERE b DO UPDATE SET a = excluded.a WHERE true RETURNING *;",
                "INSERT INTO t (a, b, c, d, e) SELECT 1.5e-3, 'x', NULL, true, B'01' WHERE <emit 1> ON CONFLICT (a) WHERE b DO UPDATE SET a = excluded.a WHERE true RETURNING *;",
            ),
            (
                "INSERT INTO t (a, b, c) VALUES (CAST($1 AS varchar(3)), $2::text::pg_catalog.jsonb, CAST('1'::int8 AS s.d)::numeric(3, 1)[][2])",
                "INSERT INTO t (a, b, c) SELECT CAST($1 AS varchar(3)), $2::text::pg_catalog.jsonb, CAST('1'::int8 AS s.d)::numeric(3, 1)[][2] WHERE <emit 3>",
            ),
            (
                "INSERT INTO t (a, b, c) VALUES ($1::double precision, $2::character varying (9), $3::timestamp(3) with time zone)",
                "INSERT INTO t (a, b, c) SELECT $1::double precision, $2::character varying (9), $3::timestamp(3) with time zone WHERE <emit 4>",
            ),
            (
                "INSERT INTO t (a) VALUES -- one\n ($1 -- two\n) -- three",
                "INSERT INTO t (a) SELECT -- one\n $1 -- two\n WHERE <emit 2> -- three",
            ),
        ] {
            assert_eq!(inlined(sql).as_deref(), Some(expected));
        }
    }

    #[test]
    fn what_is_not_provably_the_same_is_left_alone() {
        for sql in [
            "",
            ";",
            "SELECT 1 WHERE true",
            "WITH x AS (SELECT 1) DELETE FROM t",
            "MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE",
            "EXPLAIN ANALYZE DELETE FROM t",
            "(DELETE FROM t)",
            "DELETE FROM t; DELETE FROM u",
            "DELETE FROM t",
            "UPDATE t SET a = 1 /* WHERE b */ -- WHERE b",
            "UPDATE t SET a = 1 RETURNING id",
            "DELETE FROM t WHERE CURRENT OF c",
            "DELETE FROM t WHERE",
            "DELETE FROM t WHERE RETURNING id",
            "DELETE FROM t WHERE a WHERE b",
            "DELETE FROM t WHERE a, b",
            "DELETE FROM t WHERE SELECT true",
            "DELETE FROM t WHERE (a",
            "DELETE FROM t WHERE a) OR (b",
            "DELETE FROM t AS where",
            "DELETE FROM t WHERE a = 'x",
            "DELETE FROM t WHERE a = 'x''",
            "DELETE FROM t WHERE a = '",
            "DELETE FROM t WHERE a = $$x",
            "DELETE FROM t WHERE a = \"x",
            "DELETE FROM t WHERE a = 1returning id",
            "DELETE FROM t WHERE a = 0x1f",
            "DELETE FROM t WHERE a = $1returning id",
            r"UPDATE t SET a = 'x\' WHERE b = '",
            "INSERT INTO t VALUES ($1)",
            "INSERT INTO t DEFAULT VALUES",
            "INSERT INTO t (a) VALUES ($1), ($2)",
            "INSERT INTO t (a) VALUES ()",
            "INSERT INTO t (a) VALUES (DEFAULT)",
            "INSERT INTO t (a) VALUES (now())",
            "INSERT INTO t (a) VALUES ($1 + 1)",
            "INSERT INTO t (a) VALUES (-1)",
            "INSERT INTO t (a) VALUES (ARRAY[1])",
            "INSERT INTO t (a) VALUES (ROW(1))",
            "INSERT INTO t (a) VALUES ((SELECT 1))",
            "INSERT INTO t (a) VALUES (b)",
            "INSERT INTO t (a) VALUES ($1::int OR generate_series(1, 2))",
            "INSERT INTO t (a) VALUES ($1: :int)",
            "INSERT INTO t (a) VALUES ($1 COLLATE \"C\")",
            "INSERT INTO t (a) VALUES (U&'x' UESCAPE '!')",
            "INSERT INTO t (a) VALUES (date '2020-01-01')",
            "INSERT INTO t (a[1]) VALUES ($1)",
            "INSERT INTO t (a.b) VALUES ($1)",
            "INSERT INTO t (a) OVERRIDING SYSTEM VALUE VALUES ($1)",
            "INSERT INTO t (a) VALUES ($1) LIMIT 1",
            "INSERT INTO t (a) VALUES ($1) UNION SELECT 1",
            "INSERT INTO t (a) SELECT $1",
            "INSERT INTO t (a) VALUES ($1",
        ] {
            assert_eq!(inlined(sql), None, "{sql}");
        }
    }

    #[test]
    fn a_text_whose_parameters_are_not_those_that_are_bound_is_left_alone() {
        let sql = "UPDATE t SET a = $2 WHERE id = $1";
        assert!(with_message(sql, 3).is_some());
        assert_eq!(with_message(sql, 2), None, "it would take the place of another value");
        assert_eq!(
            with_message(sql, 4),
            None,
            "the server would not miss the value that is too many"
        );
        assert_eq!(with_message("DELETE FROM t WHERE a = $99999999999999999999999", 1), None);
    }

    fn statement() -> impl Strategy<Value = String> {
        let fragment = prop::sample::select(vec![
            "UPDATE t SET a = $1 ",
            "DELETE FROM t ",
            "INSERT INTO t (a, b) VALUES ",
            "WHERE ",
            "RETURNING ",
            "ON CONFLICT ",
            "a = 1 ",
            "AND ",
            "(",
            ")",
            ",",
            "$1",
            "$2",
            "'x'",
            "'it''s'",
            "E'\\\\a'",
            "$q$ WHERE $q$",
            "\"where\"",
            ".",
            "as ",
            "'",
            "--",
            "-- WHERE\n",
            "/* RETURNING */",
            "/*",
            "\n",
            ";",
            "::int",
            "CAST(",
            "1e5",
            "1_0",
            "é",
            "[",
            "NULL",
            "\\",
        ]);
        prop_oneof![
            any::<String>(),
            (
                prop::sample::select(vec![
                    "UPDATE t SET a = $1 ",
                    "DELETE FROM t ",
                    "INSERT INTO t (a) VALUES ($1",
                    "INSERT INTO t (a) VALUES ($1) "
                ]),
                prop::collection::vec(fragment, 0..12)
            )
                .prop_map(|(head, tail)| head.to_owned() + &tail.concat()),
        ]
    }

    fn words(sql: &str) -> Vec<&str> {
        Lexer::new(sql).filter_map(|token| sql.get(token.start..token.end)).collect()
    }

    /// Whether `all` is `some` with `added` more in between.
    fn is_longer_by(some: &[&str], all: &[&str], added: usize) -> bool {
        let mut left = some.iter().peekable();
        for word in all {
            left.next_if_eq(&word);
        }
        left.next().is_none() && all.len() == some.len() + added
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 5000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_comes_out_is_cut_into_the_same_tokens_and_ours(sql in statement()) {
            let Some(inlined) = (1..4).find_map(|parameter| with_message(&sql, parameter)) else { return Ok(()) };
            prop_assert_eq!(Statement::classify(&inlined), Statement::Write);
            let emit = words("(SELECT pg_logical_emit_message(true, '_bemi', $1::text)) IS NOT NULL").len();
            let (before, after) = (words(&sql), words(&inlined));
            let same = if before[0].eq_ignore_ascii_case("insert") {
                let values = before.iter().position(|word| word.eq_ignore_ascii_case("values")).unwrap();
                let close = (values..).find(|&place| {
                    before[values..=place].iter().filter(|word| **word == "(").count()
                        == before[values..=place].iter().filter(|word| **word == ")").count() && place > values
                }).unwrap();
                let kept: Vec<_> = before.iter().enumerate()
                    .filter(|(place, _)| ![values, values + 1, close].contains(place)).map(|(_, word)| *word).collect();
                is_longer_by(&kept, &after, emit + 2)
            } else {
                is_longer_by(&before, &after, emit + 3)
            };
            prop_assert!(same, "{} became {}", sql, inlined);
        }
    }
}
