//! Where a database is and how to log in.
//!
//! Invariant: the password leaves this type through [`ConnectionConfig::password`] alone; `Debug`
//! and `Display` never show it, and neither do errors.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio_postgres::config::{ChannelBinding, Host};

use super::{ConfigError, TlsOptions};

/// How long to wait for a server that does not answer, where `connect_timeout` does not say.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// When to ask a silent peer whether it is there, and how often: a vanished server is noticed in
/// about a minute, where the system's default is two hours.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(60);

/// The driver's default, which means that the URL does not say.
const DRIVER_KEEPALIVE_IDLE: Duration = Duration::from_secs(2 * 60 * 60);

const PORT: u16 = 5432;

/// A database, who connects to it, and how.
///
/// ```
/// use bemi_worker::config::ConnectionConfig;
///
/// let config: ConnectionConfig = "postgres://app:s%3Acret@db.example/shop?sslmode=require".parse()?;
/// assert_eq!(config.to_string(), "app@db.example:5432/shop");
/// assert_eq!(config.password(), Some("s:cret"));
/// assert!(!format!("{config:?}").contains("cret"));
/// # Ok::<(), bemi_worker::config::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectionConfig {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) user: String,
    pub(super) password: Option<String>,
    pub(super) database: String,
    pub(super) tls: TlsOptions,
    /// Everything else that the URL says: timeouts, startup options.
    pub(super) driver: tokio_postgres::Config,
    /// Which setting it came from, for messages: `DATABASE_URL`.
    pub(super) given_by: &'static str,
}

impl ConnectionConfig {
    /// The host's name or address, or the folder of the server's socket, which starts with `/`.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, also of a socket.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The role that logs in.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Its password.
    #[must_use]
    pub fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.database
    }

    /// How the connection is encrypted.
    #[must_use]
    pub fn tls(&self) -> &TlsOptions {
        &self.tls
    }

    /// How long to wait for a server that does not answer.
    #[must_use]
    pub fn connect_timeout(&self) -> Duration {
        self.driver.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT)
    }

    /// Options for the server's session, as `-c name=value`.
    #[must_use]
    pub fn options(&self) -> Option<&str> {
        self.driver.get_options()
    }

    /// Whether nobody may be logged in to who is not at the other end of this very connection:
    /// `channel_binding=require`.
    #[must_use]
    pub fn requires_channel_binding(&self) -> bool {
        self.driver.get_channel_binding() == ChannelBinding::Require
    }

    /// Whether it goes through a socket in the file system.
    #[must_use]
    pub fn is_unix_socket(&self) -> bool {
        self.host.starts_with('/')
    }

    /// The setting that it came from, to name in messages.
    pub(crate) fn given_by(&self) -> &'static str {
        self.given_by
    }

    /// For the driver: everything but TLS, which the mode alone stands for.
    pub(crate) fn driver_config(&self) -> tokio_postgres::Config {
        let mut config = self.driver.clone();
        config.user(&self.user).dbname(&self.database);
        if let Some(password) = &self.password {
            config.password(password);
        }
        config.connect_timeout(self.connect_timeout());
        if config.get_keepalives_idle() == DRIVER_KEEPALIVE_IDLE {
            config.keepalives_idle(KEEPALIVE_IDLE);
            config.keepalives_interval(KEEPALIVE_INTERVAL);
            config.keepalives_retries(KEEPALIVE_RETRIES);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(UNACKNOWLEDGED_MAX);
        }
        config
    }

    /// Reads a URL; `user` is who logs in where it does not say.
    pub(super) fn from_url(
        url: &str,
        user: Option<&str>,
        given_by: &'static str,
    ) -> Result<Self, ConfigError> {
        let (url, tls) = take_tls_options(url)?;
        let driver: tokio_postgres::Config =
            url.parse().map_err(|error: tokio_postgres::Error| {
                let source = std::error::Error::source(&error);
                ConfigError::Url {
                    why: source.map_or_else(|| error.to_string(), ToString::to_string),
                }
            })?;
        let host = match (driver.get_hosts(), driver.get_hostaddrs()) {
            ([host], []) => match host {
                Host::Tcp(name) => name.clone(),
                Host::Unix(folder) => folder.to_string_lossy().into_owned(),
            },
            ([], []) => return Err(ConfigError::Missing { what: "host", given_by }),
            _ => return Err(ConfigError::SeveralHosts),
        };
        // The host would go into messages, and the rest of a password with it.
        if host.contains('@') {
            return Err(ConfigError::Url {
                why: "the host contains @; write an @ of the password as %40".to_owned(),
            });
        }
        let user = driver.get_user().or(user);
        let user = user.ok_or(ConfigError::Missing { what: "user", given_by })?.to_owned();
        let database =
            driver.get_dbname().ok_or(ConfigError::Missing { what: "database", given_by })?;
        let password = driver
            .get_password()
            .map(|bytes| String::from_utf8(bytes.to_vec()))
            .transpose()
            .map_err(|_| ConfigError::PasswordNotText)?;
        let port = driver.get_ports().first().copied().unwrap_or(PORT);
        let database = database.to_owned();
        Ok(Self { host, port, user, password, database, tls, driver, given_by })
    }

    /// From the parts that the URL would have.
    pub(super) fn from_parts(
        parts: Parts<'_>,
        given_by: &'static str,
    ) -> Result<Self, ConfigError> {
        let missing = |what| ConfigError::Missing { what, given_by };
        let host = parts.host.unwrap_or("localhost").to_owned();
        let port = match parts.port {
            Some(port) => port.parse().map_err(|_| ConfigError::Port(port.to_owned()))?,
            None => PORT,
        };
        let user = parts.user.ok_or(missing("user"))?.to_owned();
        let database = parts.database.ok_or(missing("database"))?.to_owned();
        let mut driver = tokio_postgres::Config::new();
        driver.host(&host).port(port);
        let password = parts.password.map(ToOwned::to_owned);
        let tls = TlsOptions::default();
        Ok(Self { host, port, user, password, database, tls, driver, given_by })
    }
}

/// The parts of a connection where they are given one by one.
pub(super) struct Parts<'a> {
    pub(super) host: Option<&'a str>,
    pub(super) port: Option<&'a str>,
    pub(super) database: Option<&'a str>,
    pub(super) user: Option<&'a str>,
    pub(super) password: Option<&'a str>,
}

impl FromStr for ConnectionConfig {
    type Err = ConfigError;

    /// Reads a URL, `postgres://user:password@host:port/database?sslmode=require`.
    fn from_str(url: &str) -> Result<Self, ConfigError> {
        let config = Self::from_url(url, None, "the database URL")?;
        config.tls.check()?;
        Ok(config)
    }
}

impl fmt::Display for ConnectionConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, host, port, database, .. } = self;
        write!(f, "{user}@{host}:{port}/{database}")
    }
}

impl fmt::Debug for ConnectionConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionConfig")
            .field("address", &format_args!("{self}"))
            .field("password", &self.password.as_ref().map(|_| format_args!("[redacted]")))
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

/// Takes the options out of the URL that the driver does not know, or knows only in part.
fn take_tls_options(url: &str) -> Result<(String, TlsOptions), ConfigError> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(ConfigError::Url {
            why: "it must look like postgres://user:password@host:5432/database".to_owned(),
        });
    }
    let mut tls = TlsOptions::default();
    let Some((address, query)) = url.split_once('?') else { return Ok((url.to_owned(), tls)) };
    let mut others = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some((option @ ("sslmode" | "sslrootcert" | "sslcert" | "sslkey"), value)) => {
                let value = percent_decode_str(value).decode_utf8().map_err(|_| {
                    ConfigError::Url { why: format!("{option} is not UTF-8 when decoded") }
                })?;
                tls.set(option, &value)?;
            }
            _ => others.push(pair),
        }
    }
    if others.is_empty() {
        Ok((address.to_owned(), tls))
    } else {
        Ok((format!("{address}?{}", others.join("&")), tls))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SslMode;

    fn read(url: &str) -> ConnectionConfig {
        url.parse().unwrap()
    }

    #[test]
    fn a_url_says_everything() {
        let config = read(
            "postgresql://us%40er:p%40ss%3A%2F%3F%23@db.example:6543/my%20db?connect_timeout=3&sslmode=verify-full&sslrootcert=%2Fetc%2Fca%20s.pem&options=-c%20lock_timeout%3D1s",
        );
        assert_eq!(config.user(), "us@er");
        assert_eq!(config.password(), Some("p@ss:/?#"));
        assert_eq!((config.host(), config.port()), ("db.example", 6543));
        assert_eq!(config.database(), "my db");
        assert_eq!(config.connect_timeout(), Duration::from_secs(3));
        assert_eq!(config.tls().mode, SslMode::VerifyFull);
        assert_eq!(config.tls().root_certificate.as_deref(), Some("/etc/ca s.pem".as_ref()));
        assert_eq!(config.options(), Some("-c lock_timeout=1s"));
    }

    #[test]
    fn a_socket_is_a_folder() {
        for url in [
            "postgres://me@/db?host=/var/run/postgresql",
            "postgres://me@%2Fvar%2Frun%2Fpostgresql/db",
        ] {
            let config = read(url);
            assert!(config.is_unix_socket(), "{url}");
            assert_eq!(config.host(), "/var/run/postgresql");
            assert_eq!(config.port(), 5432);
        }
    }

    #[test]
    fn an_address_of_ipv6_stands_in_brackets() {
        assert_eq!(read("postgres://me@[::1]:5433/db").host(), "::1");
    }

    #[test]
    fn what_cannot_work_is_refused_without_a_word_of_the_password() {
        for url in [
            "postgres://me:hunter2@a,b/db",
            "postgres://me:hunter2@/db",
            "postgres://me:hunter2@host",
            "postgres://:hunter2@host:x/db",
            "postgres://me:x@hunter2@host/db",
            "mysql://me:hunter2@host/db",
            "host=localhost password=hunter2",
            "postgres://me:hunter2@host/db?sslmode=full",
            "postgres://me:hunter2@host/db?sslcert=/c.pem",
            "postgres://me:hunter2@host/db?pgbouncer=true",
        ] {
            let error = url.parse::<ConnectionConfig>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn an_unknown_option_is_named() {
        let error = "postgres://me@host/db?schema=public".parse::<ConnectionConfig>().unwrap_err();
        assert!(error.to_string().contains("schema"), "{error}");
    }

    #[test]
    fn the_password_does_not_show() {
        let config = read("postgres://me:hunter2@host/db");
        assert!(!format!("{config} {config:?} {config:#?}").contains("hunter2"));
        assert!(format!("{config:?}").contains("[redacted]"));
    }
}
