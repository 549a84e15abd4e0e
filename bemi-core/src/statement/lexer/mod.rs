//! Cuts SQL text into tokens as PostgreSQL's scanner does.
//!
//! It knows where strings, comments and names end, and nothing of grammar. It assumes
//! `standard_conforming_strings = on`, the server's default since 9.1.
//!
//! Invariants: every token is a non-empty range between two character boundaries, ranges ascend, and
//! between two tokens there is only white space and comments. Any text can be cut; what is never closed
//! (a string, a comment, a quoted name) extends to the end. The work is linear in the length of the text.

mod marks;

/// What a token is, as far as anything here needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A keyword or an unquoted name.
    Word,
    /// A name that cannot be a keyword: quoted, or after a dot.
    Name,
    /// A constant: any kind of string or number. Also a quoted name that is never closed.
    Literal,
    /// `$1`
    Parameter,
    Open,
    Close,
    Comma,
    Dot,
    Semicolon,
    /// Any other character, one at a time.
    Symbol,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

#[derive(Debug, Clone)]
pub(super) struct Lexer<'sql> {
    sql: &'sql str,
    at: usize,
    after_dot: bool,
}

impl<'sql> Lexer<'sql> {
    pub(super) fn new(sql: &'sql str) -> Self {
        // A byte order mark is no part of the statement, though a careless editor puts it there.
        let at = if sql.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Self { sql, at, after_dot: false }
    }

    /// The whole text.
    pub(super) fn sql(&self) -> &'sql [u8] {
        self.sql.as_bytes()
    }

    /// The token's text as written.
    #[inline]
    pub(super) fn text(&self, token: Token) -> &'sql str {
        self.sql.get(token.start..token.end).unwrap_or_default()
    }

    /// What has not been cut yet.
    pub(super) fn rest(&self) -> &'sql [u8] {
        self.sql.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// Where the next token is looked for.
    pub(super) fn offset(&self) -> usize {
        self.at
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.sql.as_bytes().get(at).copied()
    }

    fn from(&self, at: usize) -> &'sql [u8] {
        self.sql.as_bytes().get(at..).unwrap_or_default()
    }

    /// Where the first byte that `stops` is, from `at` on; none at the end of the text.
    fn find_byte(&self, at: usize, stops: impl Fn(u8) -> bool) -> Option<usize> {
        self.from(at).iter().position(|&byte| stops(byte)).map(|length| at + length)
    }

    /// The end of the run of bytes of this class from `at` on.
    fn run(&self, at: usize, class: u8) -> usize {
        self.find_byte(at, |byte| !is(byte, class)).unwrap_or(self.sql.len())
    }

    fn skip_blanks(&mut self) {
        while let Some(byte) = self.byte(self.at) {
            if is(byte, SPACE) {
                self.at += 1;
            } else if byte == b'-' && self.byte(self.at + 1) == Some(b'-') {
                self.at = self.line_comment(self.at + 2);
            } else if byte == b'/' && self.byte(self.at + 1) == Some(b'*') {
                self.at = self.block_comment(self.at + 2);
            } else {
                return;
            }
        }
    }

    /// The newline that ends a comment, or the end of the text.
    fn line_comment(&self, at: usize) -> usize {
        self.find_byte(at, |byte| matches!(byte, b'\n' | b'\r')).unwrap_or(self.sql.len())
    }

    /// Block comments nest.
    fn block_comment(&self, mut at: usize) -> usize {
        let mut depth = 1_usize;
        while depth > 0 {
            let Some(mark) = self.find_byte(at, |byte| matches!(byte, b'*' | b'/')) else {
                return self.sql.len();
            };
            at = mark;
            match (self.byte(at), self.byte(at + 1)) {
                (Some(b'*'), Some(b'/')) => {
                    depth -= 1;
                    at += 2;
                }
                (Some(b'/'), Some(b'*')) => {
                    depth += 1;
                    at += 2;
                }
                _ => at += 1,
            }
        }
        at
    }

    /// A word, or the string or quoted name that it is the prefix of.
    fn word(&self, start: usize) -> (Kind, usize) {
        let end = self.run(start, NAME);
        if end - start == 1 {
            match (self.byte(start), self.byte(end), self.byte(end + 1)) {
                (Some(b'e' | b'E'), Some(b'\''), _) => return self.string(end + 1, true),
                (Some(b'b' | b'B' | b'x' | b'X' | b'n' | b'N'), Some(b'\''), _) => {
                    return self.string(end + 1, false);
                }
                (Some(b'u' | b'U'), Some(b'&'), Some(b'\'')) => return self.string(end + 2, false),
                (Some(b'u' | b'U'), Some(b'&'), Some(b'"')) => return self.quoted_name(end + 2),
                _ => {}
            }
        }
        (if self.after_dot { Kind::Name } else { Kind::Word }, end)
    }

    /// A string from behind its opening quote on; a doubled quote is part of it.
    fn string(&self, mut at: usize, backslash_escapes: bool) -> (Kind, usize) {
        loop {
            let stop =
                self.find_byte(at, |byte| byte == b'\'' || (byte == b'\\' && backslash_escapes));
            let Some(stop) = stop else { return (Kind::Literal, self.sql.len()) };
            at = stop + 1;
            if self.byte(stop) == Some(b'\\') {
                at = self.character_after(at);
            } else if self.byte(at) == Some(b'\'') {
                at += 1;
            } else if let Some(continued) = self.continued_string(at) {
                at = continued;
            } else {
                return (Kind::Literal, at);
            }
        }
    }

    /// Skips the character at `at`, whatever its length.
    fn character_after(&self, at: usize) -> usize {
        let character = self.sql.get(at..).and_then(|rest| rest.chars().next());
        at + character.map_or(0, char::len_utf8)
    }

    /// A string goes on, in the same syntax, when the next one follows on a later line: the place behind
    /// that one's opening quote.
    fn continued_string(&self, mut at: usize) -> Option<usize> {
        let mut newline = false;
        loop {
            match self.byte(at)? {
                b'\'' => return newline.then_some(at + 1),
                b'-' if self.byte(at + 1) == Some(b'-') => at = self.line_comment(at + 2),
                byte if is(byte, SPACE) => {
                    newline |= matches!(byte, b'\n' | b'\r');
                    at += 1;
                }
                _ => return None,
            }
        }
    }

    /// A quoted name from behind its opening quote on. One that is never closed may hold anything, so it
    /// is no name.
    fn quoted_name(&self, mut at: usize) -> (Kind, usize) {
        loop {
            let Some(quote) = self.find_byte(at, |byte| byte == b'"') else {
                return (Kind::Literal, self.sql.len());
            };
            at = quote + 1;
            if self.byte(at) != Some(b'"') {
                return (Kind::Name, at);
            }
            at += 1;
        }
    }

    /// `$1`, `$$…$$`, `$tag$…$tag$`, or a lone dollar sign.
    fn dollar(&self, start: usize) -> (Kind, usize) {
        let tag = start + 1;
        if self.byte(tag).is_some_and(|byte| byte.is_ascii_digit()) {
            return (Kind::Parameter, self.run(tag, DIGIT));
        }
        let tag_end = self.run(tag, NUMBER);
        if self.byte(tag_end) != Some(b'$') {
            return (Kind::Symbol, tag);
        }
        let body = tag_end + 1;
        let delimiter = self.sql.get(start..body).unwrap_or_default();
        let rest = self.sql.get(body..).unwrap_or_default();
        let end =
            rest.find(delimiter).map_or(self.sql.len(), |length| body + length + delimiter.len());
        (Kind::Literal, end)
    }

    /// A number with whatever clings to it: `1e-5`, `0xff`, `1_000`, and `12abc`, which no server since
    /// 15 accepts.
    fn number(&self, start: usize) -> usize {
        let mut end = self.run(start, NUMBER);
        if self.byte(end) == Some(b'.') {
            end = self.run(end + 1, NUMBER);
        }
        let exponent = matches!(self.byte(end - 1), Some(b'e' | b'E'));
        let sign = matches!(self.byte(end), Some(b'+' | b'-'));
        if exponent && sign && self.byte(end + 1).is_some_and(|byte| byte.is_ascii_digit()) {
            end = self.run(end + 1, NUMBER);
        }
        end
    }
}

impl Iterator for Lexer<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        self.skip_blanks();
        let start = self.at;
        let (kind, end) = match self.byte(start)? {
            byte if is(byte, NAME_START) => self.word(start),
            b'(' => (Kind::Open, start + 1),
            b')' => (Kind::Close, start + 1),
            b',' => (Kind::Comma, start + 1),
            b';' => (Kind::Semicolon, start + 1),
            b'.' if self.byte(start + 1).is_some_and(|byte| byte.is_ascii_digit()) => {
                (Kind::Literal, self.number(start))
            }
            b'.' => (Kind::Dot, start + 1),
            b'0'..=b'9' => (Kind::Literal, self.number(start)),
            b'\'' => self.string(start + 1, false),
            b'"' => self.quoted_name(start + 1),
            b'$' => self.dollar(start),
            _ => (Kind::Symbol, start + 1),
        };
        self.at = end;
        self.after_dot = kind == Kind::Dot;
        Some(Token { kind, start, end })
    }
}

/// Whether the byte is white space to the server.
pub(super) fn is_space(byte: u8) -> bool {
    is(byte, SPACE)
}

/// Whether the byte goes on with a name or keyword that stands before it.
pub(super) fn is_in_name(byte: u8) -> bool {
    is(byte, NAME)
}

const SPACE: u8 = 1;
const DIGIT: u8 = 2;
const NAME_START: u8 = 4;
const DOLLAR: u8 = 8;
/// What may follow in a number, or in the tag of a dollar quote.
const NUMBER: u8 = NAME_START | DIGIT;
const NAME: u8 = NUMBER | DOLLAR;
/// A parenthesis or semicolon, or what may open something that such a byte may be part of.
const STOP: u8 = DOLLAR | 16;

/// The class of each byte. All bytes of a character beyond ASCII belong to names.
#[allow(
    clippy::indexing_slicing,
    reason = "computed by the compiler, which would refuse a bad index"
)]
static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0_u8;
    loop {
        classes[byte as usize] = match byte {
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => SPACE,
            b'0'..=b'9' => DIGIT,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => NAME_START,
            b'$' => DOLLAR,
            b'(' | b')' | b';' | b'"' | b'\'' | b'-' | b'/' => STOP & !DOLLAR,
            _ => 0,
        };
        if byte == u8::MAX {
            break classes;
        }
        byte += 1;
    }
};

fn is(byte: u8, class: u8) -> bool {
    CLASSES.get(usize::from(byte)).is_some_and(|of_byte| of_byte & class != 0)
}
