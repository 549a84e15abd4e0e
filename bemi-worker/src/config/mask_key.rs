//! The key that hashes of masked values are made with.
//!
//! Invariant: the key leaves this type through [`MaskKey::as_bytes`] alone; `Debug` never shows it.

use std::fmt;
use std::path::Path;

use super::ConfigError;

/// Shorter, and whoever has the hashes can try keys.
const KEY_BYTES_MIN: usize = 16;

/// The secret key of masks by hash, of 16 bytes or more.
///
/// ```
/// use bemi_worker::config::MaskKey;
///
/// let key = MaskKey::new("3f1c0e5a9b7d42688c0f6a1d2e4b7c93")?;
/// assert!(!format!("{key:?}").contains("3f1c"));
/// assert!(MaskKey::new("short").is_err());
/// # Ok::<(), bemi_worker::config::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct MaskKey(Vec<u8>);

impl MaskKey {
    /// Takes a key, as it is.
    ///
    /// # Errors
    /// [`ConfigError::MaskKeyTooShort`] when it has fewer than 16 bytes.
    pub fn new(key: impl Into<Vec<u8>>) -> Result<Self, ConfigError> {
        let key = key.into();
        if key.len() < KEY_BYTES_MIN {
            return Err(ConfigError::MaskKeyTooShort {
                bytes: key.len(),
                bytes_min: KEY_BYTES_MIN,
            });
        }
        Ok(Self(key))
    }

    /// The key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads a file that holds the key alone. The line break at its end is not part of it.
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let mut key = std::fs::read(path)
            .map_err(|source| ConfigError::MaskKeyNotRead { path: path.to_owned(), source })?;
        if key.last() == Some(&b'\n') {
            key.pop();
            if key.last() == Some(&b'\r') {
                key.pop();
            }
        }
        Self::new(key)
    }
}

impl fmt::Debug for MaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MaskKey([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_does_not_show_and_a_short_one_neither() {
        let key = MaskKey::new("hunter2hunter2hunter2").unwrap();
        assert!(!format!("{key:?} {key:#?}").contains("hunter2"));
        let error = MaskKey::new("hunter2").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        assert!(MaskKey::new([0; 15]).is_err());
        assert!(MaskKey::new([0; 16]).is_ok());
    }
}
