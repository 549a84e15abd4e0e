//! A statement's text.
//!
//! What is asked of it needs nothing but the public API of `bemi-core`.

#![no_main]

use bemi_core::statement::{
    REDACTED_BYTES_MAX, Statement, WriteFunctions, redact_literals, statements, with_message,
};

libfuzzer_sys::fuzz_target!(|sql: &str| {
    let verdict = Statement::classify(sql);
    registered_functions_make_more_of_it_write(sql, verdict);
    single_statements_lie_behind_each_other(sql, verdict);
    redacting_again_changes_nothing(sql);
    a_message_is_put_between_what_was_there(sql);
});

fn registered_functions_make_more_of_it_write(sql: &str, verdict: Statement<'_>) {
    let functions = WriteFunctions::new(["f", "s.g", "\"A b\""]).expect("names of functions");
    let with_functions = Statement::classify_with(sql, &functions);
    assert!(with_functions.writes() || !verdict.writes(), "{verdict:?} became {with_functions:?}");
}

fn single_statements_lie_behind_each_other(sql: &str, verdict: Statement<'_>) {
    let mut behind = 0;
    let mut writes = false;
    for (range, statement) in statements(sql) {
        let text = sql.get(range.clone()).expect("a range between characters");
        assert!(behind <= range.start && !text.is_empty(), "{range:?} comes behind {behind}");
        assert_eq!(text, text.trim_ascii());
        behind = range.end;
        writes |= statement.writes();
    }
    assert_eq!(verdict.writes(), writes, "the whole is {verdict:?}");
}

fn redacting_again_changes_nothing(sql: &str) {
    let redacted = redact_literals(sql);
    assert!(redacted.len() <= REDACTED_BYTES_MAX, "{} bytes", redacted.len());
    assert_eq!(redact_literals(&redacted), redacted);
}

/// Verdict and number of statements stay, and nothing is lost of what was there. What becomes of its tokens
/// is tested where they can be seen, beside the code.
fn a_message_is_put_between_what_was_there(sql: &str) {
    for parameter in 1..=3 {
        let Some(edited) = with_message(sql, parameter) else { continue };
        assert_eq!(Statement::classify(sql), Statement::Write);
        assert_eq!(Statement::classify(&edited), Statement::Write, "{edited}");
        assert_eq!(statements(&edited).count(), 1, "{edited}");

        let message = format!(
            "(SELECT pg_logical_emit_message(true, '_bemi_spacer', \
             left(pg_logical_emit_message(true, '_bemi', ${parameter}::text)::text, 0))) IS NOT NULL"
        );
        let (_, behind) = edited.split_once(&message).expect("the message is in it");
        assert!(sql.ends_with(behind.trim_start()), "{sql:?} became {edited:?}");
        // Of an INSERT, VALUES and its parentheses are replaced.
        let first = redact_literals(sql).split(' ').next().map(str::to_ascii_lowercase);
        if matches!(first.as_deref(), Some("update" | "delete")) {
            assert!(is_within(sql, &edited), "{sql:?} became {edited:?}");
        }
    }
}

/// Whether `all` is `some` with more in between.
fn is_within(some: &str, all: &str) -> bool {
    let mut rest = all.chars();
    some.chars().all(|wanted| rest.any(|found| found == wanted))
}
