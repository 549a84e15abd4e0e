//! Reads the head of an `INSERT`: names, and values that are plain.
//!
//! Invariant: it reads no value of which the server could make anything but one value of its own.

use super::Text;
use crate::statement::lexer::{Kind, Token};

/// The tokens that have not been read yet. What does not find what it asks for reads nothing, unless it is a sequence.
pub(super) struct Rest<'t, 'sql> {
    text: &'t Text<'sql>,
    tokens: &'t [Token],
}

impl<'t, 'sql> Rest<'t, 'sql> {
    pub(super) fn of(text: &'t Text<'sql>) -> Self {
        Self { text, tokens: &text.tokens }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    fn next_if(&mut self, wanted: impl FnOnce(Token) -> bool) -> Option<Token> {
        let (&first, rest) = self.tokens.split_first()?;
        wanted(first).then(|| self.tokens = rest).map(|()| first)
    }

    pub(super) fn kind(&mut self, kind: Kind) -> Option<Token> {
        self.next_if(|token| token.kind == kind)
    }

    pub(super) fn keyword(&mut self, keyword: &str) -> Option<Token> {
        let text = self.text;
        self.next_if(|token| text.is(token, keyword))
    }

    fn symbol(&mut self, symbol: &str) -> Option<Token> {
        let text = self.text;
        self.next_if(|token| token.kind == Kind::Symbol && text.of(token) == symbol)
    }

    pub(super) fn name(&mut self) -> Option<()> {
        self.next_if(|token| matches!(token.kind, Kind::Word | Kind::Name)).map(drop)
    }

    pub(super) fn qualified_name(&mut self) -> Option<()> {
        self.name()?;
        while self.kind(Kind::Dot).is_some() {
            self.name()?;
        }
        Some(())
    }

    pub(super) fn list(&mut self, one: fn(&mut Self) -> Option<()>) -> Option<()> {
        one(self)?;
        while self.kind(Kind::Comma).is_some() {
            one(self)?;
        }
        Some(())
    }

    /// A parameter or a constant, or a cast of one: what can neither be a set of rows nor mean the default.
    pub(super) fn value(&mut self) -> Option<()> {
        if self.keyword("cast").is_some() {
            self.kind(Kind::Open)?;
            self.constant()?;
            self.casts()?;
            self.keyword("as")?;
            self.type_name()?;
            self.kind(Kind::Close)?;
        } else {
            self.constant()?;
        }
        self.casts()
    }

    fn constant(&mut self) -> Option<()> {
        let text = self.text;
        let is_constant = |token: Token| match token.kind {
            Kind::Parameter | Kind::Literal => true,
            _ => ["null", "true", "false"].iter().any(|word| text.is(token, word)),
        };
        self.next_if(is_constant).map(drop)
    }

    fn casts(&mut self) -> Option<()> {
        while let Some(colon) = self.symbol(":") {
            self.symbol(":").filter(|second| second.start == colon.end)?;
            self.type_name()?;
        }
        Some(())
    }

    /// `schema.name`, `varchar(20)`, `double precision`, `timestamp(3) with time zone`, `int[]`.
    fn type_name(&mut self) -> Option<()> {
        self.qualified_name()?;
        let _ = self.keyword("precision").or_else(|| self.keyword("varying"));
        if self.kind(Kind::Open).is_some() {
            self.list(Self::type_modifier)?;
            self.kind(Kind::Close)?;
        }
        if self.keyword("with").or_else(|| self.keyword("without")).is_some() {
            self.keyword("time")?;
            self.keyword("zone")?;
        }
        while self.symbol("[").is_some() {
            let _ = self.kind(Kind::Literal);
            self.symbol("]")?;
        }
        Some(())
    }

    fn type_modifier(&mut self) -> Option<()> {
        self.next_if(|token| matches!(token.kind, Kind::Literal | Kind::Word)).map(drop)
    }
}
