//! One value.

use super::{Fidelity, Kind, array, composite, hstore, json, jsonb};

/// Writes the JSON of a value whose text the server sent.
pub(crate) fn write_value(out: &mut Vec<u8>, kind: &Kind, text: &[u8]) -> Fidelity {
    let start = out.len();
    match write_exact(out, kind, text) {
        Some(fidelity) => fidelity,
        None => {
            out.truncate(start);
            json::write_string(out, text);
            Fidelity::Encoded
        }
    }
}

/// `None` where the text is not what the kind promises, or `jsonb` cannot hold it.
fn write_exact(out: &mut Vec<u8>, kind: &Kind, text: &[u8]) -> Option<Fidelity> {
    match kind {
        Kind::Text => return json::write_string(out, text).then_some(Fidelity::Exact),
        Kind::CastToJson | Kind::Unknown => return None,
        Kind::Number => match text {
            b"NaN" | b"Infinity" | b"-Infinity" => {
                return json::write_string(out, text).then_some(Fidelity::Exact);
            }
            _ => {
                jsonb::check_number(text).ok()?;
                out.extend_from_slice(text);
            }
        },
        Kind::Boolean => match text {
            b"t" => out.extend_from_slice(b"true"),
            b"f" => out.extend_from_slice(b"false"),
            _ => return None,
        },
        Kind::Timestamp | Kind::TimestampTz => write_timestamp(out, text)?,
        // An attribute of a composite may have become `jsonb` after this was written.
        Kind::Json | Kind::Jsonb => {
            jsonb::check(text).ok()?;
            out.extend_from_slice(text);
        }
        Kind::Array { element, delimiter } => {
            return array::write_array(out, element, *delimiter, text);
        }
        Kind::Vector { element } => return Some(array::write_vector(out, element, text)),
        Kind::Composite { attributes } => return composite::write_object(out, attributes, text),
        Kind::Hstore => hstore::write_object(out, text)?,
    }
    Some(Fidelity::Exact)
}

/// `2004-10-19 10:23:54+00 BC` becomes `2004-10-19T10:23:54+00:00 BC`: the form of XML Schema,
/// which `to_jsonb` takes. `infinity` stays.
fn write_timestamp(out: &mut Vec<u8>, text: &[u8]) -> Option<()> {
    out.push(b'"');
    match text {
        b"infinity" | b"-infinity" => out.extend_from_slice(text),
        _ => {
            let (date, time) = split_once(text, b' ')?;
            if !date.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-') {
                return None;
            }
            let (time, era) = match time.strip_suffix(b" BC") {
                Some(time) => (time, b" BC".as_slice()),
                None => (time, b"".as_slice()),
            };
            if !time.iter().all(|byte| byte.is_ascii_digit() || b":.+-".contains(byte)) {
                return None;
            }
            out.extend_from_slice(date);
            out.push(b'T');
            out.extend_from_slice(time);
            // An offset of whole hours has no minutes in ISO style.
            if let [.., b'+' | b'-', _, _] = time {
                out.extend_from_slice(b":00");
            }
            out.extend_from_slice(era);
        }
    }
    out.push(b'"');
    Some(())
}

fn split_once(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(separator, text)?;
    let (before, after) = text.split_at_checked(at)?;
    Some((before, after.get(1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(kind: &Kind, text: &str) -> (String, Fidelity) {
        let mut out = Vec::new();
        let fidelity = write_value(&mut out, kind, text.as_bytes());
        (String::from_utf8(out).unwrap(), fidelity)
    }

    fn exact(kind: &Kind, text: &str) -> String {
        let (json, fidelity) = render(kind, text);
        assert_eq!(fidelity, Fidelity::Exact, "{json}");
        json
    }

    #[test]
    fn numbers_keep_every_digit() {
        for text in [
            "0",
            "-1",
            "9007199254740993",
            "1.10",
            "1e+20",
            "-0.5",
            "123456789012345678901234567890.5",
        ] {
            assert_eq!(exact(&Kind::Number, text), text);
        }
        for text in ["NaN", "Infinity", "-Infinity"] {
            assert_eq!(exact(&Kind::Number, text), format!("\"{text}\""));
        }
    }

    #[test]
    fn timestamps_are_as_xml_schema_has_them() {
        for (text, json) in [
            ("2004-10-19 10:23:54", r#""2004-10-19T10:23:54""#),
            ("2004-10-19 10:23:54.123456", r#""2004-10-19T10:23:54.123456""#),
            ("0044-03-15 00:00:00 BC", r#""0044-03-15T00:00:00 BC""#),
            ("294276-12-31 23:59:59.999999", r#""294276-12-31T23:59:59.999999""#),
            ("infinity", r#""infinity""#),
            ("-infinity", r#""-infinity""#),
        ] {
            assert_eq!(exact(&Kind::Timestamp, text), json);
        }
        for (text, json) in [
            ("2004-10-19 10:23:54+00", r#""2004-10-19T10:23:54+00:00""#),
            ("2004-10-19 10:23:54.1-05", r#""2004-10-19T10:23:54.1-05:00""#),
            ("2004-10-19 10:23:54+05:30", r#""2004-10-19T10:23:54+05:30""#),
            ("0044-03-15 00:00:00+00 BC", r#""0044-03-15T00:00:00+00:00 BC""#),
        ] {
            assert_eq!(exact(&Kind::TimestampTz, text), json);
        }
    }

    #[test]
    fn a_text_that_its_type_does_not_promise_is_kept_and_marked() {
        for (kind, text) in [
            (Kind::Boolean, "yes"),
            (Kind::Number, ""),
            (Kind::Number, "-"),
            (Kind::Number, "1a"),
            (Kind::Number, "007"),
            (Kind::Number, "1e400000"),
            (Kind::Number, "inf"),
            (Kind::Jsonb, "{"),
            (Kind::Jsonb, "text"),
            (Kind::Timestamp, "19/10/2004 10:23:54"),
            (Kind::Timestamp, "2004-10-19"),
            (Kind::Json, "{"),
            (Kind::Json, r#""\u0000""#),
            (Kind::Hstore, "a"),
            (Kind::CastToJson, "0101000000"),
            (Kind::Unknown, "x"),
        ] {
            let (json, fidelity) = render(&kind, text);
            assert_eq!(fidelity, Fidelity::Encoded, "{kind:?} {text}");
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }

    #[test]
    fn the_work_is_linear_in_the_text_and_so_is_the_json() {
        use std::sync::Arc;
        let nested = |kind: Kind, wrap: fn(Arc<Kind>) -> Kind| {
            (0..32).fold(kind, |kind, _| wrap(Arc::new(kind)))
        };
        let array = |element| Kind::Array { element, delimiter: b',' };
        let composite = |kind| Kind::Composite { attributes: vec![("a".to_owned(), kind)] };
        let kinds = [
            Kind::Text,
            Kind::Number,
            Kind::Json,
            Kind::Jsonb,
            Kind::Timestamp,
            Kind::Hstore,
            Kind::Vector { element: Arc::new(Kind::Number) },
            nested(Kind::Number, array),
            nested(Kind::Number, composite),
        ];
        // Quadratic work on one of these would take a minute.
        for part in [
            "{",
            "[",
            "(",
            "\"",
            "\\",
            "\"\\",
            "\"\"",
            ",",
            "{\"",
            "(\"",
            "[[],",
            "{\"a\":",
            "\"\"=>",
            "1",
            " ",
            "\u{1}",
            "{{1}",
            "\"a\"=>NULL, ",
            "1 ",
        ] {
            let text = part.repeat(100_000 / part.len());
            for kind in &kinds {
                let (json, _) = render(kind, &text);
                assert!(
                    json.len() <= 16 * text.len(),
                    "{} bytes of {part} as {kind:?}",
                    json.len()
                );
            }
        }
    }
}
