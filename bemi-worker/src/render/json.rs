//! JSON strings.

/// Writes `text` as a JSON string. What `jsonb` cannot hold as such is written as `\x` and hexadecimal
/// digits, like a `bytea`, and `false` says so: bytes that are not UTF-8, which only a database of
/// encoding `SQL_ASCII` sends, and a text with NUL, which none does.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &[u8]) -> bool {
    let start = out.len();
    out.push(b'"');
    let holds = std::str::from_utf8(text).is_ok() && write_escaped(out, text).is_some();
    if !holds {
        out.truncate(start);
        out.extend_from_slice(b"\"\\\\x");
        for byte in text {
            out.push(hex_digit(byte >> 4));
            out.push(hex_digit(byte & 0xF));
        }
    }
    out.push(b'"');
    holds
}

/// Writes UTF-8 `text` as it stands between the quotes of a JSON string; `None` where that cannot be.
fn write_escaped(out: &mut Vec<u8>, text: &[u8]) -> Option<()> {
    // Whole stretches are copied; what must be escaped is rare.
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| must_escape(*byte)) {
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((byte, after)) = special.split_first() else { break };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0C => out.extend_from_slice(b"\\f"),
            0 => return None,
            control => {
                out.extend_from_slice(b"\\u00");
                out.push(hex_digit(control >> 4));
                out.push(hex_digit(control & 0xF));
            }
        }
        rest = after;
    }
    out.extend_from_slice(rest);
    Some(())
}

fn must_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// The digit of half a byte.
pub(super) fn hex_digit(half: u8) -> u8 {
    if half < 10 { b'0' + half } else { b'a' + half - 10 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bytes_that_are_not_text_are_kept_as_hexadecimal() {
        let mut out = Vec::new();
        assert!(!write_string(&mut out, b"a\xFF"));
        assert_eq!(out, br#""\\x61ff""#);
    }

    #[test]
    fn a_text_with_nul_is_kept_as_hexadecimal() {
        let mut out = Vec::new();
        assert!(!write_string(&mut out, b"a\n\0"));
        assert_eq!(out, br#""\\x610a00""#);
    }

    /// A key of several columns is looked up by its text.
    #[test]
    fn escapes_are_those_of_the_server() {
        let mut out = Vec::new();
        assert!(write_string(&mut out, b"\"\\/\x08\x0C\n\r\t\x01\x1F\x7F"));
        assert_eq!(out, b"\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7F\"");
    }

    proptest! {
        #[test]
        fn any_text_reads_back(text in any::<String>()) {
            prop_assume!(!text.contains('\0'));
            let mut out = Vec::new();
            prop_assert!(write_string(&mut out, text.as_bytes()));
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }
}
