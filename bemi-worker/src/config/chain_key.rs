//! The key that the links of the chain over what is stored are made with.
//!
//! Invariant: the key leaves this type through [`ChainKey::as_bytes`] alone; `Debug` never shows it.

use std::fmt;
use std::path::Path;

use super::{ConfigError, secret_key};

/// The secret key of tamper evidence, of 16 bytes or more. Who has it can make links; who can write to
/// the destination must not have it.
///
/// ```
/// use bemi_worker::config::ChainKey;
///
/// let key = ChainKey::new("3f1c0e5a9b7d42688c0f6a1d2e4b7c93")?;
/// assert!(!format!("{key:?}").contains("3f1c"));
/// assert!(ChainKey::new("short").is_err());
/// # Ok::<(), bemi_worker::config::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ChainKey(Vec<u8>);

/// What messages call it.
const OF: &str = "chain key";

impl ChainKey {
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

impl fmt::Debug for ChainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChainKey([redacted])")
    }
}
