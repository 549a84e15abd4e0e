//! What the worker is told: which databases, and the names of what it owns in them.
//!
//! Everything is checked here once; what holds a [`Config`] need not look again.

mod chain_key;
mod connection;
mod file;
mod http;
pub(crate) mod identity;
pub(crate) mod mask;
mod mask_key;
mod metrics;
mod name;
mod partition_by;
pub(crate) mod pattern;
mod pgpass;
mod resolve;
mod retained;
mod retention;
mod run;
mod secret_file;
mod secret_key;
mod tls;
mod token;
mod visible;

use std::path::PathBuf;

pub use chain_key::ChainKey;
pub use connection::ConnectionConfig;
pub(crate) use file::Tracking;
pub(crate) use http::{Exposed, HttpConfig};
pub use mask_key::MaskKey;
pub(crate) use metrics::reached_at;
pub use name::{PublicationName, SlotName};
pub use partition_by::PartitionBy;
pub(crate) use resolve::{Given, Settings};
pub use retained::{ByteSize, OnMaxRetainedWal, RetainedWal};
pub use retention::Retention;
pub use run::{OnGap, RunOptions};
pub(crate) use tls::Verification;
pub use tls::{SslMode, TlsOptions};
pub(crate) use token::Token;
pub(crate) use visible::refuse_visible_passwords;

/// Which databases, and the names of what the worker owns in them.
///
/// ```
/// use bemi_worker::config::Config;
///
/// let config = Config::new("postgres://postgres@localhost/shop".parse()?);
/// assert_eq!(config.destination, config.source);
/// assert_eq!(config.slot.as_str(), "bemi");
/// # Ok::<(), bemi_worker::config::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// The database whose changes are tracked.
    pub source: ConnectionConfig,
    /// The database that holds `changes`.
    pub destination: ConnectionConfig,
    /// The replication slot in the source.
    pub slot: SlotName,
    /// The publications in the source.
    pub publication: PublicationName,
    /// The schema of `changes` in the destination.
    pub changes_schema: String,
    /// What hashes of masked values are made with. None will do where no rule asks for it.
    pub mask_key: Option<MaskKey>,
    /// What the links of the chain over what is stored are made with, if tamper evidence is on. None will
    /// do, but then whoever may write to the destination can make the chain anew.
    pub chain_key: Option<ChainKey>,
}

impl Config {
    /// Changes of `source`, stored in the same database, under the default names.
    #[must_use]
    pub fn new(source: ConnectionConfig) -> Self {
        Self {
            destination: source.clone(),
            source,
            slot: SlotName::default(),
            publication: PublicationName::default(),
            changes_schema: "public".to_owned(),
            mask_key: None,
            chain_key: None,
        }
    }
}

/// What is wrong with the configuration. Messages never hold a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No source database.
    #[error(
        "no database is given; set DATABASE_URL to postgres://user:password@host:5432/database, or set DB_HOST, DB_PORT, DB_NAME, DB_USER and DB_PASSWORD"
    )]
    NoSource,
    /// The URL cannot be read.
    #[error("the database URL cannot be read: {why}")]
    Url {
        /// What is wrong with it.
        why: String,
    },
    /// Part of a connection is missing.
    #[error("no {what} is given by {given_by}; add it")]
    Missing {
        /// Which part.
        what: &'static str,
        /// The setting that lacks it.
        given_by: &'static str,
    },
    /// More than one host.
    #[error(
        "the database URL names several hosts; a slot lives on one server, so give the host of the primary alone"
    )]
    SeveralHosts,
    /// The password is not text.
    #[error("the password is not UTF-8 when decoded; check how it is percent-encoded")]
    PasswordNotText,
    /// Not a port.
    #[error("'{0}' is not a port; give a number from 1 to 65535")]
    Port(String),
    /// A table of the file has both a URL and parts.
    #[error("{table} has both a url and parts of one; keep either")]
    UrlAndParts {
        /// Which table.
        table: &'static str,
    },
    /// An option that does not exist.
    #[error("there is no option '{0}'")]
    UnknownOption(String),
    /// Not an `sslmode`.
    #[error(
        "'{0}' is not an sslmode; it is one of disable, allow, prefer, require, verify-ca, verify-full"
    )]
    SslMode(String),
    /// A certificate without its key, or the other way round.
    #[error("sslcert and sslkey go together, and only one is given; give both or neither")]
    HalfAClientCertificate,
    /// Not the name of a slot.
    #[error(
        "'{0}' cannot be the name of a replication slot; use 1 to 63 lower-case letters, digits and underscores"
    )]
    SlotName(String),
    /// Not a name for the publications.
    #[error(
        "'{0}' cannot be the name of the publication; use 1 to 51 lower-case letters, digits and underscores, no digit first"
    )]
    PublicationName(String),
    /// Not a schema for `changes`.
    #[error("'{0}' cannot be the schema of changes; use a name that does not start with pg_")]
    ChangesSchema(String),
    /// A secret key is too easy to guess.
    #[error(
        "the {of} has {bytes} bytes, and must have {bytes_min} or more; make one with `openssl rand -hex 32`"
    )]
    KeyTooShort {
        /// Which key.
        of: &'static str,
        /// How many it has.
        bytes: usize,
        /// How many it must have.
        bytes_min: usize,
    },
    /// The file with a secret key cannot be read.
    #[error("cannot read the {of} from {}: {source}", path.display())]
    KeyNotRead {
        /// Which key.
        of: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The config file has a secret key twice.
    #[error("the config file has both a {setting} and a {setting}_file; keep either")]
    TwoKeys {
        /// The setting.
        setting: &'static str,
    },
    /// A file with a password or a URL cannot be read.
    #[error("cannot read the secret in {}: {source}", path.display())]
    SecretNotRead {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// What is in it is no password or URL.
    #[error("{} must hold the secret alone, in one line, and does not", path.display())]
    NotASecret {
        /// Which file.
        path: PathBuf,
    },
    /// The config file says a password twice.
    #[error("{table} has both a password and a password_file; keep either")]
    TwoPasswords {
        /// Which table of the file.
        table: &'static str,
    },
    /// A password that everybody on the machine can see.
    #[error(
        "the URL of {flag} has a password, and every user of this machine sees flags; give the URL by {instead}, or the password by a password file"
    )]
    PasswordInFlag {
        /// Which flag.
        flag: &'static str,
        /// The environment variable to use.
        instead: &'static str,
    },
    /// The file cannot be read.
    #[error("cannot read the config file {}: {source}", path.display())]
    FileNotRead {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file says something that it cannot say.
    #[error("config file {}, line {line}: {why}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong there.
        why: String,
    },
    /// Not a size.
    #[error("'{0}' is not a size; write a whole number and a unit, such as 512MB or 50GB")]
    Size(String),
    /// Not what to do when the slot holds too much WAL.
    #[error("'{0}' is not what to do when the slot holds too much WAL; it is keep or give-up")]
    OnMaxRetainedWal(String),
    /// The slot is to be given up, and nobody has said when.
    #[error(
        "the slot is to be given up when it holds too much WAL, and how much that is was not said; add --max-retained-wal, such as 50GB, or leave --on-max-retained-wal out"
    )]
    GiveUpWithoutLimit,
    /// Not how long partitions are.
    #[error("'{0}' is not how long a partition is; it is day, week or month")]
    PartitionBy(String),
    /// Not for how long changes are kept.
    #[error("'{0}' is not for how long changes are kept; write days or weeks, such as 90d or 12w")]
    Retention(String),
    /// `run` was told what to track, but not to set it up.
    #[error("what to track is for setup to know; add --setup, or leave those options out")]
    OnlyWithSetup,
    /// Not what to do about replica identities.
    #[error(
        "'{text}' does not say what to do about replica identities; write keep, full, or full:PATTERNS"
    )]
    ReplicaIdentity {
        /// As it was given.
        text: String,
    },
    /// Not a mask.
    #[error(
        "'{text}' says no mask of columns; write PATTERNS=drop, PATTERNS=hash or PATTERNS=text:…"
    )]
    Mask {
        /// As it was given.
        text: String,
    },
    /// A rule for columns in the source that this version cannot read.
    #[error(
        "bemi.column_rules in the source has a rule for {pattern} that this version does not know; run the version that made it, or delete that row and run `bemi-worker setup`"
    )]
    UnknownRule {
        /// Of which columns.
        pattern: String,
    },
    /// The same columns are given two masks at once.
    #[error("the columns {pattern} are given two masks, {one} and {other}; keep one of them")]
    TwoMasks {
        /// Which columns.
        pattern: String,
        /// As it was given first.
        one: String,
        /// As it was given then.
        other: String,
    },
    /// Not a token that could be presented over HTTP, or one that could be guessed.
    #[error(
        "the token in {given_by} cannot be used; give 16 to 1024 visible characters of ASCII, such as `openssl rand -hex 32` makes"
    )]
    HttpToken {
        /// The setting that it comes from.
        given_by: &'static str,
    },
    /// The file with a token cannot be read.
    #[error("cannot read the token from {}: {source}", path.display())]
    HttpTokenNotRead {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The config file has a token twice.
    #[error("the config file has both {settings}; keep either", settings = settings.replace(" or ", " and "))]
    TwoHttpTokens {
        /// The two settings.
        settings: &'static str,
    },
    /// The record would be there for everybody.
    #[error(
        "other machines can reach {0}, and no token is given; set BEMI_HTTP_TOKEN, or listen on 127.0.0.1"
    )]
    HttpWithoutToken(std::net::SocketAddr),
    /// Not an address to serve at.
    #[error("'{0}' is not an address to listen at; one looks like 127.0.0.1:8080")]
    HttpAddress(String),
    /// No address to serve at.
    #[error("no address to listen at is given; say --http 127.0.0.1:8080, or set BEMI_HTTP")]
    NoHttpAddress,
    /// Not an address to say at how the worker does.
    #[error("'{0}' is no address for metrics; give a port, such as 9187, or one like 0.0.0.0:9187")]
    MetricsAddress(String),
    /// Nobody says at which address the worker says how it does.
    #[error(
        "no address of a worker is given; say where `run --metrics` answers, such as `bemi-worker health 9187`, or set BEMI_METRICS"
    )]
    NoMetricsAddress,
    /// A table cannot be exposed as the config file says.
    #[error("[[http.expose]] of the config file, table '{table}': {why}")]
    HttpExpose {
        /// As it was given.
        table: String,
        /// What is wrong.
        why: &'static str,
    },
    /// Patterns that cannot be.
    #[error("'{pattern}' is not a pattern of {of}: {why}")]
    Pattern {
        /// As it was given.
        pattern: String,
        /// Of what: `tables`, `tables or columns`.
        of: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
}
