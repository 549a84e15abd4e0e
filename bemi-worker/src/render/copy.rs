//! Rows in the binary format of COPY.
//!
//! The format is described under [COPY, Binary Format]. Binary, because each value is then preceded
//! by its length: JSON is written into the buffer as it is, without a second layer of escapes.
//!
//! Invariant: the buffer always ends at the end of a row; a row that is given up leaves nothing.
//!
//! [COPY, Binary Format]: https://www.postgresql.org/docs/current/sql-copy.html

use jiff::Timestamp;
use uuid::Uuid;

/// What a binary COPY starts with: signature, flags, length of the header's extension.
pub(crate) const COPY_HEADER: &[u8] = b"PGCOPY\n\xFF\r\n\0\0\0\0\0\0\0\0\0";

/// What a binary COPY ends with.
pub(crate) const COPY_TRAILER: &[u8] = &[0xFF, 0xFF];

/// The largest row that is sent, in bytes. The server takes messages of up to 1 GiB, and a batch may
/// hold a few megabytes before the row.
const ROW_BYTES_MAX: usize = 1_000_000_000;

/// Microseconds from 1970 to 2000, where PostgreSQL's timestamps count from.
pub(crate) const POSTGRES_EPOCH_MICROSECONDS: i64 = 946_684_800_000_000;

/// Type `text`.
const TEXT_OID: u32 = 25;

/// The row is larger than the server takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the row, with its old one, has more than {ROW_BYTES_MAX} bytes")]
pub(crate) struct RowTooLarge;

/// Rows, as COPY takes them.
#[derive(Debug, Default)]
pub(crate) struct CopyRows {
    bytes: Vec<u8>,
    /// Where each row ends.
    ends: Vec<usize>,
}

impl CopyRows {
    /// Writes one row of `columns` values, which `write` must write in order. Where it fails,
    /// nothing is left of the row.
    pub(crate) fn row(
        &mut self,
        columns: i16,
        write: impl FnOnce(&mut CopyRow<'_>) -> Result<(), RowTooLarge>,
    ) -> Result<(), RowTooLarge> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&columns.to_be_bytes());
        let mut written = write(&mut CopyRow { out: &mut self.bytes });
        if self.bytes.len() - start > ROW_BYTES_MAX {
            written = Err(RowTooLarge);
        }
        match written {
            Ok(()) => self.ends.push(self.bytes.len()),
            Err(_) => self.bytes.truncate(start),
        }
        written
    }

    /// No rows, with room for as much as `bytes` and `rows`.
    pub(crate) fn with_capacity(bytes: usize, rows: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ends: Vec::with_capacity(rows) }
    }

    /// The size of the rows, in bytes.
    pub(crate) fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The number of rows.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Moves the rows behind the first `count` to the end of `other`.
    pub(crate) fn move_behind(&mut self, count: usize, other: &mut Self) {
        let count = count.min(self.ends.len());
        let start = count.checked_sub(1).and_then(|last| self.ends.get(last)).copied().unwrap_or(0);
        let shift = |end: usize| end - start + other.bytes.len();
        other.ends.extend(self.ends.iter().skip(count).copied().map(shift));
        if other.bytes.is_empty() && start < self.bytes.len() / 2 {
            // The larger part stays where it is: it may be a row of hundreds of megabytes.
            let kept = self.bytes.drain(..start).collect();
            other.bytes = std::mem::replace(&mut self.bytes, kept);
        } else {
            other.bytes.extend_from_slice(self.bytes.get(start..).unwrap_or_default());
            self.bytes.truncate(start);
        }
        self.ends.truncate(count);
    }

    /// The bytes of all rows, and where each ends.
    pub(crate) fn into_parts(self) -> (Vec<u8>, Vec<usize>) {
        (self.bytes, self.ends)
    }
}

/// Reads the values of one row back; `None` stands for NULL.
pub(crate) fn read_row(row: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut rest = row.get(2..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (length, values) = rest.split_first_chunk::<4>()?;
        let (value, after) = match usize::try_from(i32::from_be_bytes(*length)) {
            Ok(length) => {
                let (value, after) = values.split_at_checked(length)?;
                (Some(value), after)
            }
            Err(_) => (None, values),
        };
        rest = after;
        Some(value)
    })
}

/// The values of one row being written.
pub(crate) struct CopyRow<'a> {
    out: &'a mut Vec<u8>,
}

impl CopyRow<'_> {
    pub(crate) fn uuid(&mut self, uuid: Uuid) {
        self.fixed(uuid.into_bytes());
    }

    pub(crate) fn bigint(&mut self, value: i64) {
        self.fixed(value.to_be_bytes());
    }

    pub(crate) fn boolean(&mut self, value: bool) {
        self.fixed([u8::from(value)]);
    }

    pub(crate) fn timestamptz(&mut self, at: Timestamp) {
        self.bigint(at.as_microsecond() - POSTGRES_EPOCH_MICROSECONDS);
    }

    pub(crate) fn null(&mut self) {
        self.out.extend_from_slice(&(-1_i32).to_be_bytes());
    }

    pub(crate) fn text(&mut self, text: &str) -> Result<(), RowTooLarge> {
        self.sized(|out| out.extend_from_slice(text.as_bytes()))
    }

    /// A text that `write` writes; NULL, if it returns `false`.
    pub(crate) fn text_or_null(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> bool,
    ) -> Result<(), RowTooLarge> {
        let start = self.out.len();
        let mut is_null = false;
        self.sized(|out| is_null = !write(out))?;
        if is_null {
            self.out.truncate(start);
            self.null();
        }
        Ok(())
    }

    /// JSON that `write` writes.
    pub(crate) fn jsonb<T>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> T,
    ) -> Result<T, RowTooLarge> {
        self.sized(|out| {
            // The version of jsonb's binary format.
            out.push(1);
            write(out)
        })
    }

    /// A `text[]`; NULL, if there is nothing in it.
    pub(crate) fn text_array<'t>(
        &mut self,
        mut texts: impl ExactSizeIterator<Item = &'t str>,
    ) -> Result<(), RowTooLarge> {
        let count = i32::try_from(texts.len()).map_err(|_| RowTooLarge)?;
        if count == 0 {
            self.null();
            return Ok(());
        }
        self.sized(|out| {
            // Dimensions, whether there are NULLs, element type, length, lower bound.
            for number in [1_i32, 0] {
                out.extend_from_slice(&number.to_be_bytes());
            }
            out.extend_from_slice(&TEXT_OID.to_be_bytes());
            for number in [count, 1] {
                out.extend_from_slice(&number.to_be_bytes());
            }
            let mut elements = CopyRow { out };
            texts.try_for_each(|text| elements.text(text))
        })?
    }

    fn fixed<const N: usize>(&mut self, bytes: [u8; N]) {
        let length = i32::try_from(N).unwrap_or(i32::MAX);
        self.out.extend_from_slice(&length.to_be_bytes());
        self.out.extend_from_slice(&bytes);
    }

    /// Writes a value and then, before it, its length.
    fn sized<T>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> T) -> Result<T, RowTooLarge> {
        let start = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        let written = write(self.out);
        let length = i32::try_from(self.out.len() - start - 4).map_err(|_| RowTooLarge)?;
        if let Some(place) = self.out.get_mut(start..start + 4) {
            place.copy_from_slice(&length.to_be_bytes());
        }
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_its_number_of_values_and_each_with_its_length() {
        let mut rows = CopyRows::default();
        rows.row(4, |row| {
            row.bigint(7);
            row.null();
            row.text("ab")?;
            row.jsonb(|out| out.extend_from_slice(b"{}"))
        })
        .unwrap();
        let (bytes, ends) = rows.into_parts();
        assert_eq!(
            bytes,
            b"\0\x04\0\0\0\x08\0\0\0\0\0\0\0\x07\xFF\xFF\xFF\xFF\0\0\0\x02ab\0\0\0\x03\x01{}"
        );
        assert_eq!(ends, [bytes.len()]);
    }

    #[test]
    fn a_row_is_read_as_it_was_written() {
        let mut rows = CopyRows::default();
        rows.row(3, |row| {
            row.text("ab")?;
            row.null();
            row.text("")
        })
        .unwrap();
        let (bytes, _) = rows.into_parts();
        assert_eq!(read_row(&bytes).collect::<Vec<_>>(), [Some(&b"ab"[..]), None, Some(b"")]);
    }

    #[test]
    fn a_row_that_fails_leaves_nothing() {
        let mut rows = CopyRows::default();
        rows.row(1, |row| row.text("a")).unwrap();
        let before = rows.len_bytes();
        assert_eq!(rows.row(2, |_| Err(RowTooLarge)), Err(RowTooLarge));
        assert_eq!((rows.len(), rows.len_bytes()), (1, before));
    }

    #[test]
    fn whole_rows_move_behind_those_of_another() {
        let rows = |texts: &[&str]| {
            let mut rows = CopyRows::default();
            for text in texts {
                rows.row(1, |row| row.text(text)).unwrap();
            }
            rows
        };
        for (count, kept, moved) in [
            (0, &[][..], &["x", "a", "bb", "ccc"][..]),
            (1, &["a"], &["x", "bb", "ccc"]),
            (3, &["a", "bb", "ccc"], &["x"]),
            (4, &["a", "bb", "ccc"], &["x"]),
        ] {
            let (mut from, mut other) = (rows(&["a", "bb", "ccc"]), rows(&["x"]));
            from.move_behind(count, &mut other);
            assert_eq!(from.into_parts(), rows(kept).into_parts(), "{count}");
            assert_eq!(other.into_parts(), rows(moved).into_parts(), "{count}");

            let (mut from, mut other) = (rows(&["a", "bb", "ccc"]), rows(&[]));
            from.move_behind(count, &mut other);
            assert_eq!(from.into_parts(), rows(kept).into_parts(), "{count}");
            assert_eq!(other.into_parts(), rows(&moved[1..]).into_parts(), "{count}");
        }
    }

    #[test]
    fn time_counts_from_2000() {
        let mut out = Vec::new();
        CopyRow { out: &mut out }.timestamptz("2000-01-01T00:00:00.000001Z".parse().unwrap());
        assert_eq!(out, [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1]);
    }
}
