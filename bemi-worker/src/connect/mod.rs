//! Connections to the databases: opened here, and nowhere else.
//!
//! Invariant: a connection that could not be opened is told with the setting to look at, and never
//! with a password.

mod error;
mod fault;
mod session;
mod tls;

pub use error::ConnectError;
pub use fault::Fault;
pub use session::Session;

use std::sync::LazyLock;
use std::time::Duration;

use tokio::sync::watch;
use tokio_postgres::{Client, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;
use tracing::debug;

use crate::config::{ConnectionConfig, SslMode, Verification};

/// How sessions of the worker show in `pg_stat_activity`.
pub const APPLICATION_NAME: &str = "bemi-worker";

/// How many connections are open.
static OPEN: LazyLock<watch::Sender<usize>> = LazyLock::new(|| watch::Sender::new(0));

/// How long to wait for servers to be told goodbye.
const FAREWELL_MAX: Duration = Duration::from_secs(1);

/// Waits until every connection whose client is gone has said goodbye: cut off in the middle of an
/// answer, a server complains in its log. To be called at the end of a program.
pub(crate) async fn farewell() {
    let mut open = OPEN.subscribe();
    // Too late is as good: it is a courtesy.
    let _ = tokio::time::timeout(FAREWELL_MAX, open.wait_for(|open| *open == 0)).await;
}

impl ConnectionConfig {
    /// Connects. A task of the running tokio runtime drives the connection until the client is
    /// dropped.
    ///
    /// # Errors
    /// [`ConnectError`] when there is no server, it refuses, or it cannot be trusted.
    ///
    /// # Cancellation
    /// Dropping the future closes the connection.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use bemi_worker::config::ConnectionConfig;
    ///
    /// let config: ConnectionConfig = "postgres://postgres@localhost/shop".parse()?;
    /// let client = config.connect().await?;
    /// client.batch_execute("SELECT 1").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect(&self) -> Result<Client, ConnectError> {
        let mut driver = self.driver_config();
        if driver.get_application_name().is_none() {
            driver.application_name(APPLICATION_NAME);
        }
        let failed = |error| ConnectError::new(self, error);
        if self.is_unix_socket() || self.tls().mode == SslMode::Disable {
            driver.ssl_mode(tokio_postgres::config::SslMode::Disable);
            let (client, connection) = driver.connect(NoTls).await.map_err(failed)?;
            spawn(connection);
            return Ok(client);
        }
        driver.ssl_mode(match self.tls().mode {
            SslMode::Disable | SslMode::Allow | SslMode::Prefer => {
                tokio_postgres::config::SslMode::Prefer
            }
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
                tokio_postgres::config::SslMode::Require
            }
        });
        let tls = tls::client_config(self.tls())
            .map_err(|why| ConnectError::Tls { address: self.to_string(), why })?;
        let (client, connection) =
            driver.connect(MakeRustlsConnect::new(tls)).await.map_err(failed)?;
        spawn(connection);
        Ok(client)
    }

    /// Whether the replication client can do all that is asked for.
    ///
    /// # Errors
    /// [`ConnectError::NoChannelBinding`] when it cannot, rather than to do without.
    pub(crate) fn check_replication(&self) -> Result<(), ConnectError> {
        if self.requires_channel_binding() {
            let (address, given_by) = (self.to_string(), self.given_by());
            return Err(ConnectError::NoChannelBinding { address, given_by });
        }
        Ok(())
    }

    /// The same TLS settings for the replication client.
    #[must_use]
    pub fn replication_tls(&self) -> pgwire_replication::TlsConfig {
        use pgwire_replication::{SslMode as Mode, TlsConfig};

        if self.is_unix_socket() {
            return TlsConfig::disabled();
        }
        let options = self.tls();
        let mode = match (options.mode, options.verification()) {
            (SslMode::Disable, _) => return TlsConfig::disabled(),
            (SslMode::Allow | SslMode::Prefer, _) => Mode::Prefer,
            (_, Verification::Nothing) => Mode::Require,
            (_, Verification::Authority) => Mode::VerifyCa,
            (_, Verification::AuthorityAndHost) => Mode::VerifyFull,
        };
        TlsConfig {
            mode,
            ca_pem_path: options.root_certificate.clone(),
            // Given, so that a certificate for an IP address is verified rather than refused.
            sni_hostname: Some(self.host().to_owned()),
            client_cert_pem_path: options.certificate.clone(),
            client_key_pem_path: options.key.clone(),
        }
    }
}

fn spawn<S, T>(connection: tokio_postgres::Connection<S, T>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    OPEN.send_modify(|open| *open += 1);
    tokio::spawn(async move {
        // Whoever uses the client is told as well, and knows what it means.
        if let Err(error) = connection.await {
            debug!(%error, "a connection ended");
        }
        OPEN.send_modify(|open| *open -= 1);
    });
}
