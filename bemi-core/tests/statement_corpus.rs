//! Every statement of the corpus is judged as the corpus says, whatever comments, white space, case and
//! neighbours it comes with.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

use std::sync::LazyLock;

use bemi_core::statement::{Statement, WriteFunctions, redact_literals, statements};
use proptest::prelude::*;

const CORPUS: &str = include_str!("corpus/statements.sql");

/// A statement of the corpus: its line, its verdict, its text.
type Entry = (usize, &'static str, &'static str);

static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let mut entries = Vec::new();
    let mut text: Option<(Entry, usize)> = None;
    let mut at = 0;
    for (number, line) in CORPUS.split_inclusive('\n').enumerate() {
        let header = line.strip_prefix("--: ");
        if (header.is_some() || line.starts_with("-- ===="))
            && let Some(((number, verdict, _), start)) = text.take()
        {
            entries.push((number, verdict, CORPUS[start..at].trim_matches('\n')));
        }
        at += line.len();
        if let Some(verdict) = header.and_then(|header| header.split_whitespace().next()) {
            text = Some(((number + 1, verdict, ""), at));
        }
    }
    if let Some(((number, verdict, _), start)) = text {
        entries.push((number, verdict, CORPUS[start..].trim_matches('\n')));
    }
    entries
});

fn corpus() -> &'static [Entry] {
    &ENTRIES
}

fn verdict(statement: Statement<'_>) -> &'static str {
    match statement {
        Statement::Read => "read",
        Statement::Write => "write",
        Statement::Procedure => "procedure",
        Statement::Control(_) => "control",
        Statement::Script { writes: false } => "script",
        Statement::Script { writes: true } => "script+",
        other => panic!("{other:?} has no word in the corpus"),
    }
}

/// The pieces between which a comment may stand: cut by rules of the test's own, which leave whole what is
/// hard to cut (the rest from a comment, a dollar quote or an escape string on).
fn pieces(sql: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let length = if ["$", "--", "/*"].iter().any(|mark| rest.starts_with(mark)) {
            rest.len()
        } else if first == '\'' || first == '"' {
            quoted(rest, first)
        } else if word == 0 {
            first.len_utf8()
        } else if rest[word..].starts_with(['\'', '"', '$', '&'])
            || (first.is_numeric() && rest[word..].starts_with('.'))
        {
            rest.len()
        } else {
            word
        };
        pieces.push(&rest[..length]);
        rest = &rest[length..];
    }
    pieces
}

/// The length of the quoted text that `sql` begins with; a doubled quote does not end it.
fn quoted(sql: &str, quote: char) -> usize {
    let mut at = 1;
    while let Some(length) = sql[at..].find(quote) {
        at += length + 1;
        if !sql[at..].starts_with(quote) {
            return at;
        }
        at += 1;
    }
    sql.len()
}

#[test]
fn the_corpus_is_judged_as_it_says() {
    let corpus = corpus();
    assert!(corpus.len() >= 250, "only {} statements were found", corpus.len());
    let wrong: Vec<_> = corpus
        .iter()
        .filter(|(_, expected, sql)| verdict(Statement::classify(sql)) != *expected)
        .map(|(line, expected, sql)| {
            format!("line {line}: not {expected}: {:?}: {sql}", Statement::classify(sql))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_corpus_is_judged_the_same_without_its_literals() {
    for &(line, expected, sql) in corpus() {
        let redacted = redact_literals(sql);
        assert_eq!(verdict(Statement::classify(&redacted)), expected, "line {line}: {redacted}");
        assert_eq!(redact_literals(&redacted), redacted, "line {line}");
    }
}

#[test]
fn no_statement_of_the_corpus_hides_the_one_behind_it() {
    for &(line, _, sql) in corpus() {
        let text = format!("{sql}\n; DELETE FROM todos");
        let (range, last) = statements(&text).last().unwrap();
        assert_eq!((&text[range], last), ("DELETE FROM todos", Statement::Write), "line {line}");
    }
}

#[test]
fn a_byte_order_mark_and_every_kind_of_white_space_are_passed_over() {
    assert_eq!(Statement::classify("\u{feff}DELETE FROM todos"), Statement::Write);
    assert_eq!(Statement::classify("\t\r\n\u{b}\u{c}DELETE\rFROM todos"), Statement::Write);
    assert_eq!(Statement::classify("-- ends here\rDELETE FROM todos"), Statement::Write);
    assert_eq!(Statement::classify(""), Statement::Read);
}

fn blank() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just(" \t\u{b}".to_owned()),
        Just("\r\n".to_owned()),
        Just(" -- it's; DELETE FROM todos\n".to_owned()),
        Just("/* \"; /* COMMIT; */ $$ */".to_owned()),
        "[a-z *']{0,12}"
            .prop_map(|text| format!("/*{}*/", text.replace('*', "* ").replace('/', ""))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn comments_white_space_and_case_change_no_verdict(
        at in any::<prop::sample::Index>(),
        blanks in prop::collection::vec((blank(), any::<bool>()), 1..8),
    ) {
        let corpus = corpus();
        let (line, expected, sql) = corpus[at.index(corpus.len())];
        let mut changes = blanks.iter().cycle();
        let mut changed = String::new();
        for piece in pieces(sql) {
            let (blank, upper) = changes.next().unwrap();
            changed.push_str(blank);
            let word = piece.bytes().all(|byte| byte.is_ascii_alphabetic());
            changed.push_str(&if word && *upper { piece.to_uppercase() } else { piece.to_owned() });
        }
        prop_assert_eq!(verdict(Statement::classify(&changed)), expected, "line {}: {}", line, changed);
    }

    /// Behind such a comment nothing is judged by a quick look at the text.
    #[test]
    fn a_quick_look_agrees_with_a_careful_one(
        at in any::<prop::sample::Index>(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(vec![
            "into", " INTO ", "into_x", "(delete ", ") Merge(", "(update_x", "(/**/insert ", "transfer(", "\"transfer\" (", "$1transfer(",
            "_transfer\t(", "transfer --\n(", "(\u{b}delete ", ")", "(", ";", "'", "--", "$$", " search ", "é", "$1into ",
        ])), 0..4),
    ) {
        let functions = WriteFunctions::new(["transfer", "x.\"Log\""]).unwrap();
        let corpus = corpus();
        let mut sql = corpus[at.index(corpus.len())].2.to_owned();
        for (at, fragment) in cuts {
            let mut at = at.index(sql.len() + 1);
            while !sql.is_char_boundary(at) {
                at -= 1;
            }
            sql.insert_str(at, fragment);
        }
        let careful = format!("{sql}\n/* INTO (insert transfer( */");
        prop_assert_eq!(
            verdict(Statement::classify(&sql)), verdict(Statement::classify(&careful)), "{}", sql
        );
        prop_assert_eq!(
            verdict(Statement::classify_with(&sql, &functions)),
            verdict(Statement::classify_with(&careful, &functions)),
            "{}", sql
        );
    }

    #[test]
    fn nothing_in_quotes_or_comments_makes_a_write(
        text in prop_oneof![any::<String>(), any::<prop::sample::Index>().prop_map(|at| {
            let corpus = corpus();
            corpus[at.index(corpus.len())].2.to_owned()
        })],
    ) {
        let line = text.replace(['\n', '\r'], " ");
        let comment = text.replace(['*', '/'], " ");
        for sql in [
            format!("SELECT '{}'", text.replace('\'', "''")),
            format!("SELECT E'{}' FROM t", text.replace('\\', "\\\\").replace('\'', "\\'")),
            format!("SELECT U&'{}'", text.replace('\'', "''")),
            format!("SELECT \"{}\" FROM t", text.replace('"', "\"\"")),
            format!("SELECT U&\"{}\" FROM t", text.replace('"', "\"\"")),
            format!("SELECT $tag_0${text}$tag_0$, 1"),
            format!("WITH x AS (SELECT $${}$$) SELECT * FROM x", text.replace('$', "")),
            format!("/*{comment}*/ SELECT 1 /*{comment}/*{comment}*/{comment}*/"),
            format!("-- {line}\nSELECT 1 --{line}"),
            format!("SELECT '{}", text.replace('\'', "''")),
            format!("SELECT /*{comment}"),
        ] {
            prop_assert_eq!(Statement::classify(&sql), Statement::Read, "{}", sql);
        }
    }

    #[test]
    fn any_text_has_a_verdict_and_statements_that_lie_in_it_in_order(
        sql in prop_oneof![
            any::<String>(),
            prop::collection::vec(prop::sample::select(vec![
                "'", "\"", "$", "$$", "$a$", "E'", "U&\"", "\\", "--", "/*", "*/", "\n", "(", ")", ";", ",", ".", " ",
                "1e", "0x", "é", "…", "with", "as", "begin atomic ", "end ", "case ", "create function ", "explain ",
                "analyze ", "search ", "cycle ", "copy ", "from ", "into ", "insert ", "set ", "rollback to ", "prepare ",
            ]), 0..40).prop_map(|parts| parts.concat()),
        ],
    ) {
        let whole = Statement::classify(&sql);
        let mut end = 0;
        let mut several = Vec::new();
        for (range, statement) in statements(&sql) {
            prop_assert!(end <= range.start && range.start < range.end, "{:?}", range);
            prop_assert!(sql.get(range.clone()).is_some());
            end = range.end;
            several.push(statement);
        }
        match several.as_slice() {
            [] => prop_assert_eq!(whole, Statement::Read),
            [only] => prop_assert_eq!(whole, *only),
            several => prop_assert_eq!(whole.writes(), several.iter().any(|one| one.writes())),
        }
    }
}
