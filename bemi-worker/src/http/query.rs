//! What the path and the query of a request say, decoded.

use percent_encoding::percent_decode_str;

use super::answer::Refusal;

/// More, and it is no question.
const PAIRS_MAX: usize = 64;

/// The pairs of a query, in order. `+` is a space, as forms have it.
pub(super) fn pairs(query: Option<&str>) -> Result<Vec<(String, String)>, Refusal> {
    let parts = query.unwrap_or_default().split('&').filter(|part| !part.is_empty());
    let pairs: Option<Vec<_>> = parts
        .take(PAIRS_MAX + 1)
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            Some((decoded(&name.replace('+', " "))?, decoded(&value.replace('+', " "))?))
        })
        .collect();
    match pairs {
        None => {
            Err(Refusal::Request("the query must be UTF-8 without NUL when decoded".to_owned()))
        }
        Some(pairs) if pairs.len() > PAIRS_MAX => {
            Err(Refusal::Request(format!("the query has more than {PAIRS_MAX} parts")))
        }
        Some(pairs) => Ok(pairs),
    }
}

/// Takes the one value of a name out of the pairs.
pub(super) fn take_one(
    pairs: &mut Vec<(String, String)>,
    name: &str,
) -> Result<Option<String>, Refusal> {
    let mut values = pairs.extract_if(.., |(key, _)| key == name).map(|(_, value)| value);
    let value = values.next();
    match values.next() {
        None => Ok(value),
        Some(_) => Err(Refusal::Request(format!("{name} is there twice; say it once"))),
    }
}

/// A part of a path without its percent-encoding; `None` where that is no text, or none that
/// PostgreSQL could hold.
pub(super) fn decoded(part: &str) -> Option<String> {
    let text = percent_decode_str(part).decode_utf8().ok()?;
    (!text.contains('\0')).then(|| text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_as_forms_are() {
        let pairs = pairs(Some("a=1&&b=x+y%2B%26&c&d==")).unwrap();
        let pairs: Vec<_> = pairs.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(pairs, [("a", "1"), ("b", "x y+&"), ("c", ""), ("d", "=")]);
        assert!(super::pairs(None).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_text_or_no_question_is_refused() {
        for query in ["a=%ff", "a=%00", "%c3%28=1"] {
            assert!(pairs(Some(query)).is_err(), "{query}");
        }
        assert!(pairs(Some(&"a=1&".repeat(PAIRS_MAX))).is_ok());
        assert!(pairs(Some(&"a=1&".repeat(PAIRS_MAX + 1))).is_err());
    }
}
