//! What stands for the values of a masked column.
//!
//! Invariant: nothing of a value is left but, by a hash, whether it equals another one; NULL stays
//! NULL.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::json::{hex_digit, write_string};
use crate::config::MaskKey;

/// What a hash begins with, so that it says itself what it is.
const HASH_PREFIX: &[u8; 12] = b"hmac-sha256:";

/// The prefix, and two digits for each byte.
const HASH_BYTES: usize = HASH_PREFIX.len() + 2 * 32;

/// What there is to do about a column.
#[derive(Debug, Default)]
pub(crate) struct ColumnRule {
    /// Whether an UPDATE that changes nothing else is not stored.
    pub(crate) is_ignored: bool,
    pub(crate) mask: Option<ColumnMask>,
}

/// What stands for the values of a column.
#[derive(Clone, Debug)]
pub(crate) enum ColumnMask {
    /// Nothing: the column is left out.
    Drop,
    /// A text, ready as JSON.
    Text { json: Vec<u8> },
    /// The hash of each.
    Hash(Hasher),
}

impl ColumnMask {
    pub(crate) fn text(text: &str) -> Self {
        let mut json = Vec::with_capacity(text.len() + 2);
        write_string(&mut json, text.as_bytes());
        Self::Text { json }
    }

    /// Writes what stands for the value with this text, as JSON.
    pub(super) fn write_json(&self, out: &mut Vec<u8>, text: &[u8]) {
        match self {
            // Left out before it comes here.
            Self::Drop => out.extend_from_slice(b"null"),
            Self::Text { json } => out.extend_from_slice(json),
            Self::Hash(hasher) => {
                out.push(b'"');
                out.extend_from_slice(&hasher.hash(text));
                out.push(b'"');
            }
        }
    }
}

/// Hashes values with a key.
#[derive(Clone)]
pub(crate) struct Hasher(Hmac<Sha256>);

impl Hasher {
    pub(crate) fn new(key: &MaskKey) -> Self {
        #[allow(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let keyed = Hmac::new_from_slice(key.as_bytes()).expect("HMAC takes a key of any length");
        Self(keyed)
    }

    /// The hash of a text: letters, digits, `-` and `:`, which no JSON needs to escape.
    pub(super) fn hash(&self, text: &[u8]) -> [u8; HASH_BYTES] {
        let hash = self.0.clone().chain_update(text).finalize().into_bytes();
        let digits = hash.iter().flat_map(|byte| [hex_digit(byte >> 4), hex_digit(byte & 0xF)]);
        let mut written = [0; HASH_BYTES];
        for (place, byte) in written.iter_mut().zip(HASH_PREFIX.iter().copied().chain(digits)) {
            *place = byte;
        }
        written
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_that_of_rfc_4231() {
        let hasher = Hasher::new(&MaskKey::new([0x0b; 20]).unwrap());
        let mut out = Vec::new();
        ColumnMask::Hash(hasher).write_json(&mut out, b"Hi There");
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "\"hmac-sha256:b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7\""
        );
    }

    #[test]
    fn a_fixed_text_is_a_json_string() {
        let mut out = Vec::new();
        ColumnMask::text("a \"b\"\n").write_json(&mut out, b"secret");
        assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), "a \"b\"\n");
    }

    #[test]
    fn a_mask_does_not_show_its_key() {
        let key = MaskKey::new("hunter2hunter2hunter2").unwrap();
        let shown = format!("{:?}", ColumnMask::Hash(Hasher::new(&key)));
        assert_eq!(shown, "Hash(Hasher([redacted]))");
    }
}
