//! No literal of a statement is in its redacted text, whatever the literal holds and however broken the
//! statement is.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

use std::borrow::Cow;

use bemi_core::statement::{REDACTED_BYTES_MAX, redact_literals};
use proptest::prelude::*;

#[test]
fn literals_become_question_marks_and_all_else_stays() {
    for (sql, expected) in [
        (
            "SELECT 'a', '', 'it''s', E'it\\'s', e'\\\\', U&'\\0041', B'01', X'ff', N'n'",
            "SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?",
        ),
        (
            "SELECT 1, 1.5, .5, 1., 1e10, 1.5E-3, 0xff, 0o7, 0b1, 1_000, -7",
            "SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, -?",
        ),
        ("SELECT $$it's$$, $a$ $$ $b$ $a$, 'a'\n'b'", "SELECT ?, ?, ?"),
        (
            "SELECT $1, $23::text, t1.a2, \"t 1\".\"a''2\"",
            "SELECT $1, $23::text, t1.a2, \"t 1\".\"a''2\"",
        ),
        (
            "SELECT TRUE, false, NULL, DATE '2020-01-01', INTERVAL '1 day'",
            "SELECT TRUE, false, NULL, DATE ?, INTERVAL ?",
        ),
        ("SELECT id FROM todos WHERE id IN (1,2, 3)", "SELECT id FROM todos WHERE id IN (?,?, ?)"),
        ("SELECT data ? 'key', a[1:2] FROM t LIMIT 10", "SELECT data ? ?, a[?:?] FROM t LIMIT ?"),
        ("DO $$ BEGIN DELETE FROM todos; END $$", "DO ?"),
        (
            "ALTER USER app PASSWORD 'hunter2' VALID UNTIL 'infinity'",
            "ALTER USER app PASSWORD ? VALID UNTIL ?",
        ),
        (
            "  DELETE\n\tFROM todos -- 'a'\n/*Bemi {\"user\": \"a\"} Bemi*/ ; ",
            "DELETE FROM todos ;",
        ),
        ("SELECT/* a */1/**/+/**/2", "SELECT ? + ?"),
        ("/* only */ -- comments", ""),
        ("", ""),
        ("\u{feff}SELECT 'ä' AS \"ä\", ö", "SELECT ? AS \"ä\", ö"),
    ] {
        assert_eq!(redact_literals(sql), expected, "{sql}");
    }
}

#[test]
fn what_is_never_closed_is_one_literal() {
    for sql in [
        "SELECT 'a, b; DELETE FROM t",
        "SELECT 'a''",
        "SELECT E'a\\'",
        "SELECT E'a\\",
        "SELECT U&'a",
        "SELECT $$a $ b",
        "SELECT $tag$a $tag",
        "SELECT \"a, 'b'",
        "SELECT U&\"a",
    ] {
        assert_eq!(redact_literals(sql), "SELECT ?", "{sql}");
    }
    assert_eq!(redact_literals("SELECT 1 /* 'a' /* b */"), "SELECT ?");
}

#[test]
fn a_number_takes_with_it_what_clings_to_it() {
    assert_eq!(
        redact_literals("SELECT 12ab34, 0xsecret, 1.2secret, 1_secret"),
        "SELECT ?, ?, ?, ?"
    );
}

#[test]
fn a_text_that_needs_no_change_is_borrowed() {
    let sql = "UPDATE todos SET done = $1 WHERE id = $2";
    assert!(matches!(redact_literals(sql), Cow::Borrowed(text) if text == sql));
    assert!(matches!(redact_literals("\n COMMIT\n"), Cow::Borrowed("COMMIT")));
}

#[test]
fn a_long_text_is_cut_before_a_word_and_says_so() {
    let fits = format!("SELECT {}", "a".repeat(REDACTED_BYTES_MAX - "SELECT ".len()));
    assert_eq!(redact_literals(&fits), fits);
    assert_eq!(redact_literals(&format!("{fits}a")), "SELECT …");

    let names = format!("SELECT {}", "\"ä ö\", ".repeat(2000));
    let cut = redact_literals(&names);
    assert!(cut.ends_with("\"ä ö\", …") || cut.ends_with("\"ä ö\" …"), "{cut}");
    assert!(
        cut.len() > REDACTED_BYTES_MAX - 20 && cut.len() <= REDACTED_BYTES_MAX,
        "{}",
        cut.len()
    );

    let one_literal = format!("INSERT INTO todos VALUES ('{}')", "secret ".repeat(10_000));
    assert_eq!(redact_literals(&one_literal), "INSERT INTO todos VALUES (?)");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_in_any_string_is_gone(text in any::<String>()) {
        for string in [
            format!("'{}'", text.replace('\'', "''")),
            format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "\\'")),
            format!("e'{}'", text.replace('\\', "\\\\").replace('\'', "''")),
            format!("U&'{}'", text.replace('\'', "''")),
            format!("N'{}'", text.replace('\'', "''")),
            format!("$tag_0${text}$tag_0$"),
            format!("$${}$$", text.replace('$', "")),
        ] {
            let sql = format!("UPDATE t SET a = {string}, b = $1");
            prop_assert_eq!(redact_literals(&sql), "UPDATE t SET a = ?, b = $1", "{}", sql);
        }
        let unclosed = format!("SELECT '{}", text.replace('\'', "''"));
        prop_assert_eq!(redact_literals(&unclosed), "SELECT ?");
    }

    #[test]
    fn any_number_is_gone(number in prop_oneof![
        any::<u64>().prop_map(|number| number.to_string()),
        (0.0..1e300_f64).prop_map(|number| number.to_string()),
        (0.0..1e300_f64).prop_map(|number| format!("{number:e}")),
        (0.0..1e-9_f64).prop_map(|number| format!("{number:E}")),
        any::<u64>().prop_map(|number| format!("{number:#x}")),
        "[0-9]{1,5}(_[0-9]{1,5}){0,3}(\\.[0-9]{0,9})?(e[+-]?[0-9]{1,3})?",
        "\\.[0-9]{1,9}",
    ]) {
        let sql = format!("SELECT a+{number}, -{number}::text FROM t");
        prop_assert_eq!(redact_literals(&sql), "SELECT a+?, -?::text FROM t", "{}", sql);
    }

    #[test]
    fn a_secret_is_gone_from_broken_statements_too(
        before in prop::collection::vec(prop::sample::select(vec![
            "SELECT ", "WHERE a = ", "(", ")", ", ", "; ", "'x'", "$1", "$$y$$", "/* c */", "-- c\n", "1", ".", "-", "/ ", "* ",
        ]), 0..12),
        quote in prop::sample::select(vec![
            ("'", "'"), ("'", ""), (" E'", "'"), (" E'\\'", "'"), (" e'\\\\\\'", ""), ("'''", "'"), ("'a'\n'", "'"), ("$$", "$$"),
            ("$$", ""), (" $a$ $$", "$a$"), (" $a$ $b$", ""), (" X'", "'"), (" U&'", ""), ("\"", ""), ("/*", "*/"), ("/* /* */", ""),
            ("--", "\n"), (" 0x", ""), (" 1.", ""), (" 1_", ""), (" 7", ""),
        ]),
        secret in "[a-z0-9]{12}",
        after in prop::sample::select(vec!["", ";", " FROM t", ", 'x'", "'", "$$", "*/", "\nx"]),
    ) {
        let sql = format!("{}{}{secret}{}{after}", before.concat(), quote.0, quote.1);
        prop_assert!(!redact_literals(&sql).contains(&secret), "{}", sql);
    }

    #[test]
    fn redacting_twice_changes_nothing_and_the_limit_holds(
        sql in prop_oneof![
            any::<String>(),
            prop::collection::vec(prop::sample::select(vec![
                "\u{feff}", "'", "\"", "$", "$$", "$a$", "E'", "U&", "\\", "-", "/", "*", "\n", " ", ".", "1", "e", "+", "0x", "ab", "é", "…", "?", ",",
            ]), 0..60).prop_map(|parts| parts.concat()),
            (prop::collection::vec(prop::sample::select(vec![
                "\"quoted name\"", "name", "é", " ", "$1", "1 ", ".", ",", "$", "-", "'x'",
            ]), 1..20), 100..2000_usize).prop_map(|(parts, times)| parts.concat().repeat(times)),
        ],
    ) {
        let once = redact_literals(&sql);
        prop_assert!(once.len() <= REDACTED_BYTES_MAX);
        prop_assert!(redact_literals(&once) == once, "{:.300}", sql);
    }
}
