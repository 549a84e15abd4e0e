//! A secret that a client presents to be let in.
//!
//! Invariant: the token itself is not kept, only what recognises it; so nothing can show it.

use std::fmt;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::ConfigError;

/// Shorter, and it can be guessed.
const TOKEN_BYTES_MIN: usize = 16;

/// Longer, and a request that presents it has too large a head.
const TOKEN_BYTES_MAX: usize = 1024;

/// A bearer token: 16 to 1024 visible characters of ASCII.
#[derive(Clone)]
pub(crate) struct Token {
    /// The HMAC of [`RECOGNISED_BY`] under the token.
    tag: Vec<u8>,
}

/// What is signed by a token, to tell it from others in a time that says nothing about it.
const RECOGNISED_BY: &[u8] = b"bemi";

impl Token {
    /// Takes a token; `given_by` is the setting that it comes from, for messages.
    pub(crate) fn new(token: &str, given_by: &'static str) -> Result<Self, ConfigError> {
        let fits = (TOKEN_BYTES_MIN..=TOKEN_BYTES_MAX).contains(&token.len());
        if !fits || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ConfigError::HttpToken { given_by });
        }
        Ok(Self { tag: signed_by(token.as_bytes()).finalize().into_bytes().to_vec() })
    }

    /// Reads a file that holds the token alone. White space around it is not part of it.
    pub(super) fn read(path: &Path, given_by: &'static str) -> Result<Self, ConfigError> {
        let not_read = |source| ConfigError::HttpTokenNotRead { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(not_read)?;
        Self::new(text.trim(), given_by)
    }

    /// Whether this is the token. How long it takes does not depend on how much of it is right.
    pub(crate) fn is(&self, presented: &[u8]) -> bool {
        signed_by(presented).verify_slice(&self.tag).is_ok()
    }
}

fn signed_by(token: &[u8]) -> Hmac<Sha256> {
    #[allow(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let keyed = Hmac::new_from_slice(token).expect("HMAC takes a key of any length");
    keyed.chain_update(RECOGNISED_BY)
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "hunter2hunter2hunter2";

    #[test]
    fn a_token_knows_itself_and_nothing_else() {
        let token = Token::new(TOKEN, "test").unwrap();
        assert!(token.is(TOKEN.as_bytes()));
        for other in ["", "hunter2", "hunter2hunter2hunter", "hunter2hunter2hunter22"] {
            assert!(!token.is(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn what_can_be_guessed_or_cannot_be_sent_is_refused_without_being_shown() {
        let long = "x".repeat(TOKEN_BYTES_MAX + 1);
        for text in ["", "hunter2", "hunter2 hunter2 hunter2", "hunter2hunter2hünter2", &long] {
            let error = Token::new(text, "test").unwrap_err();
            assert!(!format!("{error} {error:?}").contains("unter"), "{error:?}");
        }
        assert!(!format!("{:?}", Token::new(TOKEN, "test").unwrap()).contains("unter"));
    }
}
