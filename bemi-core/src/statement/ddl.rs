//! The text of a command that changed the shape of a table, for the trail.
//!
//! The server knows the command only as part of everything that the client sent at once, and that may
//! hold other statements, with passwords and rows in them. So what is kept is as little as still tells
//! why the shape changed.
//!
//! Invariant: no string of the text is kept, of whatever kind of quotes; numbers are kept in the command
//! itself alone, where they are part of the shape.

use super::lexer::{Kind, Lexer};
use super::redact::{ELLIPSIS, redact};
use super::statements;

/// No text of a command is longer than this, in bytes.
pub const DDL_BYTES_MAX: usize = 64 * 1024;

/// Between the words of a command, as in `CREATE UNIQUE INDEX`.
const MODIFIERS: [&str; 7] =
    ["GLOBAL", "LOCAL", "RECURSIVE", "TEMP", "TEMPORARY", "UNIQUE", "UNLOGGED"];

/// First words of statements that run no code but their own, so that another statement of the same text
/// must be the command.
const INERT: [&str; 26] = [
    "ABORT",
    "ALTER",
    "ANALYZE",
    "BEGIN",
    "CLUSTER",
    "COMMENT",
    "COMMIT",
    "CREATE",
    "DEALLOCATE",
    "DISCARD",
    "DROP",
    "END",
    "GRANT",
    "LOCK",
    "PREPARE",
    "REINDEX",
    "RELEASE",
    "RESET",
    "REVOKE",
    "ROLLBACK",
    "SAVEPOINT",
    "SECURITY",
    "SET",
    "SHOW",
    "START",
    "VACUUM",
];

/// What to keep of the text `sql` that the command, such as `ALTER TABLE`, was part of.
///
/// - Every string in it is replaced by `?`, whatever its quotes, and comments go.
/// - Numbers stay in statements that begin as the command does, and not in others: `varchar(255)` is part
///   of the shape. A `CREATE TABLE AS` and a `SELECT INTO` hold a query, so there they go, too.
/// - Other statements of the text are left out, where they certainly did not run the command.
/// - A text that would be longer than [`DDL_BYTES_MAX`] is cut, and ends in `…`.
///
/// ```
/// use bemi_core::statement::redact_ddl;
///
/// let sql = "ALTER ROLE app PASSWORD 's3cret'; ALTER TABLE todo ADD COLUMN note varchar(255) DEFAULT 'none'";
/// let kept = redact_ddl(sql, "ALTER TABLE");
/// assert_eq!(kept, "ALTER TABLE todo ADD COLUMN note varchar(255) DEFAULT ?");
/// ```
#[must_use]
pub fn redact_ddl(sql: &str, command: &str) -> String {
    let holds_query = matches!(command, "CREATE TABLE AS" | "SELECT INTO");
    let all: Vec<(&str, bool)> = statements(sql)
        .filter_map(|(range, _)| sql.get(range))
        .map(|statement| (statement, is_command(statement, command)))
        .collect();
    let is_certain = all.iter().any(|(_, is_command)| *is_command)
        && all.iter().all(|(statement, is_command)| *is_command || is_inert(statement));
    let mut kept = String::new();
    for (statement, is_command) in all {
        if is_certain && !is_command {
            continue;
        }
        if !kept.is_empty() {
            kept.push_str("; ");
        }
        let room = DDL_BYTES_MAX.saturating_sub(kept.len());
        if room <= ELLIPSIS.len() {
            return cut(kept);
        }
        let keeps_numbers = is_command && !holds_query;
        kept.push_str(&redact(statement, room, |literal| !(keeps_numbers && is_number(literal))));
    }
    kept
}

/// Whether the statement begins as the command does, or has it in it by its own syntax.
fn is_command(statement: &str, command: &str) -> bool {
    let mut words = words(statement);
    let Some(first) = words.next() else { return false };
    let is = |word: &str, expected: &str| word.eq_ignore_ascii_case(expected);
    if command == "SELECT INTO" {
        return is(first, "SELECT") || is(first, "WITH");
    }
    let mut expected = command.split(' ');
    let Some(second) = words.find(|word| !MODIFIERS.iter().any(|modifier| is(word, modifier)))
    else {
        return false;
    };
    // CREATE SCHEMA has its tables in it.
    is(first, expected.next().unwrap_or_default())
        && (is(second, expected.next().unwrap_or_default())
            || is(first, "CREATE") && is(second, "SCHEMA"))
}

fn is_inert(statement: &str) -> bool {
    words(statement)
        .next()
        .is_some_and(|first| INERT.iter().any(|word| first.eq_ignore_ascii_case(word)))
}

/// The words that the statement begins with.
fn words(statement: &str) -> impl Iterator<Item = &str> {
    let mut lexer = Lexer::new(statement);
    std::iter::from_fn(move || {
        let token = lexer.next().filter(|token| token.kind == Kind::Word)?;
        Some(lexer.text(token))
    })
}

/// What clings to a number in a broken text is not kept.
fn is_number(literal: &str) -> bool {
    literal.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// Ends the text with the mark that there was more; between two statements.
fn cut(mut text: String) -> String {
    let mut end = DDL_BYTES_MAX.saturating_sub(ELLIPSIS.len()).min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text.push_str(ELLIPSIS);
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_command_alone_is_kept_where_nothing_else_can_have_run_it() {
        for (command, sql, kept) in [
            ("ALTER TABLE", "BEGIN; ALTER TABLE t ADD a int; COMMIT", "ALTER TABLE t ADD a int"),
            (
                "CREATE TABLE",
                "CREATE USER u PASSWORD 'x'; create unlogged table a (b int); -- c\n CREATE TABLE d (e int)",
                "create unlogged table a (b int); CREATE TABLE d (e int)",
            ),
            ("CREATE INDEX", "CREATE UNIQUE INDEX ON t (a)", "CREATE UNIQUE INDEX ON t (a)"),
            (
                "CREATE TABLE",
                "CREATE SCHEMA s CREATE TABLE t (a varchar(9)); CREATE ROLE r",
                "CREATE SCHEMA s CREATE TABLE t (a varchar(9))",
            ),
            ("DROP TABLE", "SET role = 'a'; DROP TABLE a, b CASCADE", "DROP TABLE a, b CASCADE"),
        ] {
            assert_eq!(redact_ddl(sql, command), kept, "{sql}");
        }
    }

    #[test]
    fn what_may_have_run_the_command_is_kept_without_its_data() {
        for (command, sql, kept) in [
            ("ALTER TABLE", "DO $$ BEGIN EXECUTE 'secret'; END $$", "DO ?"),
            (
                "CREATE TABLE",
                "SELECT make_partition('2026', 7); CREATE TABLE t (a numeric(9, 2))",
                "SELECT make_partition(?, ?); CREATE TABLE t (a numeric(9, 2))",
            ),
            (
                "ALTER TABLE",
                "INSERT INTO pins VALUES (1234); ALTER TABLE t ADD a char(2)",
                "INSERT INTO pins VALUES (?); ALTER TABLE t ADD a char(2)",
            ),
            ("ALTER TABLE", "CALL migrate(17)", "CALL migrate(?)"),
        ] {
            assert_eq!(redact_ddl(sql, command), kept, "{sql}");
        }
    }

    #[test]
    fn a_query_in_the_command_holds_data() {
        let sql = "CREATE TABLE t AS SELECT * FROM pins WHERE pin = 1234";
        let kept = "CREATE TABLE t AS SELECT * FROM pins WHERE pin = ?";
        assert_eq!(redact_ddl(sql, "CREATE TABLE AS"), kept);
        assert_eq!(redact_ddl("SELECT 7 AS a INTO t", "SELECT INTO"), "SELECT ? AS a INTO t");
    }

    #[test]
    fn every_kind_of_string_goes_also_one_that_is_never_closed() {
        for literal in [
            "'s'", "E'\\'s'", "$$s$$", "$a$s$a$", "U&'s'", "B'1'", "X'5'", "'s", "$$s", "\"s", "7s",
        ] {
            let sql = format!("ALTER TABLE t ADD a text DEFAULT {literal}");
            let kept = "ALTER TABLE t ADD a text DEFAULT ?";
            assert_eq!(redact_ddl(&sql, "ALTER TABLE"), kept, "{literal}");
        }
    }

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        let columns = vec!["\u{1F600} int"; 20_000].join(", ");
        let one = redact_ddl(&format!("CREATE TABLE t ({columns})"), "CREATE TABLE");
        let many = redact_ddl(&"CREATE TABLE t (a int); ".repeat(10_000), "CREATE TABLE");
        for text in [one, many] {
            assert!(
                text.len() <= DDL_BYTES_MAX && text.len() > DDL_BYTES_MAX - 100,
                "{}",
                text.len()
            );
            assert!(text.ends_with(" …"));
        }
    }

    proptest! {
        #[test]
        fn any_text_and_any_command_have_an_answer(sql in "\\PC{0,200}", command in "\\PC{0,20}") {
            prop_assert!(redact_ddl(&sql, &command).len() <= DDL_BYTES_MAX);
        }

        #[test]
        fn no_string_is_kept(before in "[a-z;,( ]{0,20}", data in "[a-zA-Z0-9 ;$]{0,20}", after in "[a-z;,) ]{0,20}") {
            let sql = format!("{before} 'hidden{data}' {after}");
            for command in ["ALTER TABLE", "SELECT INTO", ""] {
                prop_assert!(!redact_ddl(&sql, command).contains("hidden"));
            }
        }
    }
}
