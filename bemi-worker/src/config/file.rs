//! The configuration file, in TOML.
//!
//! Invariant: an error never quotes a line of the file, nor a value that is secret: it could be a
//! password.

use std::path::{Path, PathBuf};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::ConfigError;
use super::http::Http;
use super::identity::IdentityRule;
use super::metrics::Metrics;
use super::{ByteSize, OnMaxRetainedWal, PartitionBy, Retention};

/// What the file may say.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfigFile {
    pub(super) slot: Option<String>,
    pub(super) publication: Option<String>,
    pub(super) changes_schema: Option<String>,
    #[serde(default, deserialize_with = "secret")]
    pub(super) mask_key: Option<String>,
    pub(super) mask_key_file: Option<PathBuf>,
    #[serde(default, deserialize_with = "secret")]
    pub(super) chain_key: Option<String>,
    pub(super) chain_key_file: Option<PathBuf>,
    pub(super) max_retained_wal: Option<ByteSize>,
    pub(super) on_max_retained_wal: Option<OnMaxRetainedWal>,
    pub(super) partition_by: Option<PartitionBy>,
    pub(super) retention: Option<Retention>,
    pub(super) tracking: Option<Tracking>,
    pub(super) source: Option<Connection>,
    pub(super) destination: Option<Connection>,
    pub(super) http: Option<Http>,
    #[serde(default)]
    pub(super) metrics: Metrics,
}

/// A database: a `url`, or its parts.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Connection {
    #[serde(default, deserialize_with = "secret")]
    pub(super) url: Option<String>,
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) database: Option<String>,
    pub(super) user: Option<String>,
    #[serde(default, deserialize_with = "secret")]
    pub(super) password: Option<String>,
    pub(super) password_file: Option<PathBuf>,
    pub(super) sslmode: Option<String>,
    pub(super) sslrootcert: Option<String>,
    pub(super) sslcert: Option<String>,
    pub(super) sslkey: Option<String>,
}

/// What to track and how, for setup: as its flags of the same names say it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tracking {
    pub(crate) all_tables: bool,
    pub(crate) tables: Vec<String>,
    pub(crate) exclude: Vec<String>,
    pub(crate) ignore: Vec<String>,
    pub(crate) mask: Vec<String>,
    pub(crate) replica_identity: Option<IdentityRule>,
    pub(crate) postgrest: Option<bool>,
    pub(crate) ddl: Option<bool>,
    pub(crate) tamper_evidence: Option<bool>,
    pub(crate) failover: Option<bool>,
    /// It is said at the top of the file.
    #[serde(skip)]
    pub(crate) partition_by: Option<PartitionBy>,
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

/// Reads a text without showing what else it is.
pub(super) fn secret<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    String::deserialize(value)
        .map(Some)
        .map_err(|_| D::Error::custom("it must be a text in quotes"))
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
    fn a_secret_of_another_type_is_not_quoted() {
        for text in ["mask_key = 4815162342", "\n[source]\npassword = 4815162342"] {
            let error = ConfigFile::parse(text, Path::new("bemi.toml")).err().unwrap().to_string();
            assert!(error.contains("in quotes") && !error.contains("4815162342"), "{error}");
        }
    }

    #[test]
    fn what_to_track_is_said_as_by_flags_and_a_misspelt_word_is_an_error() {
        let read = |text: &str| ConfigFile::parse(text, Path::new("bemi.toml"));
        let text = "[tracking]\nall_tables = true\nignore = [\"updated_at\"]\n\
                    mask = [\"users.email=hash\"]\nreplica_identity = \"full\"\npostgrest = true\n";
        let tracking = read(text).ok().unwrap().tracking.unwrap();
        assert!(tracking.all_tables && tracking.tables.is_empty());
        assert_eq!(tracking.mask, ["users.email=hash"]);
        assert_eq!(tracking.replica_identity, "full".parse().ok());
        for text in ["[tracking]\nmasks = []\n", "[tracking]\nreplica_identity = \"all\"\n"] {
            let error = read(text).err().unwrap().to_string();
            assert!(error.contains("line 2"), "{error}");
        }
    }

    #[test]
    fn a_broken_line_is_told_without_being_quoted() {
        let text = "[source]\npassword = \"hunter2\nuser = 1";
        let error = ConfigFile::parse(text, Path::new("bemi.toml")).err().unwrap().to_string();
        assert!(error.contains("line 2") && !error.contains("hunter2"), "{error}");
    }
}
