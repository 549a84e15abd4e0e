//! Undoes the percent-encoding of the family's package for Django, where it is certain.
//!
//! The package writes `json.dumps({**context, "SQL": sql})` and encodes 14 characters of it, as
//! `?` to `%3F`; the percent sign is not one of them. So the text of another package may look the
//! same, and what a text is must be told from all of it ([`is_django`]).
//!
//! Invariant: decoding changes no structure, as none of the characters means anything in JSON, and
//! encoding again gives the text that was sent.

/// What the package encodes of ASCII's printable characters. It cannot be in its texts.
const ENCODED: &[u8] = b"!#$&*+;<>?@^`|";

/// The last member of the object, as the package writes it. Inside of a string its quotes would be
/// escaped.
const LAST_MEMBER: &str = ", \"SQL\": \"";

/// How the statements of Django's models begin, and what stands behind the name of their table. The
/// quotes are in JSON, and so escaped.
const STATEMENTS: [(&str, &str); 3] = [
    ("INSERT INTO \\\"", "\\\" (\\\""),
    ("UPDATE \\\"", "\\\" SET \\\""),
    ("DELETE FROM \\\"", "\\\" WHERE "),
];

/// How Django's statements say where a parameter goes. Other packages' are numbered, or named.
const PARAMETER: &str = "%s";

/// The same in a statement that was sent without parameters: the package doubles percent signs,
/// and only where there are parameters does the driver take that back.
const DOUBLED: &str = "%%s";

/// The text as it was before it was encoded; `None` where there is nothing to decode, or where it
/// is not certain that it was Django who wrote it.
pub(super) fn decode(text: &str) -> Option<String> {
    if !text.contains('%') || !is_django(text) {
        return None;
    }
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, from)) = rest.split_once('%') {
        decoded.push_str(before);
        if let Some(character) = from.get(..2).and_then(encoded) {
            decoded.push(character);
            rest = from.get(2..).unwrap_or_default();
        } else {
            decoded.push('%');
            rest = from;
        }
    }
    decoded.push_str(rest);
    (decoded != text).then_some(decoded)
}

/// The character that the package writes as `%` and these digits.
fn encoded(digits: &str) -> Option<char> {
    let is_upper = digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F'));
    let byte =
        u8::from_str_radix(digits, 16).ok().filter(|byte| is_upper && ENCODED.contains(byte))?;
    Some(char::from(byte))
}

/// Whether it can only be the package's: an object in ASCII as Python writes it, without any of the
/// characters that it encodes and without what would end a comment, whose last member is a
/// statement of a model of Django's.
fn is_django(text: &str) -> bool {
    let Some(inside) = text.strip_prefix('{').and_then(|text| text.strip_suffix("\"}")) else {
        return false;
    };
    let Some((members, statement)) = inside.rsplit_once(LAST_MEMBER) else { return false };
    is_package_text(text) && is_statement(statement) && is_spaced(members)
}

fn is_package_text(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~') && !ENCODED.contains(&byte))
        && !text.contains("--")
}

/// A statement of Django's, its identifiers in quotes; and nothing but this one string.
fn is_statement(text: &str) -> bool {
    let is_django = STATEMENTS.iter().any(|(start, behind)| {
        let table = text.strip_prefix(start).and_then(|rest| rest.split_once(behind));
        table.is_some_and(|(_, rest)| rest.contains(PARAMETER) && !rest.contains(DOUBLED))
    });
    is_django && !has_bare_quote(text)
}

fn has_bare_quote(text: &str) -> bool {
    let mut is_escaped = false;
    text.bytes().any(|byte| {
        let is_bare = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_bare
    })
}

/// Whether a space, and one, follows each comma and colon outside of strings, and nothing else.
fn is_spaced(members: &str) -> bool {
    let (mut is_string, mut is_escaped) = (false, false);
    let mut bytes = members.bytes().peekable();
    while let Some(byte) = bytes.next() {
        if is_string {
            is_string = is_escaped || byte != b'"';
            is_escaped = byte == b'\\' && !is_escaped;
            continue;
        }
        match byte {
            b'"' => is_string = true,
            b',' | b':' if bytes.next() != Some(b' ') || bytes.peek() == Some(&b' ') => {
                return false;
            }
            b' ' => return false,
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INSERT: &str = r#""SQL": "INSERT INTO \"todo\" (\"task\") VALUES (%s)"}"#;

    fn django(members: &str) -> Option<String> {
        decode(&format!("{{{members}, {INSERT}"))
    }

    #[test]
    fn what_the_package_encodes_is_decoded_and_no_other_sequence() {
        let all = r#""a": "%21%23%24%26%2A%2B%3B%3C%3E%3F%40%5E%60%7C""#;
        assert_eq!(django(all), Some(format!("{{{}, {INSERT}", r##""a": "!#$&*+;<>?@^`|""##)));
        let mixed = r#""a": "%3Fq=100%25 sure %20 %3f %C3%A9 %zz %%26 %""#;
        let expected = r#""a": "?q=100%25 sure %20 %3f %C3%A9 %zz %& %""#;
        assert_eq!(django(mixed), Some(format!("{{{expected}, {INSERT}")));
        assert_eq!(django(r#""sure": "100%25 sure""#), None);
        assert_eq!(django(r#""end": "%""#), None);
    }

    #[test]
    fn its_updates_and_deletes_are_recognised_too() {
        for sql in [
            r#"UPDATE \"todo\" SET \"task\" = %s WHERE \"todo\".\"id\" = %s"#,
            r#"DELETE FROM \"todo\" WHERE \"todo\".\"id\" IN (%s)"#,
        ] {
            let text = format!(r#"{{"a": {{"b": ["%3F", 1]}}, "SQL": "{sql}"}}"#);
            assert_eq!(decode(&text), Some(text.replace("%3F", "?")), "{sql}");
        }
    }

    #[test]
    fn what_another_wrote_is_left_alone() {
        for text in [
            // JavaScript's and our own JSON, without spaces.
            r#"{"a":"%3F","SQL":"INSERT INTO \"todo\" (\"task\") VALUES (%s)"}"#,
            r#"{"a":"%3F", "SQL": "INSERT INTO \"todo\" (\"task\") VALUES (%s)"}"#,
            // Without a statement, or with one that no model of Django's makes.
            r#"{"path": "/a%3Fb", "note": "100%25 sure"}"#,
            r#"{"a": "%3F", "SQL": "INSERT INTO todo (task) VALUES (%s)"}"#,
            r#"{"a": "%3F", "SQL": "INSERT INTO \"Order\" (task) VALUES (%s)"}"#,
            r#"{"a": "%3F", "SQL": "INSERT INTO \"todo\" (\"task\") VALUES (1)"}"#,
            r#"{"a": "%3F", "SQL": "DELETE FROM \"todo\""}"#,
            r#"{"a": "%3F", "SQL": "UPDATE \"todo\" SET \"a\" = 1 WHERE \"id\" = 2"}"#,
            r#"{"a": "%3F", "SQL": "SELECT 1"}"#,
            // Not the last member, or not a member of the object itself.
            r#"{"SQL": "DELETE FROM \"todo\" WHERE \"id\" = %s", "a": "%3F"}"#,
            r#"{"a": "%3F", "SQL": "DELETE FROM \"todo\" WHERE \"id\" = %s", "b": "c"}"#,
            r#"{"a": {"b": "%3F", "SQL": "DELETE FROM \"todo\" WHERE \"id\" = %s"}}"#,
            // What the package would have encoded, taken apart, or escaped.
            r#"{"a": "%3F?", "SQL": "DELETE FROM \"todo\" WHERE \"id\" = %s"}"#,
            r#"{"a": "%3F", "SQL": "DELETE FROM \"todo\" WHERE \"id\" = $1"}"#,
            r#"{"a": "%3F -- ", "SQL": "DELETE FROM \"todo\" WHERE \"id\" = %s"}"#,
            r#"{"a": "%3Fé", "SQL": "DELETE FROM \"todo\" WHERE \"id\" = %s"}"#,
            // Sent without parameters.
            r#"{"a": "%%3F", "SQL": "DELETE FROM \"todo\" WHERE \"id\" = '%%s'"}"#,
            r#"{"a":  "%3F", "SQL": "DELETE FROM \"todo\" WHERE \"id\" = %s"}"#,
            "%3F",
            "",
        ] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    /// As the package encodes.
    fn encode(text: &str) -> String {
        text.chars()
            .map(|c| match u8::try_from(c) {
                Ok(byte) if ENCODED.contains(&byte) => format!("%{byte:02X}"),
                _ => c.to_string(),
            })
            .collect()
    }

    proptest! {
        #[test]
        fn whatever_is_sent_can_be_had_back(value in "[ -~]{0,40}") {
            let value = value.replace("--", "- -");
            let json = serde_json::Value::from(value).to_string();
            let sent = encode(&format!("{{\"a\": {json}, {INSERT}"));
            if let Some(decoded) = decode(&sent) {
                prop_assert_eq!(encode(&decoded), sent);
                prop_assert!(serde_json::from_str::<serde_json::Value>(&decoded).is_ok());
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,60}") {
            decode(&text);
        }

        /// Where the package's own text held nothing that looks encoded, it is restored.
        #[test]
        fn a_value_without_percent_signs_comes_back(value in "[ -$&-~]{0,40}") {
            let value = value.replace("--", "- -");
            let json = serde_json::Value::from(value).to_string();
            let original = format!("{{\"a\": {json}, {INSERT}");
            let sent = encode(&original);
            prop_assert_eq!(decode(&sent).unwrap_or(sent), original);
        }
    }
}
