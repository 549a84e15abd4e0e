//! Values of the extension hstore, in the form that its `hstore_out` gives them.

use super::json::write_string;

/// Writes an hstore's text, such as `"a"=>"1", "b"=>NULL`, as a JSON object of strings.
pub(super) fn write_object(out: &mut Vec<u8>, text: &[u8]) -> Option<()> {
    let mut rest = text;
    let mut unquoted = Vec::new();
    out.push(b'{');
    while !rest.is_empty() {
        if rest.len() < text.len() {
            rest = rest.strip_prefix(b", ")?;
            out.push(b',');
        }
        rest = take_quoted(rest, &mut unquoted)?;
        write_string(out, &unquoted).then_some(())?;
        out.push(b':');
        rest = rest.strip_prefix(b"=>")?;
        if let Some(after) = rest.strip_prefix(b"NULL") {
            rest = after;
            out.extend_from_slice(b"null");
        } else {
            rest = take_quoted(rest, &mut unquoted)?;
            write_string(out, &unquoted).then_some(())?;
        }
    }
    out.push(b'}');
    Some(())
}

fn take_quoted<'a>(text: &'a [u8], unquoted: &mut Vec<u8>) -> Option<&'a [u8]> {
    unquoted.clear();
    let mut rest = text.strip_prefix(b"\"")?;
    loop {
        match rest {
            [b'"', after @ ..] => return Some(after),
            [b'\\', escaped, after @ ..] => {
                unquoted.push(*escaped);
                rest = after;
            }
            [byte, after @ ..] => {
                unquoted.push(*byte);
                rest = after;
            }
            [] => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &str) -> Option<String> {
        let mut out = Vec::new();
        write_object(&mut out, text.as_bytes())?;
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn keys_and_values_are_strings_or_null() {
        assert_eq!(render("").unwrap(), "{}");
        assert_eq!(
            render(r#""a"=>"1", "b"=>NULL, "c \"d\" \\"=>", => ""#).unwrap(),
            r#"{"a":"1","b":null,"c \"d\" \\":", => "}"#
        );
    }

    #[test]
    fn what_a_string_cannot_hold_is_refused() {
        for text in [&b"\"a\"=>\"\xFF\""[..], b"\"\xFF\"=>NULL", b"\"a\"=>\"\0\""] {
            assert_eq!(write_object(&mut Vec::new(), text), None, "{text:?}");
        }
    }

    #[test]
    fn what_is_not_an_hstore_is_refused() {
        for text in ["a", "\"a\"", "\"a\"=>", "\"a\"=>\"b\"x", "\"a\"=>\"b\", ", "\"a"] {
            assert_eq!(render(text), None, "{text}");
        }
    }
}
