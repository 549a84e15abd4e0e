//! JSON strings.

/// Writes `text` as a JSON string. Bytes that are not UTF-8, which only a database of encoding
/// `SQL_ASCII` sends, are written as `\x` and hexadecimal digits, like a `bytea`; `false` says so.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &[u8]) -> bool {
    if std::str::from_utf8(text).is_err() {
        out.extend_from_slice(b"\"\\\\x");
        for byte in text {
            out.push(hex_digit(byte >> 4));
            out.push(hex_digit(byte & 0xF));
        }
        out.push(b'"');
        return false;
    }
    out.push(b'"');
    write_escaped(out, text);
    out.push(b'"');
    true
}

/// Writes UTF-8 `text` as it stands between the quotes of a JSON string.
fn write_escaped(out: &mut Vec<u8>, text: &[u8]) {
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
            control => {
                out.extend_from_slice(b"\\u00");
                out.push(hex_digit(control >> 4));
                out.push(hex_digit(control & 0xF));
            }
        }
        rest = after;
    }
    out.extend_from_slice(rest);
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

    proptest! {
        #[test]
        fn any_text_reads_back(text in any::<String>()) {
            let mut out = Vec::new();
            prop_assert!(write_string(&mut out, text.as_bytes()));
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }
}
