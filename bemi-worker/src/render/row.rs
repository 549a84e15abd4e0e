//! One row as a JSON object, and its key as text.

use bemi_core::Lsn;

use crate::decode::{OldTuple, Tuple, TupleValue};

use super::Fidelity;
use super::json::write_string;
use super::mask::ColumnMask;
use super::table::{OldRow, Table, TableColumn};
use super::value::write_value;

/// What of a row came out otherwise than `to_jsonb(row)` would have it, by column.
#[derive(Debug, Default)]
pub(super) struct RowNotes {
    /// Columns whose value PostgreSQL did not send.
    pub(super) unavailable: Vec<usize>,
    /// Columns that are a string of the server's text.
    pub(super) encoded: Vec<usize>,
}

impl RowNotes {
    pub(super) fn clear(&mut self) {
        self.unavailable.clear();
        self.encoded.clear();
    }

    fn note_encoded(&mut self, column: usize) {
        if !self.encoded.contains(&column) {
            self.encoded.push(column);
        }
    }
}

/// Writes the row after a change. A TOASTed value that the UPDATE did not touch is taken from the
/// old row; where that does not have it either, the column is left out and noted.
pub(super) fn write_after(
    out: &mut Vec<u8>,
    table: &Table,
    position: Lsn,
    new: Tuple<'_>,
    old: Option<OldTuple<'_>>,
    notes: &mut RowNotes,
) {
    let mut object = Object::open(out);
    for (index, (column, value)) in table.columns.iter().zip(new.values()).enumerate() {
        if column.is_dropped() {
            continue;
        }
        let value = match value {
            TupleValue::Unchanged => old_value(table, old, index),
            value => value,
        };
        if value == TupleValue::Unchanged {
            notes.unavailable.push(index);
        } else if object.member(column, position, value) == Fidelity::Encoded {
            notes.note_encoded(index);
        }
    }
    object.close();
}

/// Writes the row before a change, as far as the stream has it. Returns whether that is all of it.
///
/// Without an old row, the key did not change: it is what the new row has.
pub(super) fn write_before(
    out: &mut Vec<u8>,
    table: &Table,
    position: Lsn,
    old: Option<OldTuple<'_>>,
    new: Option<Tuple<'_>>,
    notes: &mut RowNotes,
) -> bool {
    let old_row = match old {
        // The letter of an old row is that of the root's replica identity, its content that of the
        // leaf's.
        Some(_) => table.old_row,
        None => OldRow::Identity,
    };
    let Some(tuple) = old.map(OldTuple::tuple).or(new) else {
        out.extend_from_slice(b"{}");
        return false;
    };
    let mut complete = old_row == OldRow::Whole;
    let mut object = Object::open(out);
    for (index, (column, value)) in table.columns.iter().zip(tuple.values()).enumerate() {
        if column.is_dropped() {
            continue;
        }
        let told = match old_row {
            OldRow::Whole => true,
            OldRow::Identity => table.in_identity(index),
            OldRow::Mixed => value != TupleValue::Null,
        };
        if value == TupleValue::Unchanged {
            complete = false;
        } else if told && object.member(column, position, value) == Fidelity::Encoded {
            notes.note_encoded(index);
        }
    }
    object.close();
    complete
}

/// Writes a row's key: the text of its one column, or a compact JSON array of the texts of
/// several. `false`, with nothing written, where the table has no key or the row does not tell it.
pub(super) fn write_key(
    out: &mut Vec<u8>,
    table: &Table,
    position: Lsn,
    row: Tuple<'_>,
    old: Option<OldTuple<'_>>,
) -> bool {
    let start = out.len();
    let text = |index: usize| {
        let value = match row.value(index) {
            TupleValue::Unchanged => old_value(table, old, index),
            value => value,
        };
        match value {
            TupleValue::Text(text) => Some(text),
            TupleValue::Null | TupleValue::Unchanged => None,
        }
    };
    let told = match table.key_at(position) {
        [] => false,
        [index] => text(*index)
            .is_some_and(|text| write_key_part(out, table.mask(*index), text, write_plain)),
        several => {
            out.push(b'[');
            let told = several.iter().enumerate().all(|(place, index)| {
                if place > 0 {
                    out.push(b',');
                }
                text(*index).is_some_and(|text| {
                    write_key_part(out, table.mask(*index), text, |out, text| {
                        write_string(out, text);
                    })
                })
            });
            out.push(b']');
            told
        }
    };
    if !told {
        out.truncate(start);
    }
    told
}

/// Writes the text of one of a key's columns, or its hash; `false` where the column is masked so that
/// all rows would have the same.
fn write_key_part(
    out: &mut Vec<u8>,
    mask: Option<&ColumnMask>,
    text: &[u8],
    write: impl FnOnce(&mut Vec<u8>, &[u8]),
) -> bool {
    match mask {
        None => write(out, text),
        Some(ColumnMask::Hash(hasher)) => write(out, &hasher.hash(text)),
        Some(ColumnMask::Drop | ColumnMask::Text { .. }) => return false,
    }
    true
}

/// A text column refuses NUL, which no database sends, and what is not UTF-8, which only one of encoding
/// `SQL_ASCII` does.
fn write_plain(out: &mut Vec<u8>, text: &[u8]) {
    match std::str::from_utf8(text) {
        Ok(plain) if !plain.contains('\0') => out.extend_from_slice(text),
        _ => {
            let plain = String::from_utf8_lossy(text).replace('\0', "\u{FFFD}");
            out.extend_from_slice(plain.as_bytes());
        }
    }
}

/// What the old row has for a column, if it is worth anything there.
fn old_value<'a>(table: &Table, old: Option<OldTuple<'a>>, index: usize) -> TupleValue<'a> {
    let Some(old) = old else { return TupleValue::Unchanged };
    let value = old.tuple().value(index);
    let told = match table.old_row {
        OldRow::Whole => true,
        OldRow::Identity => table.in_identity(index),
        OldRow::Mixed => value != TupleValue::Null,
    };
    if told { value } else { TupleValue::Unchanged }
}

/// A JSON object being written.
struct Object<'a> {
    out: &'a mut Vec<u8>,
    is_empty: bool,
}

impl<'a> Object<'a> {
    fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, is_empty: true }
    }

    fn member(&mut self, column: &TableColumn, position: Lsn, value: TupleValue<'_>) -> Fidelity {
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
        self.out.extend_from_slice(&column.json_key);
        match (value, &column.rule.mask) {
            (TupleValue::Text(text), None) => write_value(self.out, column.kind_at(position), text),
            (TupleValue::Text(text), Some(mask)) => {
                mask.write_json(self.out, text);
                Fidelity::Exact
            }
            (TupleValue::Null | TupleValue::Unchanged, _) => {
                self.out.extend_from_slice(b"null");
                Fidelity::Exact
            }
        }
    }

    fn close(self) {
        self.out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_what_a_text_column_takes() {
        for (text, written) in
            [(&b"a b"[..], "a b"), (b"a\xFFb", "a\u{FFFD}b"), (b"a\0b", "a\u{FFFD}b")]
        {
            let mut out = Vec::new();
            write_plain(&mut out, text);
            assert_eq!(out, written.as_bytes());
        }
    }
}
