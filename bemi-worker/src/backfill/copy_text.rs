//! From a line of COPY's text format to the message of pgoutput that would bring the row.
//!
//! COPY in text format is the one way to have each value as its type's own text, byte for byte, as
//! the stream has it. Written as the stream's message, it takes the stream's way from there on.
//!
//! The format is described under [COPY, Text Format].
//!
//! [COPY, Text Format]: https://www.postgresql.org/docs/current/sql-copy.html

/// Writes the first `columns` values of a line as the message of an INSERT into the table `oid`.
pub(super) fn write_insert(message: &mut Vec<u8>, oid: u32, columns: u16, line: &[u8]) {
    message.clear();
    message.push(b'I');
    message.extend_from_slice(&oid.to_be_bytes());
    message.push(b'N');
    message.extend_from_slice(&columns.to_be_bytes());
    for field in fields(line).take(usize::from(columns)) {
        if field == NULL {
            message.push(b'n');
            continue;
        }
        message.push(b't');
        let start = message.len();
        message.extend_from_slice(&[0; 4]);
        write_value(message, field);
        // The server sends no value of more than 1 GiB.
        let length = u32::try_from(message.len() - start - 4).unwrap_or(u32::MAX);
        if let Some(place) = message.get_mut(start..start + 4) {
            place.copy_from_slice(&length.to_be_bytes());
        }
    }
}

/// The values of a line behind the first `columns`; none of them is NULL.
pub(super) fn values_behind(columns: u16, line: &[u8]) -> Vec<Vec<u8>> {
    fields(line)
        .skip(usize::from(columns))
        .map(|field| {
            let mut value = Vec::with_capacity(field.len());
            write_value(&mut value, field);
            value
        })
        .collect()
}

const NULL: &[u8] = b"\\N";

/// A tab inside a value is escaped.
fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.strip_suffix(b"\n").unwrap_or(line).split(|byte| *byte == b'\t')
}

fn write_value(out: &mut Vec<u8>, mut field: &[u8]) {
    while let Some(at) = memchr::memchr(b'\\', field) {
        let (plain, escaped) = field.split_at(at);
        out.extend_from_slice(plain);
        let Some((&[_, letter], rest)) = escaped.split_first_chunk::<2>() else {
            field = escaped;
            break;
        };
        out.push(match letter {
            b'b' => b'\x08',
            b'f' => b'\x0C',
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => b'\x0B',
            other => other,
        });
        field = rest;
    }
    out.extend_from_slice(field);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Message, TupleValue};

    fn values(columns: u16, line: &[u8]) -> Vec<Option<Vec<u8>>> {
        let mut message = b"what was there before".to_vec();
        write_insert(&mut message, 7, columns, line);
        let Ok(Message::Insert { relation: 7, new }) = Message::decode(&message) else { panic!() };
        new.values()
            .map(|value| match value {
                TupleValue::Text(text) => Some(text.to_vec()),
                TupleValue::Null => None,
                TupleValue::Unchanged => panic!("nothing of a whole row is unchanged"),
            })
            .collect()
    }

    #[test]
    fn a_line_becomes_the_message_of_an_insert() {
        assert_eq!(
            values(4, b"1\t\\N\t\tabc\n"),
            [Some(b"1".to_vec()), None, Some(Vec::new()), Some(b"abc".to_vec())]
        );
    }

    #[test]
    fn escapes_are_read_and_nothing_else_is_taken_for_one() {
        assert_eq!(
            values(2, b"\\b\\f\\n\\r\\t\\v\\\\\t\\\\N\n"),
            [Some(b"\x08\x0C\n\r\t\x0B\\".to_vec()), Some(b"\\N".to_vec())]
        );
        assert_eq!(values(1, b"\\\\x00ff\n"), [Some(b"\\x00ff".to_vec())]);
        assert_eq!(values(1, b"\xE9\xFF\n"), [Some(b"\xE9\xFF".to_vec())]);
    }

    #[test]
    fn the_key_stands_behind_the_columns() {
        let line = b"a\tb\tk\\t1\tk2\n";
        assert_eq!(values(2, line), [Some(b"a".to_vec()), Some(b"b".to_vec())]);
        assert_eq!(values_behind(2, line), [b"k\t1".to_vec(), b"k2".to_vec()]);
    }

    #[test]
    fn a_table_without_columns_has_rows_too() {
        assert_eq!(values(0, b"\n"), []);
    }
}
