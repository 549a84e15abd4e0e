//! What an error of the database means for what to do next.

use std::error::Error as _;
use std::io;

use crate::partitions::BOUND_CONSTRAINT;

/// What to do about an error: try again, tell the user, or set a row aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It may pass: connection lost, server starting or stopping, too busy, deadlock. Try again.
    Transient,
    /// Wrong password, unknown role, or refused by `pg_hba.conf`.
    Credentials,
    /// There is no such database.
    NoSuchDatabase,
    /// The role may not do this.
    NotAllowed,
    /// The server takes the statement but not the data in it.
    Data,
    /// Anything else: trying again would give the same.
    Other,
}

impl Fault {
    /// What this error of the driver means.
    #[must_use]
    pub fn of(error: &tokio_postgres::Error) -> Self {
        if let Some(database) = error.as_db_error() {
            // While partitions are being made, changed or dropped, one may be missing for a moment.
            if lacks_partition(database) {
                return Self::Transient;
            }
            return Self::of_sqlstate(database.code().code());
        }
        if error.is_closed() {
            return Self::Transient;
        }
        match error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
            // What TLS does not like about the other side will not change by itself.
            Some(io) if io.kind() == io::ErrorKind::InvalidData => Self::Other,
            Some(_) => Self::Transient,
            None => Self::Other,
        }
    }

    /// What this SQLSTATE means.
    ///
    /// ```
    /// use bemi_worker::connect::Fault;
    ///
    /// assert_eq!(Fault::of_sqlstate("57P01"), Fault::Transient);
    /// assert_eq!(Fault::of_sqlstate("28P01"), Fault::Credentials);
    /// ```
    #[must_use]
    pub fn of_sqlstate(code: &str) -> Self {
        match code {
            // Somebody else's work is in the way; a cancelled statement was cancelled from outside.
            "40001" | "40P01" | "55P03" | "57014" => Self::Transient,
            // Read only: a primary that has become a standby, until names lead to the new primary.
            "25006" => Self::Transient,
            // Terminated, crashed, starting or stopping; dropped databases stay dropped.
            "57P01" | "57P02" | "57P03" | "57P05" => Self::Transient,
            // Out of connections, memory or disk: what an operator, or time, mends.
            "53000" | "53100" | "53200" | "53300" => Self::Transient,
            // Not understood: it would not be understood again.
            "08P01" | "58P01" | "58P02" => Self::Other,
            "3D000" => Self::NoSuchDatabase,
            "42501" => Self::NotAllowed,
            _ if code.starts_with("08") || code.starts_with("58") => Self::Transient,
            _ if code.starts_with("28") => Self::Credentials,
            _ if code.starts_with("22") || code.starts_with("54") => Self::Data,
            _ => Self::Other,
        }
    }

    /// Whether to try again.
    #[must_use]
    pub fn is_transient(self) -> bool {
        self == Self::Transient
    }
}

/// Whether a row has no partition to go to, or is beyond the bound of one that is being made. Triggers and
/// constraints of others that refuse a row name no table, or themselves.
fn lacks_partition(error: &tokio_postgres::error::DbError) -> bool {
    *error.code() == tokio_postgres::error::SqlState::CHECK_VIOLATION
        && error.table().is_some()
        && error.constraint().is_none_or(|name| name == BOUND_CONSTRAINT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_violation_is_not_worth_a_retry_and_a_lost_connection_is() {
        assert_eq!(Fault::of_sqlstate("08006"), Fault::Transient);
        assert_eq!(Fault::of_sqlstate("08P01"), Fault::Other);
    }

    #[test]
    fn data_is_told_from_statements() {
        assert_eq!(Fault::of_sqlstate("22P05"), Fault::Data);
        assert_eq!(Fault::of_sqlstate("54000"), Fault::Data);
        assert_eq!(Fault::of_sqlstate("42703"), Fault::Other);
        assert_eq!(Fault::of_sqlstate("42501"), Fault::NotAllowed);
    }
}
