//! Why there is no connection, and which setting to look at.

use crate::config::ConnectionConfig;

use super::Fault;

/// Why there is no connection. Messages name the server and the setting, never a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Nobody answers there, or not in time.
    #[error(
        "cannot reach {address}: {why}; is the server running, and are host and port right in {given_by}?"
    )]
    Unreachable {
        /// Who wanted to connect where.
        address: String,
        /// What the system said.
        why: String,
        /// The setting to look at.
        given_by: &'static str,
    },
    /// The server is there, but takes nobody now: starting, stopping or out of connections.
    #[error("{address} takes no connections now: {why}; try again when it does")]
    Busy {
        /// Who wanted to connect where.
        address: String,
        /// What the server said.
        why: String,
    },
    /// Wrong password, unknown role, or refused by `pg_hba.conf`.
    #[error("{address} does not let us in: {why}; check user and password in {given_by}{hint}")]
    Refused {
        /// Who wanted to connect where.
        address: String,
        /// What the server said.
        why: String,
        /// The setting to look at.
        given_by: &'static str,
        /// What else to look at; may be empty.
        hint: &'static str,
    },
    /// There is no such database.
    #[error("{address}: {why}; check the database's name in {given_by}, or create it")]
    NoSuchDatabase {
        /// Who wanted to connect where.
        address: String,
        /// What the server said.
        why: String,
        /// The setting to look at.
        given_by: &'static str,
    },
    /// No agreement on encryption, or a server that is not to be trusted.
    #[error(
        "no encrypted connection to {address}: {why}; check sslmode, sslrootcert, sslcert and sslkey"
    )]
    Tls {
        /// Who wanted to connect where.
        address: String,
        /// What is wrong.
        why: String,
    },
    /// The replication client cannot do what was asked for.
    #[error(
        "{address} is to be logged in to with channel_binding=require, which connections for replication cannot do; leave it out of {given_by}, and say sslmode=verify-full, by which nobody else can be at the other end"
    )]
    NoChannelBinding {
        /// Who wanted to connect where.
        address: String,
        /// The setting to change.
        given_by: &'static str,
    },
    /// Anything else that the server said.
    #[error("cannot connect to {address}: {why}")]
    Other {
        /// Who wanted to connect where.
        address: String,
        /// What the server or the driver said.
        why: String,
    },
}

impl ConnectError {
    /// Whether trying again later may do.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Busy { .. })
    }

    pub(super) fn new(config: &ConnectionConfig, error: tokio_postgres::Error) -> Self {
        let address = config.to_string();
        let given_by = config.given_by();
        let why = reason(&error);
        match Fault::of(&error) {
            Fault::Transient if error.as_db_error().is_some() => Self::Busy { address, why },
            Fault::Transient => Self::Unreachable { address, why, given_by },
            // Not a wrong password, but an address or a database that this user may not use.
            Fault::Credentials if error.code().is_some_and(|code| code.code() == "28000") => {
                let hint = ", and what pg_hba.conf allows it";
                Self::Refused { address, why, given_by, hint }
            }
            Fault::Credentials => Self::Refused { address, why, given_by, hint: "" },
            Fault::NoSuchDatabase => Self::NoSuchDatabase { address, why, given_by },
            // The driver has no password to answer the server's question with.
            _ if error.to_string() == "authentication error"
                || why.contains("password missing") =>
            {
                Self::Refused { address, why, given_by, hint: "" }
            }
            _ if error.to_string().contains("TLS") => Self::Tls { address, why },
            _ => Self::Other { address, why },
        }
    }
}

/// What the innermost cause says: the driver's own words say little.
fn reason(error: &tokio_postgres::Error) -> String {
    if let Some(database) = error.as_db_error() {
        return database.message().to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
