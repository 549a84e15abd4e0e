//! What is inlined, what is left alone, and that the tokens stay the same.

use proptest::prelude::*;

use super::*;
use crate::statement::Statement;

/// What comes out, with the condition of ours as `<emit N>`.
fn inlined(sql: &str) -> Option<String> {
    let parameters = Lexer::new(sql).filter(|token| token.kind == Kind::Parameter);
    let highest = parameters.filter_map(|token| sql.get(token.start + 1..token.end)?.parse().ok());
    let parameter = highest.max().unwrap_or(0) + 1;
    let emit = format!(
        "(SELECT pg_logical_emit_message(true, '_bemi_spacer', left(pg_logical_emit_message(true, '_bemi', ${parameter}::text)::text, 0))) IS NOT NULL"
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
        ("UPDATE t SET a = 1 WHERE b -- c\n", "UPDATE t SET a = 1 WHERE (b) AND <emit 1> -- c\n"),
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
    assert_eq!(with_message(sql, 4), None, "the server would not miss the value that is too many");
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
        let emit = words("(SELECT pg_logical_emit_message(true, '_bemi_spacer', left(pg_logical_emit_message(true, '_bemi', $1::text)::text, 0))) IS NOT NULL").len();
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
