//! The server's text of a value, under any type.

use std::sync::Arc;

use super::assert_jsonb;
use crate::render::{Fidelity, Kind, write_value};

/// Types nest in types, but not this deep.
const KIND_DEPTH_MAX: usize = 32;

/// The largest JSON for a byte of text: that of an attribute that is NULL, with its name.
const JSON_BYTES_PER_BYTE_MAX: usize = 16;

/// Any text under any type becomes JSON that `jsonb` accepts. A scalar either comes out as it is, or
/// as a string of its text and marked.
///
/// The input is a type and a text. The type is written in letters, outermost first:
///
/// | letter | type |
/// | --- | --- |
/// | `b` `n` `t` `z` | boolean, number, timestamp, timestamp with time zone |
/// | `j` `J` `s` `h` `?` | json, jsonb, text, hstore, unknown |
/// | `v` `V` | int2vector, oidvector |
/// | `a` `A` | an array with commas, one with semicolons; its elements follow |
/// | `c` … `.` | a composite of the attributes between them |
pub fn render(input: &[u8]) {
    let mut text = input;
    let kind = take_kind(&mut text, 0);
    let mut out = b"before".to_vec();
    let fidelity = write_value(&mut out, &kind, text);
    let json = out.strip_prefix(b"before").expect("what was written before is left alone");

    assert_jsonb(json);
    assert!(json.len() <= JSON_BYTES_PER_BYTE_MAX * text.len() + 64, "{} bytes", json.len());
    if let (Fidelity::Encoded, [b'"', ..]) = (fidelity, json) {
        assert_eq!(string(json), as_text(text), "{kind:?}");
        return;
    }
    match (&kind, fidelity) {
        (Kind::Text, Fidelity::Exact) => assert_eq!(string(json), as_text(text)),
        (Kind::Boolean, Fidelity::Exact) => assert!(matches!(json, b"true" | b"false")),
        (Kind::Number, Fidelity::Exact) => match text {
            b"NaN" | b"Infinity" | b"-Infinity" => assert_eq!(string(json).as_bytes(), text),
            _ => assert_eq!(json, text),
        },
        (Kind::Json | Kind::Jsonb, Fidelity::Exact) => assert_eq!(json, text),
        (Kind::Timestamp | Kind::TimestampTz, Fidelity::Exact) => {
            assert!(!string(json).contains(['"', '\\']));
        }
        (Kind::Array { .. } | Kind::Vector { .. }, _) => assert!(json.starts_with(b"[")),
        (Kind::Composite { .. } | Kind::Hstore, _) => assert!(json.starts_with(b"{")),
        _ => panic!("{kind:?} is {fidelity:?}"),
    }
}

/// The text that a JSON string stands for.
fn string(json: &[u8]) -> String {
    serde_json::from_slice(json).expect("a string")
}

/// How a text is kept as a string: as it is, or, where `jsonb` cannot hold it, in hexadecimal.
fn as_text(text: &[u8]) -> String {
    match std::str::from_utf8(text) {
        Ok(text) if !text.contains('\0') => text.to_owned(),
        _ => text.iter().fold("\\x".to_owned(), |hex, byte| format!("{hex}{byte:02x}")),
    }
}

fn take_kind(input: &mut &[u8], depth: usize) -> Kind {
    let Some((letter, rest)) = input.split_first() else { return Kind::Unknown };
    *input = rest;
    if depth == KIND_DEPTH_MAX {
        return Kind::Unknown;
    }
    let mut element = || Arc::new(take_kind(input, depth + 1));
    match letter {
        b'b' => Kind::Boolean,
        b'n' => Kind::Number,
        b't' => Kind::Timestamp,
        b'z' => Kind::TimestampTz,
        b'j' => Kind::Json,
        b'J' => Kind::Jsonb,
        b's' => Kind::Text,
        b'h' => Kind::Hstore,
        b'v' => Kind::Vector { element: Arc::new(Kind::Number) },
        b'V' => Kind::Vector { element: Arc::new(Kind::Text) },
        b'a' => Kind::Array { element: element(), delimiter: b',' },
        b'A' => Kind::Array { element: element(), delimiter: b';' },
        b'c' => {
            let mut attributes = Vec::new();
            loop {
                match input.split_first() {
                    Some((b'.', rest)) => {
                        *input = rest;
                        break;
                    }
                    None => break,
                    Some(_) => attributes.push(take_attribute(input, attributes.len(), depth)),
                }
            }
            Kind::Composite { attributes }
        }
        _ => Kind::Unknown,
    }
}

/// An attribute, with a name that has to be escaped now and then.
fn take_attribute(input: &mut &[u8], position: usize, depth: usize) -> (String, Arc<Kind>) {
    let name = if position.is_multiple_of(2) { "a" } else { "\"\\" };
    (name.to_owned(), Arc::new(take_kind(input, depth + 1)))
}
