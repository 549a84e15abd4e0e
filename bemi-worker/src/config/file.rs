//! The configuration file, in TOML.
//!
//! Invariant: an error never quotes a line of the file, which could be one that holds a password.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::ConfigError;

/// What the file may say.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfigFile {
    pub(super) slot: Option<String>,
    pub(super) publication: Option<String>,
    pub(super) changes_schema: Option<String>,
    pub(super) source: Option<Connection>,
    pub(super) destination: Option<Connection>,
}

/// A database: a `url`, or its parts.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Connection {
    pub(super) url: Option<String>,
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) database: Option<String>,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) sslmode: Option<String>,
    pub(super) sslrootcert: Option<String>,
    pub(super) sslcert: Option<String>,
    pub(super) sslkey: Option<String>,
}

impl ConfigFile {
    pub(super) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::FileNotRead { path: path.to_owned(), source })?;
        Self::parse(&text, path)
    }

    pub(super) fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let line = text.bytes().take(start).filter(|byte| *byte == b'\n').count() + 1;
            let path = PathBuf::from(path);
            ConfigError::File { path, line, why: error.message().to_owned() }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_setting_is_named_with_its_line_and_the_secret_is_not() {
        let text = "slot = \"bemi\"\n\n[source]\npasword = \"hunter2\"\n";
        let error = ConfigFile::parse(text, Path::new("bemi.toml")).err().unwrap().to_string();
        assert!(error.contains("bemi.toml") && error.contains("line 4"), "{error}");
        assert!(error.contains("pasword") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_broken_line_is_told_without_being_quoted() {
        let text = "[source]\npassword = \"hunter2\nuser = 1";
        let error = ConfigFile::parse(text, Path::new("bemi.toml")).err().unwrap().to_string();
        assert!(error.contains("line 2") && !error.contains("hunter2"), "{error}");
    }
}
