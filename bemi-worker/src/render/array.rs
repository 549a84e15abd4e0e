//! Arrays, in the form that PostgreSQL's `array_out` gives them.

use super::value::write_value;
use super::{Fidelity, Kind};

/// The deepest that PostgreSQL nests an array (`MAXDIM`).
const DIMENSIONS_MAX: usize = 6;

/// Writes an array's text, such as `{1,NULL,"a b"}`, as a JSON array. Lower bounds that are not 1,
/// as in `[0:1]={a,b}`, are left out: `to_jsonb` leaves them out too.
pub(super) fn write_array(
    out: &mut Vec<u8>,
    element: &Kind,
    delimiter: u8,
    text: &[u8],
) -> Option<Fidelity> {
    let mut rest = match text.first() {
        Some(b'[') => text.get(memchr::memchr(b'=', text)? + 1..)?,
        _ => text,
    };
    let mut fidelity = Fidelity::Exact;
    let mut unquoted = Vec::new();
    let mut depth = 0_usize;
    let mut behind = Behind::Opening;

    loop {
        let (byte, after) = rest.split_first()?;
        match (*byte, behind) {
            (b'{', Behind::Opening | Behind::Delimiter) => {
                depth += 1;
                if depth > DIMENSIONS_MAX {
                    return None;
                }
                out.push(b'[');
                rest = after;
                behind = Behind::Opening;
            }
            (b'}', Behind::Opening | Behind::Value) => {
                depth = depth.checked_sub(1)?;
                out.push(b']');
                if depth == 0 {
                    return after.is_empty().then_some(fidelity);
                }
                rest = after;
                behind = Behind::Value;
            }
            (byte, Behind::Value) if byte == delimiter => {
                out.push(b',');
                rest = after;
                behind = Behind::Delimiter;
            }
            (b'"', Behind::Opening | Behind::Delimiter) => {
                rest = take_quoted(after, &mut unquoted)?;
                fidelity = fidelity.and(write_value(out, element, &unquoted));
                behind = Behind::Value;
            }
            (_, Behind::Opening | Behind::Delimiter) => {
                let ends = |byte: &u8| *byte == delimiter || b"{}\"\\".contains(byte);
                let (bare, after) = rest.split_at(rest.iter().position(ends)?);
                rest = after;
                match bare {
                    b"" => return None,
                    b"NULL" => out.extend_from_slice(b"null"),
                    _ => fidelity = fidelity.and(write_value(out, element, bare)),
                }
                behind = Behind::Value;
            }
            (_, Behind::Value) => return None,
        }
        if depth == 0 {
            return None;
        }
    }
}

/// What stands before the place that is read: it says what may come there.
#[derive(Clone, Copy)]
enum Behind {
    /// A brace that opens a dimension, or nothing: an element, another dimension, or the end of this one.
    Opening,
    /// An element or a dimension: a delimiter, or the end of the dimension.
    Value,
    /// A delimiter: an element or another dimension.
    Delimiter,
}

/// Writes the text of an `int2vector` or `oidvector`, such as `1 2 3`, as a JSON array.
pub(super) fn write_vector(out: &mut Vec<u8>, element: &Kind, text: &[u8]) -> Fidelity {
    let mut fidelity = Fidelity::Exact;
    out.push(b'[');
    let elements = text.split(|byte| *byte == b' ').filter(|element| !element.is_empty());
    for (position, text) in elements.enumerate() {
        if position > 0 {
            out.push(b',');
        }
        fidelity = fidelity.and(write_value(out, element, text));
    }
    out.push(b']');
    fidelity
}

/// Reads up to the closing quote, with backslash escapes undone; what follows the quote is left.
fn take_quoted<'a>(text: &'a [u8], unquoted: &mut Vec<u8>) -> Option<&'a [u8]> {
    unquoted.clear();
    let mut rest = text;
    loop {
        let at = memchr::memchr2(b'"', b'\\', rest)?;
        let (plain, special) = rest.split_at(at);
        unquoted.extend_from_slice(plain);
        match special {
            [b'"', after @ ..] => return Some(after),
            [_, escaped, after @ ..] => {
                unquoted.push(*escaped);
                rest = after;
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(element: &Kind, text: &str) -> Option<String> {
        let mut out = Vec::new();
        let _ = write_array(&mut out, element, b',', text.as_bytes())?;
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn arrays_nest_and_hold_nulls_and_quoted_elements() {
        for (element, text, json) in [
            (Kind::Number, "{}", "[]"),
            (Kind::Number, "{1,NULL,3}", "[1,null,3]"),
            (Kind::Number, "{{1,2},{3,4}}", "[[1,2],[3,4]]"),
            (Kind::Number, "[0:1]={1,2}", "[1,2]"),
            (Kind::Number, "[-1:0][2:2]={{1},{2}}", "[[1],[2]]"),
            (Kind::Text, r#"{a,"NULL","","a,\"b\\c}"}"#, r#"["a","NULL","","a,\"b\\c}"]"#),
            (Kind::Boolean, "{t,f}", "[true,false]"),
        ] {
            assert_eq!(render(&element, text).as_deref(), Some(json));
        }
    }

    #[test]
    fn a_vector_has_spaces_between_its_elements() {
        for (text, json) in [("", "[]"), ("1", "[1]"), ("1 2 3", "[1,2,3]")] {
            let mut out = Vec::new();
            assert_eq!(write_vector(&mut out, &Kind::Number, text.as_bytes()), Fidelity::Exact);
            assert_eq!(out, json.as_bytes());
        }
    }

    #[test]
    fn what_is_not_an_array_is_refused() {
        for text in [
            "",
            "{",
            "}",
            "1",
            "{1",
            "{\"a}",
            "{1}x",
            "{{{{{{{1}}}}}}}",
            "[0:1]",
            "{\"\\",
            // What is not separated as the server does it would not be JSON.
            "{,}",
            "{1,}",
            "{,1}",
            "{1,,2}",
            "{{1}{2}}",
            "{1{2}}",
            "{\"1\"\"2\"}",
            "{1\"2\"}",
            ",{}",
        ] {
            assert_eq!(render(&Kind::Number, text), None, "{text}");
        }
    }
}
