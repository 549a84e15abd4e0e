//! From the bytes of pgoutput to messages.
//!
//! pgoutput is PostgreSQL's own format for logical replication, described under [Logical
//! Replication Message Formats]; this is its version 1, in which every value is text. Decoding is
//! pure: no I/O, no allocation for rows. A decoded row borrows from the bytes it came in.
//!
//! Invariant: no sequence of bytes panics or makes anything larger than itself; what is not
//! pgoutput is a [`DecodeError`].
//!
//! [Logical Replication Message Formats]: https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html

mod cursor;
mod message;
mod relation;
mod tuple;

pub(crate) use self::message::{Message, OldTuple};
pub(crate) use self::relation::{Column, Relation, ReplicaIdentity};
pub(crate) use self::tuple::{Tuple, TupleValue};

/// The most columns that a table of PostgreSQL has (`MaxHeapAttributeNumber`).
const COLUMNS_MAX: u16 = 1600;

/// Why bytes are not a pgoutput message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    /// The message ends before its last field.
    #[error("the message ends {missing_bytes} bytes before the end of its {field}")]
    TooShort {
        /// The field that is cut off.
        field: &'static str,
        /// How many of its bytes are missing, at least.
        missing_bytes: usize,
    },
    /// A name that is not UTF-8 or has no end.
    #[error("a name in the message is not UTF-8 or has no end")]
    InvalidName,
    /// A table or row with more columns than any has.
    #[error("the message has {count} columns, more than the {COLUMNS_MAX} that a table can have")]
    TooManyColumns {
        /// How many it claims to have.
        count: u16,
    },
    /// A byte that says what follows has a value that the format does not know.
    #[error("the message has {found:#04x} where its {field} should be")]
    Unexpected {
        /// What should be there.
        field: &'static str,
        /// What is.
        found: u8,
    },
}
