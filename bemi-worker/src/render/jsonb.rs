//! Whether `jsonb` accepts a JSON text.
//!
//! A `json` column, and a stranger's message, may hold what `jsonb` refuses: `\u0000`, lone
//! surrogates, numbers beyond `numeric`. One such value must not fail the batch that it is in.

/// How deep `jsonb` values may nest here. PostgreSQL's own limit is its stack
/// (`max_stack_depth`), thousands deep; no record of a row is.
const DEPTH_MAX: usize = 1000;

/// The largest power of ten of a `numeric`'s first digit: 32,767 groups of four digits, and three.
const NUMERIC_EXPONENT_MAX: i64 = 131_071;

/// The most digits after a `numeric`'s decimal point.
const NUMERIC_SCALE_MAX: i64 = 16_383;

/// PostgreSQL refuses an exponent of this size, even that of a zero (`INT_MAX / 2`).
const EXPONENT_LIMIT: i64 = 1_073_741_823;

/// Why `jsonb` would refuse the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("it is empty")]
    Empty,
    #[error("it is not JSON")]
    NotJson,
    #[error("it is not UTF-8")]
    NotUtf8,
    #[error("it holds the character \\u0000, which jsonb cannot hold")]
    Nul,
    #[error("it holds half of a surrogate pair, which jsonb cannot hold")]
    LoneSurrogate,
    #[error("it holds a number beyond the range of numeric")]
    NumberRange,
    #[error("it nests more than {DEPTH_MAX} deep")]
    Depth,
}

/// Checks a whole text in one pass, without recursion and without allocation but for the nesting.
///
/// # Errors
///
/// The first [`Refusal`] that is met.
pub(crate) fn check(text: &[u8]) -> Result<(), Refusal> {
    if std::str::from_utf8(text).is_err() {
        return Err(Refusal::NotUtf8);
    }
    let mut check = Check { rest: text };
    check.skip_space();
    if check.rest.is_empty() {
        return Err(Refusal::Empty);
    }
    check.document()
}

/// The same of a text that is to be a number, without white space around it.
///
/// # Errors
///
/// The first [`Refusal`] that is met.
pub(super) fn check_number(text: &[u8]) -> Result<(), Refusal> {
    let mut check = Check { rest: text };
    check.number()?;
    if check.rest.is_empty() { Ok(()) } else { Err(Refusal::NotJson) }
}

struct Check<'a> {
    rest: &'a [u8],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Array,
    Object,
}

impl Check<'_> {
    fn document(&mut self) -> Result<(), Refusal> {
        let mut open: Vec<Container> = Vec::new();
        loop {
            // A value starts here.
            let opened = match self.peek() {
                Some(b'[') => Some(Container::Array),
                Some(b'{') => Some(Container::Object),
                _ => None,
            };
            match opened {
                Some(container) => {
                    self.advance(1);
                    self.skip_space();
                    let close = if container == Container::Array { b']' } else { b'}' };
                    if self.peek() == Some(close) {
                        self.advance(1);
                    } else {
                        if open.len() == DEPTH_MAX {
                            return Err(Refusal::Depth);
                        }
                        open.push(container);
                        if container == Container::Object {
                            self.key()?;
                        }
                        continue;
                    }
                }
                None => self.scalar()?,
            }
            // A value ended here.
            loop {
                self.skip_space();
                let Some(container) = open.last() else {
                    return if self.rest.is_empty() { Ok(()) } else { Err(Refusal::NotJson) };
                };
                match (self.peek(), container) {
                    (Some(b','), _) => {
                        self.advance(1);
                        self.skip_space();
                        if *container == Container::Object {
                            self.key()?;
                        }
                        break;
                    }
                    (Some(b']'), Container::Array) | (Some(b'}'), Container::Object) => {
                        self.advance(1);
                        open.pop();
                    }
                    _ => return Err(Refusal::NotJson),
                }
            }
        }
    }

    fn key(&mut self) -> Result<(), Refusal> {
        self.string()?;
        self.skip_space();
        self.literal(b":")?;
        self.skip_space();
        Ok(())
    }

    fn scalar(&mut self) -> Result<(), Refusal> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => Err(Refusal::NotJson),
        }
    }

    fn string(&mut self) -> Result<(), Refusal> {
        self.literal(b"\"")?;
        loop {
            let special = self.rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20));
            self.advance(special.ok_or(Refusal::NotJson)?);
            match self.rest {
                [b'"', ..] => {
                    self.advance(1);
                    return Ok(());
                }
                [b'\\', b'u', ..] => self.unicode_escape()?,
                [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => {
                    self.advance(2);
                }
                _ => return Err(Refusal::NotJson),
            }
        }
    }

    fn unicode_escape(&mut self) -> Result<(), Refusal> {
        match self.code_unit()? {
            0 => Err(Refusal::Nul),
            0xD800..0xDC00 => {
                let paired =
                    self.rest.starts_with(b"\\u") && matches!(self.code_unit()?, 0xDC00..0xE000);
                if paired { Ok(()) } else { Err(Refusal::LoneSurrogate) }
            }
            0xDC00..0xE000 => Err(Refusal::LoneSurrogate),
            _ => Ok(()),
        }
    }

    /// `\uXXXX`.
    fn code_unit(&mut self) -> Result<u32, Refusal> {
        let digits = self.rest.get(2..6).ok_or(Refusal::NotJson)?;
        let unit = digits.iter().try_fold(0, |unit, digit| {
            char::from(*digit).to_digit(16).map(|digit| unit * 16 + digit)
        });
        self.advance(6);
        unit.ok_or(Refusal::NotJson)
    }

    fn number(&mut self) -> Result<(), Refusal> {
        if self.peek() == Some(b'-') {
            self.advance(1);
        }
        let leads_with_zero = self.peek() == Some(b'0');
        let integer = self.digits()?;
        if leads_with_zero && integer.count > 1 {
            return Err(Refusal::NotJson);
        }
        let mut fraction = Digits { count: 0, first_significant: None };
        if self.peek() == Some(b'.') {
            self.advance(1);
            fraction = self.digits()?;
        }
        let mut exponent = 0;
        if let Some(b'e' | b'E') = self.peek() {
            self.advance(1);
            exponent = self.exponent()?;
        }

        // The power of ten of the first digit that counts; a zero has none.
        let leading = match (integer.first_significant, fraction.first_significant) {
            (Some(at), _) => Some(integer.count - 1 - at + exponent),
            (None, Some(at)) => Some(exponent - 1 - at),
            (None, None) => None,
        };
        let scale = fraction.count - exponent;
        let too_large = leading.is_some_and(|power| power > NUMERIC_EXPONENT_MAX);
        if too_large || scale > NUMERIC_SCALE_MAX || exponent >= EXPONENT_LIMIT {
            return Err(Refusal::NumberRange);
        }
        Ok(())
    }

    fn exponent(&mut self) -> Result<i64, Refusal> {
        let sign = if self.peek() == Some(b'-') { -1 } else { 1 };
        if let Some(b'-' | b'+') = self.peek() {
            self.advance(1);
        }
        let start = self.rest;
        let count = usize::try_from(self.digits()?.count).unwrap_or(0);
        let digits = start.get(..count).unwrap_or_default();
        let value = digits
            .iter()
            .fold(0_i64, |value, digit| (value * 10 + i64::from(digit - b'0')).min(EXPONENT_LIMIT));
        Ok(sign * value)
    }

    /// One digit at least.
    fn digits(&mut self) -> Result<Digits, Refusal> {
        let count = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return Err(Refusal::NotJson);
        }
        let (digits, rest) = self.rest.split_at(count);
        self.rest = rest;
        let position = |at: usize| i64::try_from(at).unwrap_or(i64::MAX);
        Ok(Digits {
            count: position(count),
            first_significant: digits.iter().position(|digit| *digit != b'0').map(position),
        })
    }

    fn literal(&mut self, literal: &[u8]) -> Result<(), Refusal> {
        self.rest = self.rest.strip_prefix(literal).ok_or(Refusal::NotJson)?;
        Ok(())
    }

    fn skip_space(&mut self) {
        let space =
            self.rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
        self.advance(space.count());
    }

    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn advance(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }
}

/// A run of digits.
struct Digits {
    count: i64,
    /// Where the first digit that is not 0 stands.
    first_significant: Option<i64>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_jsonb_holds_is_accepted() {
        for text in [
            "{}",
            "[]",
            " [1, -2.5e-3 , \"a\\u00e9\\\"\", {\"a\" : [ ] , \"b\": null}] ",
            "\"\\ud83d\\ude00\"",
            "\"\\\\u0000\"",
            "0",
            "-0",
            "1e131071",
            "0.1e131072",
            "1e-16383",
            "0.00e5",
            "true",
        ] {
            assert_eq!(check(text.as_bytes()), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_jsonb_refuses_is_refused_with_its_reason() {
        for (text, refusal) in [
            ("", Refusal::Empty),
            ("  ", Refusal::Empty),
            ("{", Refusal::NotJson),
            ("[1,]", Refusal::NotJson),
            ("{\"a\":1,}", Refusal::NotJson),
            ("[}", Refusal::NotJson),
            ("{]", Refusal::NotJson),
            ("{a:1}", Refusal::NotJson),
            ("1 2", Refusal::NotJson),
            ("1.", Refusal::NotJson),
            ("01", Refusal::NotJson),
            ("-", Refusal::NotJson),
            ("1e", Refusal::NotJson),
            ("nul", Refusal::NotJson),
            ("\"\n\"", Refusal::NotJson),
            ("\"\\x\"", Refusal::NotJson),
            ("\"\\u00\"", Refusal::NotJson),
            ("\"a", Refusal::NotJson),
            ("\"\\u0000\"", Refusal::Nul),
            ("{\"\\u0000\":1}", Refusal::Nul),
            ("\"\\ud83d\"", Refusal::LoneSurrogate),
            ("\"\\ude00\"", Refusal::LoneSurrogate),
            ("\"\\ud83d\\u0041\"", Refusal::LoneSurrogate),
            ("1e131072", Refusal::NumberRange),
            ("1e400000", Refusal::NumberRange),
            ("1e99999999999999999999", Refusal::NumberRange),
            ("1e-16384", Refusal::NumberRange),
            ("[0e-16384]", Refusal::NumberRange),
        ] {
            assert_eq!(check(text.as_bytes()), Err(refusal), "{text}");
        }
        assert_eq!(check(b"\"\xFF\""), Err(Refusal::NotUtf8));
        assert_eq!(check("[".repeat(2000).as_bytes()), Err(Refusal::Depth));
    }

    proptest! {
        #[test]
        fn it_agrees_with_another_parser(text in "[\\[\\]{}\",:0-9eE.+\\-tfnrual\\\\ ]{0,24}") {
            // serde_json refuses a lone surrogate or overflow only where it reads values.
            let theirs = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            match check(text.as_bytes()) {
                Ok(()) => prop_assert!(theirs || text.contains(['e', 'E']), "{}", text),
                Err(Refusal::NotJson | Refusal::Empty) => prop_assert!(!theirs, "{}", text),
                Err(_) => {}
            }
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = check(&bytes);
        }
    }
}
