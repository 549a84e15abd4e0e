//! Where a cluster listens and how to log in: URLs and connections.
//!
//! Invariant: the password, if there is one, shows in URLs only, never in `Debug` output or errors.

use std::fmt;

use tokio_postgres::{Client, NoTls};

use crate::HarnessError;

/// The superuser of every cluster.
pub(super) const SUPERUSER: &str = "postgres";

/// The address of a cluster, and the superuser's password where there is one.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(super) port: u16,
    pub(super) password: Option<String>,
}

impl Endpoint {
    /// The URL of a database of that cluster, as the superuser.
    pub(crate) fn url(&self, database: &str) -> String {
        // The password is made of hexadecimal digits: nothing to escape.
        let password =
            self.password.as_ref().map(|password| format!(":{password}")).unwrap_or_default();
        format!("postgres://{SUPERUSER}{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// Connects as the superuser. The connection is driven by a task of the running tokio runtime until the client is dropped.
    pub(crate) async fn connect(&self, database: &str) -> Result<Client, HarnessError> {
        let (client, connection) = tokio_postgres::connect(&self.url(database), NoTls)
            .await
            .map_err(HarnessError::database("connect to", database))?;
        // How the connection ends is also told to whoever uses the client.
        tokio::spawn(connection);
        Ok(client)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "127.0.0.1:{}", self.port)
    }
}
