//! The tokens of one statement: where it ends, how deep in parentheses we are, which functions it calls.
//!
//! Invariant: after the end of the statement (its semicolon, or the end of the text) nothing more is read,
//! however often it is asked, until [`Tokens::next_statement`].

use super::functions::WriteFunctions;
use super::lexer::{Kind, Lexer, Token};
use super::name::Name;
use super::quick::{self, Look};

pub(super) struct Tokens<'sql, 'f> {
    lexer: Lexer<'sql>,
    functions: &'f WriteFunctions,
    calls: Calls<'sql>,
    depth: usize,
    /// Inside `BEGIN ATOMIC … END` semicolons end no statement.
    pub(super) blocks: usize,
    ended: bool,
    look: Look,
    may_hold_writing_body: Option<bool>,
    /// None until someone asks. Calls are watched unless there can be none.
    may_call: Option<bool>,
}

/// What was read of a possible call: `name (` or `schema.name (`.
#[derive(Default)]
struct Calls<'sql> {
    schema: Option<Name<'sql>>,
    name: Option<Name<'sql>>,
    found: bool,
}

/// The longest keyword that anyone asks for.
const KEYWORD_BYTES_MAX: usize = 16;

/// A word in lower case, to be matched against keywords; one that is too long for any keyword, and what is
/// no word, is empty.
pub(super) struct Keyword {
    bytes: [u8; KEYWORD_BYTES_MAX],
    length: usize,
}

impl Keyword {
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl<'sql, 'f> Tokens<'sql, 'f> {
    pub(super) fn new(sql: &'sql str, functions: &'f WriteFunctions) -> Self {
        Self {
            lexer: Lexer::new(sql),
            functions,
            calls: Calls::default(),
            depth: 0,
            blocks: 0,
            ended: false,
            look: Look::at(sql.as_bytes()),
            may_hold_writing_body: None,
            may_call: functions.is_empty().then_some(false),
        }
    }

    /// Whether the text may hold several statements.
    pub(super) fn may_hold_several(&self) -> bool {
        self.look.semicolon
    }

    /// Whether the word `INTO` may stand somewhere in the text.
    pub(super) fn may_hold_into(&self) -> bool {
        self.look.into
    }

    /// Whether, in a `WITH` somewhere in the text, a statement may stand that changes rows.
    pub(super) fn may_hold_writing_body(&mut self) -> bool {
        let sql = self.lexer.sql();
        *self.may_hold_writing_body.get_or_insert_with(|| quick::may_hold_writing_body(sql))
    }

    /// Whether a registered function may be called somewhere in the text.
    pub(super) fn may_call_write_function(&mut self) -> bool {
        let (sql, functions) = (self.lexer.sql(), self.functions);
        *self.may_call.get_or_insert_with(|| quick::may_call(sql, functions))
    }

    /// Goes on behind the semicolon that ended the statement; false at the end of the text.
    pub(super) fn next_statement(&mut self) -> bool {
        while self.skip_to_mark().is_some() {}
        let more = !self.lexer.rest().is_empty();
        self.calls = Calls::default();
        self.depth = 0;
        self.blocks = 0;
        self.ended = !more;
        more
    }

    /// Takes tokens until no more parentheses than `depth` are open.
    pub(super) fn skip_to_depth(&mut self, depth: usize) {
        if self.may_call_write_function() {
            while self.depth > depth && self.next().is_some() {}
        } else {
            while self.depth > depth && self.skip_to_mark().is_some() {}
        }
    }

    /// The next token that may end the statement or change the depth. Calls in front of it are not seen.
    fn skip_to_mark(&mut self) -> Option<Token> {
        if self.ended {
            return None;
        }
        let mark = self.lexer.next_mark();
        self.taken(mark)
    }

    /// The token, unless it ends the statement, with what it does to the depth done.
    fn taken(&mut self, token: Option<Token>) -> Option<Token> {
        match token.map(|token| token.kind) {
            None => self.ended = true,
            Some(Kind::Open) => self.depth += 1,
            Some(Kind::Close) => self.depth = self.depth.saturating_sub(1),
            Some(Kind::Semicolon) if self.depth == 0 && self.blocks == 0 => self.ended = true,
            Some(_) => {}
        }
        if self.ended { None } else { token }
    }

    /// How many parentheses are open.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    pub(super) fn text(&self, token: Token) -> &'sql str {
        self.lexer.text(token)
    }

    /// The next token, without taking it; the end of the statement is not looked at.
    pub(super) fn peek(&self) -> Option<Token> {
        if self.ended { None } else { self.lexer.clone().next() }
    }

    /// Whether the token is this keyword, which is given in lower case.
    #[inline]
    pub(super) fn is(&self, token: Token, keyword: &str) -> bool {
        token.kind == Kind::Word && self.text(token).eq_ignore_ascii_case(keyword)
    }

    #[inline]
    pub(super) fn keyword(&self, token: Token) -> Keyword {
        let mut keyword = Keyword { bytes: [0; KEYWORD_BYTES_MAX], length: 0 };
        let text = if token.kind == Kind::Word { self.text(token) } else { "" };
        if text.len() <= KEYWORD_BYTES_MAX {
            keyword.length = text.len();
            for (lower, byte) in keyword.bytes.iter_mut().zip(text.bytes()) {
                *lower = byte.to_ascii_lowercase();
            }
        }
        keyword
    }

    /// Where the next token is looked for.
    pub(super) fn offset(&self) -> usize {
        self.lexer.offset()
    }

    /// Whether a registered function was called so far in this statement.
    pub(super) fn calls_write_function(&self) -> bool {
        self.calls.found
    }

    fn watch_calls(&mut self, token: Token) {
        let calls = &mut self.calls;
        match token.kind {
            Kind::Word | Kind::Name => {
                if calls.name.is_some() {
                    calls.schema = None;
                }
                calls.name = Some(Name::new(self.lexer.text(token)));
            }
            Kind::Dot => calls.schema = calls.name.take(),
            Kind::Open => {
                if let Some(name) = calls.name.take() {
                    calls.found |= self.functions.contains(calls.schema.take(), name);
                }
                calls.schema = None;
            }
            _ => {
                calls.schema = None;
                calls.name = None;
            }
        }
    }
}

impl Iterator for Tokens<'_, '_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        if self.ended {
            return None;
        }
        let token = self.lexer.next();
        let token = self.taken(token)?;
        if self.may_call != Some(false) {
            self.watch_calls(token);
        }
        Some(token)
    }
}
