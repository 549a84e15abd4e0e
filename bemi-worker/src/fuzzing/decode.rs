//! Messages of pgoutput.

use crate::decode::{Message, OldTuple, Tuple, TupleValue};

/// Any bytes are a message or an error. A message says all that its bytes say, and is no larger.
pub fn decode(bytes: &[u8]) {
    let Ok(message) = Message::decode(bytes) else { return };
    let mut written = Vec::new();
    match message {
        Message::Relation(relation) => {
            let names = relation.columns.iter().map(|column| column.name.len());
            // Flags, the name's end, type and type modifier.
            let least = names.map(|name| name + 10).sum::<usize>();
            assert!(least <= bytes.len(), "{} columns", relation.columns.len());
            return;
        }
        Message::Insert { relation, new } => {
            written.push(b'I');
            written.extend_from_slice(&relation.to_be_bytes());
            write_tuple(&mut written, b'N', new);
        }
        Message::Update { relation, old, new } => {
            written.push(b'U');
            written.extend_from_slice(&relation.to_be_bytes());
            if let Some(old) = old {
                write_old(&mut written, old);
            }
            write_tuple(&mut written, b'N', new);
        }
        Message::Delete { relation, old } => {
            written.push(b'D');
            written.extend_from_slice(&relation.to_be_bytes());
            write_old(&mut written, old);
        }
        Message::Truncate { relations } => {
            written.push(b'T');
            let count = u32::try_from(relations.len()).expect("it was read from 32 bits");
            written.extend_from_slice(&count.to_be_bytes());
            // Options, which nobody asks for.
            written.extend(bytes.get(5));
            written.extend(relations.iter().flat_map(|relation| relation.to_be_bytes()));
        }
        Message::Other { tag } => written.push(tag),
    }
    assert!(bytes.starts_with(&written), "read as {written:?}");
}

fn write_old(out: &mut Vec<u8>, old: OldTuple<'_>) {
    match old {
        OldTuple::Key(tuple) => write_tuple(out, b'K', tuple),
        OldTuple::Full(tuple) => write_tuple(out, b'O', tuple),
    }
}

fn write_tuple(out: &mut Vec<u8>, tag: u8, tuple: Tuple<'_>) {
    let count = tuple.values().count();
    assert_eq!(count, tuple.len());
    out.push(tag);
    out.extend_from_slice(&u16::try_from(count).expect("it was read from 16 bits").to_be_bytes());
    for value in tuple.values() {
        match value {
            TupleValue::Null => out.push(b'n'),
            TupleValue::Unchanged => out.push(b'u'),
            TupleValue::Text(text) => {
                out.push(b't');
                let length = u32::try_from(text.len()).expect("it was read from 32 bits");
                out.extend_from_slice(&length.to_be_bytes());
                out.extend_from_slice(text);
            }
        }
    }
}
