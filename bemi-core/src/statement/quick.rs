//! A quick look at a text, which tells most reads from what needs the careful one.
//!
//! It looks for bytes, not for tokens: what it finds may stand in a string or a comment. So its "yes" means "look closer", and
//! only its "no" is an answer. It takes tenths of a nanosecond for a byte, the careful look some nanoseconds.
//!
//! Invariants: what it denies, the careful look would not find either. It is asked once for a text, not once for each of its
//! statements, so that the work stays linear.

use super::functions::WriteFunctions;
use super::lexer::{is_in_name, is_space};

/// Words that stand behind a parenthesis where a `WITH` changes rows, or where it takes a closer look to know.
const BEHIND_PARENTHESES: [&[u8]; 6] =
    [b"insert", b"update", b"delete", b"merge", b"search", b"cycle"];

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
        for (padded, byte) in last.iter_mut().zip(rest) {
            *padded = *byte;
        }
        look.add(&last);
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

/// Whether a body of a `WITH`, or what is behind one, may be a statement that changes rows.
pub(super) fn may_hold_writing_body(sql: &[u8]) -> bool {
    any_parenthesis(sql, |_, behind| {
        let blanks = behind.iter().position(|&byte| !is_space(byte)).unwrap_or(behind.len());
        let behind = behind.get(blanks..).unwrap_or_default();
        match behind.first().map(u8::to_ascii_lowercase) {
            Some(b'-' | b'/') => behind.starts_with(b"--") || behind.starts_with(b"/*"),
            Some(first) => BEHIND_PARENTHESES
                .iter()
                .any(|word| word.first() == Some(&first) && starts_with_word(behind, word)),
            None => false,
        }
    })
}

/// Whether one of `functions` may be called.
pub(super) fn may_call(sql: &[u8], functions: &WriteFunctions) -> bool {
    any_parenthesis(sql, |before, _| {
        let end = before.iter().rposition(|&byte| !is_space(byte)).map_or(0, |last| last + 1);
        let (name, blanks) = before.split_at_checked(end).unwrap_or_default();
        // Between a name and its parenthesis there may be a comment; one that ends with its line is not seen from behind.
        let lines = blanks.iter().any(|byte| matches!(byte, b'\n' | b'\r'));
        lines || name.ends_with(b"*/") || functions.may_end(name)
    })
}

/// Whether `wanted` says so of what is before and behind one of the parentheses.
fn any_parenthesis(sql: &[u8], wanted: impl Fn(&[u8], &[u8]) -> bool) -> bool {
    let is_wanted = |at: usize| {
        let (before, behind) = sql.split_at_checked(at).unwrap_or_default();
        wanted(before, behind.get(1..).unwrap_or_default())
    };
    let (eights, rest) = sql.as_chunks();
    for (number, eight) in eights.iter().enumerate() {
        let mut found = parentheses(*eight);
        while found != 0 {
            if is_wanted(8 * number + (found.trailing_zeros() / 8) as usize) {
                return true;
            }
            found &= found - 1;
        }
    }
    let behind_eights = sql.len() - rest.len();
    (rest.iter().zip(behind_eights..))
        .any(|(byte, at)| matches!(byte, b'(' | b')') && is_wanted(at))
}

/// The highest bit of each byte that is a parenthesis. The two kinds differ in their last bit only; without it, and without what
/// they have in common, they are zero, from which a subtraction borrows, and other bytes are two at least.
fn parentheses(eight: [u8; 8]) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let others = (u64::from_le_bytes(eight) & (ONES * 0xfe)) ^ (ONES * b'(' as u64);
    others.wrapping_sub(ONES) & !others & (ONES * 0x80)
}

fn starts_with_word(sql: &[u8], word: &[u8]) -> bool {
    sql.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
        && !sql.get(word.len()).is_some_and(|&byte| is_in_name(byte))
}
