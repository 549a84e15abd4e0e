//! One row as a JSON object, and its key as text.

use crate::decode::{OldTuple, Tuple, TupleValue};

use super::json::write_string;
use super::table::{OldRow, Table};
use super::value::write_value;
use super::{Fidelity, Kind};

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
    new: Tuple<'_>,
    old: Option<OldTuple<'_>>,
    notes: &mut RowNotes,
) {
    let mut object = Object::open(out);
    for (index, (column, value)) in table.columns.iter().zip(new.values()).enumerate() {
        if column.hidden {
            continue;
        }
        let value = match value {
            TupleValue::Unchanged => old_value(table, old, index),
            value => value,
        };
        if value == TupleValue::Unchanged {
            notes.unavailable.push(index);
        } else if object.member(&column.json_key, &column.kind, value) == Fidelity::Encoded {
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
    old: Option<OldTuple<'_>>,
    new: Option<Tuple<'_>>,
    notes: &mut RowNotes,
) -> bool {
    let old_row = match old {
        // The letter of an old row is that of the root's replica identity, its content that of the
        // partition's: only where the catalog has one answer for all is the row whole.
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
        if column.hidden {
            continue;
        }
        let told = match old_row {
            OldRow::Whole => true,
            OldRow::Identity => table.in_identity(index),
            OldRow::Mixed => value != TupleValue::Null,
        };
        if value == TupleValue::Unchanged {
            complete = false;
        } else if told && object.member(&column.json_key, &column.kind, value) == Fidelity::Encoded
        {
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
    row: Tuple<'_>,
    old: Option<OldTuple<'_>>,
) -> bool {
    let start = out.len();
    let text = |index: usize| match row.value(index) {
        TupleValue::Unchanged => old_value(table, old, index),
        value => value,
    };
    let told = match table.key.as_slice() {
        [] => false,
        [index] => match text(*index) {
            TupleValue::Text(text) => {
                write_plain(out, text);
                true
            }
            _ => false,
        },
        several => {
            out.push(b'[');
            let told = several.iter().enumerate().all(|(position, index)| {
                if position > 0 {
                    out.push(b',');
                }
                match text(*index) {
                    TupleValue::Text(text) => {
                        write_string(out, text);
                        true
                    }
                    _ => false,
                }
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

/// A text column refuses what is not UTF-8, which only a database of encoding `SQL_ASCII` sends.
fn write_plain(out: &mut Vec<u8>, text: &[u8]) {
    match std::str::from_utf8(text) {
        Ok(_) => out.extend_from_slice(text),
        Err(_) => out.extend_from_slice(String::from_utf8_lossy(text).as_bytes()),
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

    fn member(&mut self, json_key: &[u8], kind: &Kind, value: TupleValue<'_>) -> Fidelity {
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
        self.out.extend_from_slice(json_key);
        match value {
            TupleValue::Text(text) => write_value(self.out, kind, text),
            TupleValue::Null | TupleValue::Unchanged => {
                self.out.extend_from_slice(b"null");
                Fidelity::Exact
            }
        }
    }

    fn close(self) {
        self.out.push(b'}');
    }
}
