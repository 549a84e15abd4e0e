//! A quick look at a text, which tells most reads from what needs the careful one.
//!
//! It looks for bytes, not for tokens: what it finds may stand in a string or a comment. So its "yes" means "look closer", and
//! only its "no" is an answer. It takes tenths of a nanosecond for a byte, the careful look some nanoseconds.
//!
//! Invariants: what it denies, the careful look would not find either. It is asked once for a text, not once for each of its
//! statements, so that the work stays linear.

use super::functions::WriteFunctions;
use super::lexer::{is_in_name, is_space};

/// What may stand anywhere in a text.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Look {
    /// A semicolon that is not at the end.
    pub(super) semicolon: bool,
    /// The word `INTO`.
    pub(super) into: bool,
}

impl Look {
    pub(super) fn at(sql: &[u8]) -> Self {
        let end = sql.iter().rposition(|&byte| byte != b';' && !byte.is_ascii_whitespace());
        let mut rest = sql.get(..end.map_or(0, |last| last + 1)).unwrap_or_default();
        let mut look = Self::default();
        while let Some(block) = rest.first_chunk() {
            look.add(block);
            rest = rest.get(BLOCK_STEP..).unwrap_or_default();
        }
        let mut last = [0; BLOCK_BYTES];
        if let Some(start) = last.get_mut(..rest.len()) {
            start.copy_from_slice(rest);
        }
        look.add(&last);
        // Nothing comes behind this block that would look at its overlap.
        look.semicolon |= last.iter().skip(BLOCK_STEP).any(|&byte| byte == b';');
        look
    }

    /// Written so that the compiler makes vector instructions of it, also for the oldest processors.
    #[allow(
        clippy::indexing_slicing,
        reason = "the compiler knows the length, and would refuse a bad index"
    )]
    fn add(&mut self, block: &[u8; BLOCK_BYTES]) {
        let (mut semicolon, mut end_of_into) = (false, false);
        for at in 0..BLOCK_STEP {
            semicolon |= block[at] == b';';
            end_of_into |= (block[at + 1] | 0x20 == b'n')
                & (block[at + 2] | 0x20 == b't')
                & (block[at + 3] | 0x20 == b'o');
        }
        self.semicolon |= semicolon;
        self.into |= end_of_into && holds_into(block);
    }
}

const BLOCK_STEP: usize = 64;

/// Blocks overlap, so that a word and the byte behind it lie in one of them.
const BLOCK_BYTES: usize = BLOCK_STEP + 4;

/// Whether `into` stands in the block and does not go on as another name, such as `into_account`.
fn holds_into(block: &[u8; BLOCK_BYTES]) -> bool {
    block.windows(5).any(|window| {
        matches!(window, [b'i' | b'I', b'n' | b'N', b't' | b'T', b'o' | b'O', behind] if !is_in_name(*behind))
    })
}

/// Whether a body of a `WITH`, or what is behind one, may be a statement that changes rows, or whether it takes a closer look to know.
pub(super) fn may_hold_writing_body(sql: &[u8]) -> bool {
    any_place(sql, is_parenthesis, |_, behind| {
        let blanks = behind.iter().position(|&byte| !is_space(byte)).unwrap_or(behind.len());
        let behind = behind.get(blanks..).unwrap_or_default();
        let is_word = |word| starts_with_word(behind, word);
        match behind.first().map(u8::to_ascii_lowercase) {
            Some(b'i') => is_word(b"insert"),
            Some(b'u') => is_word(b"update"),
            Some(b'd') => is_word(b"delete"),
            Some(b'm') => is_word(b"merge"),
            Some(b's') => is_word(b"search"),
            Some(b'c') => is_word(b"cycle"),
            Some(b'-') => behind.starts_with(b"--"),
            Some(b'/') => behind.starts_with(b"/*"),
            _ => false,
        }
    })
}

/// Whether one of `functions` may be called.
pub(super) fn may_call(sql: &[u8], functions: &WriteFunctions) -> bool {
    any_place(
        sql,
        |byte| byte == b'(',
        |before, _| {
            let end = before.iter().rposition(|&byte| !is_space(byte)).map_or(0, |last| last + 1);
            let (name, blanks) = before.split_at_checked(end).unwrap_or_default();
            // Between a name and its parenthesis there may be a comment; one that ends with its line is not seen from behind.
            let lines = blanks.iter().any(|byte| matches!(byte, b'\n' | b'\r'));
            lines || matches!(name, [.., b'*', b'/']) || functions.may_end(name)
        },
    )
}

/// Whether `wanted` says so of what is before and behind one of the bytes that are `marks`.
fn any_place(
    sql: &[u8],
    marks: impl Fn(u8) -> bool,
    wanted: impl Fn(&[u8], &[u8]) -> bool,
) -> bool {
    let is_wanted = |at: usize| {
        let (before, behind) = sql.split_at_checked(at).unwrap_or_default();
        wanted(before, behind.get(1..).unwrap_or_default())
    };
    let any_in = |part: &[u8], offset: usize| {
        let mut places = (offset..).zip(part).filter(|&(_, &byte)| marks(byte));
        places.any(|(at, _)| is_wanted(at))
    };
    let (parts, rest) = sql.as_chunks::<16>();
    for (number, part) in parts.iter().enumerate() {
        // One vector instruction or two tell the parts that have none.
        let some = part.iter().fold(false, |found, &byte| found | marks(byte));
        if some && any_in(part, number * part.len()) {
            return true;
        }
    }
    any_in(rest, sql.len() - rest.len())
}

/// The two differ in the last bit only.
fn is_parenthesis(byte: u8) -> bool {
    byte & 0xfe == b'('
}

fn starts_with_word(sql: &[u8], word: &[u8]) -> bool {
    sql.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
        && !sql.get(word.len()).is_some_and(|&byte| is_in_name(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_semicolon_is_seen_wherever_it_stands_but_at_the_end() {
        for length in 1..200 {
            for place in 0..length {
                let mut sql = vec![b'a'; length];
                sql[place] = b';';
                assert_eq!(Look::at(&sql).semicolon, place + 1 < length, "{place} of {length}");
            }
        }
    }
}
