//! Finds parentheses and semicolons in SQL text without cutting what is between them into tokens.
//!
//! Invariant: what it finds is what the next tokens of these kinds would be. The work is linear in the length of the text.

use super::{Kind, Lexer, STOP, Token, is, is_in_name};

impl Lexer<'_> {
    /// The next parenthesis or semicolon. What is in front of it is passed over without being cut into tokens, which takes a
    /// fraction of the time.
    pub(in crate::statement) fn next_mark(&mut self) -> Option<Token> {
        self.after_dot = false;
        let mut from = self.pass_names(self.at);
        // Whatever lies between `self.at`, where a token ends, and `from` are whole tokens without a mark, or the front of one.
        while let Some(at) = self.find_byte(from, |byte| is(byte, STOP)) {
            let before = at.checked_sub(1).and_then(|before| self.byte(before));
            let in_name = before.is_some_and(is_in_name);
            let end = match (self.byte(at)?, self.byte(at + 1)) {
                (b'(', _) => return Some(self.take_mark(Kind::Open, at)),
                (b')', _) => return Some(self.take_mark(Kind::Close, at)),
                (b';', _) => return Some(self.take_mark(Kind::Semicolon, at)),
                (b'"', _) => self.quoted_name(at + 1).1,
                (b'-', Some(b'-')) => self.line_comment(at + 2),
                (b'/', Some(b'*')) => self.block_comment(at + 2),
                (b'\'', _) if !matches!(before, Some(b'e' | b'E')) => self.string(at + 1, false).1,
                (b'$', _) if !in_name => self.dollar(at).1,
                // What a quote or dollar sign behind a letter means depends on where the word begins.
                (b'\'' | b'$', _) => {
                    while self.at <= at && self.next().is_some() {}
                    self.at
                }
                _ => {
                    from = at + 1;
                    continue;
                }
            };
            self.at = end;
            from = self.pass_names(end);
        }
        self.at = self.sql.len();
        None
    }

    /// Passes over blocks of bytes in which only quoted names stop, without a look at each of these.
    fn pass_names(&self, mut at: usize) -> usize {
        while let Some(block) = self.from(at).first_chunk::<32>() {
            // In few compares, of which the compiler makes vector instructions: some more than what stops does no harm.
            let (mut from_hash_to_parenthesis, mut other_stops, mut quotes) = (false, false, 0_u8);
            for &byte in block {
                from_hash_to_parenthesis |= byte.wrapping_sub(b'#') <= b')' - b'#';
                other_stops |= (byte == b';') | (byte & 0xfd == b'-');
                quotes += u8::from(byte == b'"');
            }
            if from_hash_to_parenthesis | other_stops {
                break;
            }
            at += block.len();
            // Behind an odd number of quotes we are in a name.
            if quotes % 2 == 1 {
                at = self.quoted_name(at).1;
            }
        }
        at
    }

    fn take_mark(&mut self, kind: Kind, start: usize) -> Token {
        self.at = start + 1;
        Token { kind, start, end: self.at }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CORPUS: &str = include_str!("../../../tests/corpus/statements.sql");

    const FRAGMENTS: &str = r#"( ) ; ' '' " "" "a;b" 'a;b' E' e'a\' e U&" n' \ - -- -> / /* */ $ $$ $a$ $1 a$1 a$a$ . .e' 1e 1e- 1 é … #&%
        "todos"."updated_at_17", abcdefghijklmnopqrstuvwxyz_0123456"#;

    fn text() -> impl Strategy<Value = String> {
        let fragments: Vec<_> =
            FRAGMENTS.split_whitespace().chain([" ", "\n", "\n'", " e'"]).collect();
        let corpus = (any::<prop::sample::Index>(), 1..200_usize).prop_map(|(start, length)| {
            let start = CORPUS.floor_char_boundary(start.index(CORPUS.len()));
            let end = CORPUS.floor_char_boundary(start + length);
            CORPUS.get(start..end).unwrap_or_default()
        });
        prop::collection::vec(prop_oneof![8 => prop::sample::select(fragments), 1 => corpus], 0..40)
            .prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn passing_over_tokens_finds_the_marks_that_cutting_them_finds(
            sql in text(),
            passes in prop::collection::vec(any::<bool>(), 1..20),
        ) {
            let (mut passing, mut cutting) = (Lexer::new(&sql), Lexer::new(&sql));
            for &passes in passes.iter().chain([&true]).cycle() {
                let (found, expected) = if passes {
                    let is_mark = |token: &Token| matches!(token.kind, Kind::Open | Kind::Close | Kind::Semicolon);
                    (passing.next_mark(), Iterator::find(&mut cutting, is_mark))
                } else {
                    (passing.next(), cutting.next())
                };
                let parts = |token: Token| (token.kind, token.start, token.end);
                prop_assert_eq!(found.map(parts), expected.map(parts), "{:?}", sql);
                prop_assert_eq!(passing.rest(), cutting.rest(), "{:?}", sql);
                if found.is_none() {
                    break;
                }
            }
        }
    }
}
