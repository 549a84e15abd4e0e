//! From the server's text of a row to the JSON that `to_jsonb(row)` gives.
//!
//! The text of each value is written straight into the buffer that goes to the destination: no value
//! tree, no allocation per value. What the server knows about types comes in as a [`Kind`] tree,
//! made from its catalog; rendering itself does no I/O.
//!
//! Invariant: what is written is JSON that `jsonb` accepts. A value that `jsonb` cannot hold, or whose
//! text is not what its type promises, is written as a JSON string of that text and reported as
//! [`Fidelity::Encoded`]; it is never dropped.

mod array;
mod change;
mod composite;
mod copy;
mod dated;
mod hstore;
mod ignored;
mod json;
mod jsonb;
mod kind;
mod mask;
mod row;
mod table;
mod value;

pub(crate) use self::change::{COPY_COLUMNS, ChangeWriter, RowChange};
pub(crate) use self::copy::{
    COPY_HEADER, COPY_TRAILER, CopyRows, POSTGRES_EPOCH_MICROSECONDS, read_row,
};
pub(crate) use self::dated::{Dated, Stretch};
pub(crate) use self::json::write_string;
pub(crate) use self::jsonb::check as check_jsonb;
pub(crate) use self::kind::Kind;
pub(crate) use self::mask::{ColumnMask, ColumnRule, Hasher};
pub(crate) use self::table::{CatalogFacts, OldRow, Table};
#[cfg(any(test, fuzzing))]
pub(crate) use self::value::write_value;

/// How a value came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Fidelity {
    /// As `to_jsonb` has it.
    Exact,
    /// As a string of the server's text.
    Encoded,
}

impl Fidelity {
    /// Of a value that holds two others.
    fn and(self, other: Self) -> Self {
        if self == Self::Exact { other } else { self }
    }
}
