//! A row, as text, borrowed from the message that it came in.

use super::DecodeError;
use super::cursor::Cursor;

/// A row of a message. Its values are read anew each time that they are asked for: nothing is
/// allocated for them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tuple<'a> {
    count: u16,
    /// The values, found whole when the message was decoded.
    values: &'a [u8],
}

/// A value of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TupleValue<'a> {
    /// SQL NULL.
    Null,
    /// A TOASTed value that the UPDATE did not touch, so that the WAL does not have it.
    Unchanged,
    /// The server's text of the value.
    Text(&'a [u8]),
}

impl<'a> Tuple<'a> {
    /// Takes a tuple off `cursor`.
    pub(super) fn take(cursor: &mut Cursor<'a>) -> Result<Self, DecodeError> {
        let count = cursor.column_count()?;
        let start = cursor.rest();
        for _ in 0..count {
            take_value(cursor)?;
        }
        let length = start.len() - cursor.rest().len();
        Ok(Self { count, values: start.get(..length).unwrap_or_default() })
    }

    /// How many values the row has.
    pub(crate) fn len(self) -> usize {
        usize::from(self.count)
    }

    /// The values, in the order of the relation's columns.
    pub(crate) fn values(self) -> impl Iterator<Item = TupleValue<'a>> {
        let mut cursor = Cursor::new(self.values);
        std::iter::from_fn(move || take_value(&mut cursor).ok())
    }

    /// One value. A column that the row does not have is NULL, as for a column that was added
    /// after the row was written.
    pub(crate) fn value(self, index: usize) -> TupleValue<'a> {
        self.values().nth(index).unwrap_or(TupleValue::Null)
    }
}

fn take_value<'a>(cursor: &mut Cursor<'a>) -> Result<TupleValue<'a>, DecodeError> {
    match cursor.u8("kind of value")? {
        b'n' => Ok(TupleValue::Null),
        b'u' => Ok(TupleValue::Unchanged),
        b't' => {
            let length = cursor.u32("length of value")?;
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            Ok(TupleValue::Text(cursor.bytes(length, "value")?))
        }
        found => Err(DecodeError::Unexpected { field: "kind of value", found }),
    }
}
