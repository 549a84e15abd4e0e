//! The key that hashes of masked values are made with.
//!
//! Invariant: the key leaves this type through [`MaskKey::as_bytes`] alone; `Debug` never shows it.

use std::fmt;
use std::path::Path;

use super::{ConfigError, secret_key};

/// What messages call it.
const OF: &str = "mask key";

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
    /// [`ConfigError::KeyTooShort`] when it has fewer than 16 bytes.
    pub fn new(key: impl Into<Vec<u8>>) -> Result<Self, ConfigError> {
        secret_key::check(key.into(), OF).map(Self)
    }

    /// The key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads a file that holds the key alone. The line break at its end is not part of it.
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        secret_key::read(path, OF).map(Self)
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
