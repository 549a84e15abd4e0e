//! Composite values, in the form that PostgreSQL's `record_out` gives them.

use std::sync::Arc;

use super::json::write_string;
use super::value::write_value;
use super::{Fidelity, Kind};

/// Writes a composite's text, such as `(1,"a b",)`, as a JSON object by attribute.
pub(super) fn write_object(
    out: &mut Vec<u8>,
    attributes: &[(String, Arc<Kind>)],
    text: &[u8],
) -> Option<Fidelity> {
    let mut rest = text.strip_prefix(b"(")?;
    let mut fidelity = Fidelity::Exact;
    let mut unquoted = Vec::new();

    out.push(b'{');
    for (position, (name, kind)) in attributes.iter().enumerate() {
        if position > 0 {
            rest = rest.strip_prefix(b",")?;
            out.push(b',');
        }
        write_string(out, name.as_bytes());
        out.push(b':');
        let (after, is_null) = take_field(rest, &mut unquoted)?;
        rest = after;
        if is_null {
            out.extend_from_slice(b"null");
        } else {
            fidelity = fidelity.and(write_value(out, kind, &unquoted));
        }
    }
    out.push(b'}');
    (rest == b")").then_some(fidelity)
}

/// Reads one field, undoing its quotes; what follows it is left. Nothing at all is NULL.
fn take_field<'a>(text: &'a [u8], unquoted: &mut Vec<u8>) -> Option<(&'a [u8], bool)> {
    unquoted.clear();
    let mut rest = text;
    let mut in_quotes = false;
    let mut is_null = true;
    loop {
        match rest {
            [b',' | b')', ..] if !in_quotes => return Some((rest, is_null)),
            // Two quotes inside quotes are one.
            [b'"', b'"', after @ ..] if in_quotes => {
                unquoted.push(b'"');
                rest = after;
            }
            [b'"', after @ ..] => {
                in_quotes = !in_quotes;
                rest = after;
            }
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
        is_null = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &str) -> Option<String> {
        let attributes = [
            ("id".to_owned(), Arc::new(Kind::Number)),
            ("a \"b\"".to_owned(), Arc::new(Kind::Text)),
            (
                "list".to_owned(),
                Arc::new(Kind::Array { element: Arc::new(Kind::Text), delimiter: b',' }),
            ),
        ];
        let mut out = Vec::new();
        let _ = write_object(&mut out, &attributes, text.as_bytes())?;
        Some(String::from_utf8(out).unwrap())
    }

    #[test]
    fn fields_are_null_empty_or_quoted() {
        assert_eq!(render("(1,,)").unwrap(), r#"{"id":1,"a \"b\"":null,"list":null}"#);
        assert_eq!(render(r#"(,"",{})"#).unwrap(), r#"{"id":null,"a \"b\"":"","list":[]}"#);
        assert_eq!(
            render(r#"(1,"a, ""b"" \\ (c)","{""x y"",NULL}")"#).unwrap(),
            r#"{"id":1,"a \"b\"":"a, \"b\" \\ (c)","list":["x y",null]}"#
        );
    }

    #[test]
    fn another_number_of_fields_is_refused() {
        for text in ["", "(", "(1,a)", "(1,a,{},4)", "1,a,{}", "(1,\"a,{})"] {
            assert_eq!(render(text), None, "{text}");
        }
    }
}
