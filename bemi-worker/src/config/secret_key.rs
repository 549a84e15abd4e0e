//! What every secret key of the configuration is: bytes that nobody guesses, given as they are or in a
//! file of their own.
//!
//! Invariant: no error quotes a key.

use std::path::Path;

use super::ConfigError;

/// Shorter, and whoever has what was made with the key can try keys.
const KEY_BYTES_MIN: usize = 16;

/// Takes a key, as it is; `of` names it in messages, as `mask key`.
pub(super) fn check(key: Vec<u8>, of: &'static str) -> Result<Vec<u8>, ConfigError> {
    if key.len() < KEY_BYTES_MIN {
        return Err(ConfigError::KeyTooShort { of, bytes: key.len(), bytes_min: KEY_BYTES_MIN });
    }
    Ok(key)
}

/// Reads a file that holds the key alone. The line break at its end is not part of it.
pub(super) fn read(path: &Path, of: &'static str) -> Result<Vec<u8>, ConfigError> {
    let mut key = std::fs::read(path).map_err(|source| ConfigError::KeyNotRead {
        of,
        path: path.to_owned(),
        source,
    })?;
    if key.last() == Some(&b'\n') {
        key.pop();
        if key.last() == Some(&b'\r') {
            key.pop();
        }
    }
    check(key, of)
}
