//! What is stored of a context message, whoever wrote it.

use super::django;
use crate::render::{check_jsonb, write_string};

/// The largest message that is stored whole, in bytes. Ours have at most 1,000,000; one that is
/// larger than this is somebody else's mistake, and would be stored again with each row.
const CONTENT_MAX_BYTES: usize = 16 * 1024 * 1024;

/// How much is kept of a message that cannot be stored as it is, in bytes.
const RAW_MAX_BYTES: usize = 4096;

/// Why a message is not stored as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(crate) struct BadMessage {
    reason: String,
}

/// Writes the JSON that is stored for `content`: itself, if `jsonb` accepts it, without Django's
/// percent-encoding, and `{}` for `null`; else an object with the raw text and the reason, which is
/// returned too.
pub(super) fn write_stored(out: &mut String, content: &[u8]) -> Option<BadMessage> {
    let accepted = if content.len() > CONTENT_MAX_BYTES {
        Err(format!("it has more than {CONTENT_MAX_BYTES} bytes"))
    } else {
        check_jsonb(content).map_err(|refusal| refusal.to_string())
    };
    let text =
        accepted.and_then(|()| std::str::from_utf8(content).map_err(|error| error.to_string()));
    match text {
        Ok(text) if text.trim_ascii() == "null" => out.push_str("{}"),
        Ok(text) => out.push_str(django::decode(text).as_deref().unwrap_or(text)),
        Err(reason) => return Some(write_raw(out, content, reason)),
    }
    None
}

/// Whether a JSON text is `{}`, however it is spaced.
pub(crate) fn is_empty_object(json: &str) -> bool {
    let inside = json.trim_ascii().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    inside.is_some_and(|inside| inside.trim_ascii().is_empty())
}

/// Writes what is stored of a message that is not as it should be: an object with the first of its
/// bytes and the reason, which is returned too.
pub(super) fn write_raw(out: &mut String, content: &[u8], reason: String) -> BadMessage {
    let raw = content.get(..RAW_MAX_BYTES).unwrap_or(content);
    // PostgreSQL's text cannot hold NUL, jsonb neither.
    let raw = String::from_utf8_lossy(raw).replace('\0', "\u{FFFD}");
    out.push_str("{\"_bemi\":{\"raw\":");
    push_string(out, &raw);
    out.push_str(",\"error\":");
    push_string(out, &reason);
    out.push_str("}}");
    BadMessage { reason }
}

fn push_string(out: &mut String, text: &str) {
    let mut json = Vec::with_capacity(text.len() + 2);
    write_string(&mut json, text.as_bytes());
    // It was UTF-8, and escapes are ASCII.
    out.push_str(&String::from_utf8_lossy(&json));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn stored(content: &[u8]) -> (Value, bool) {
        let mut out = String::new();
        let bad = write_stored(&mut out, content).is_some();
        assert_eq!(check_jsonb(out.as_bytes()), Ok(()), "{out}");
        (serde_json::from_str(&out).unwrap(), bad)
    }

    #[test]
    fn json_is_stored_as_it_is_and_null_is_the_empty_object() {
        assert_eq!(stored(b"{\"a\": 1}"), (json!({"a": 1}), false));
        assert_eq!(stored(b"[1]"), (json!([1]), false));
        assert_eq!(stored(b"\"text\""), (json!("text"), false));
        assert_eq!(stored(b" null "), (json!({}), false));
    }

    #[test]
    fn an_empty_object_is_one_however_it_is_spaced() {
        for json in ["{}", " { \n} "] {
            assert!(is_empty_object(json), "{json}");
        }
        for json in ["{\"a\":1}", "[]", "\"{}\"", "", "{"] {
            assert!(!is_empty_object(json), "{json}");
        }
    }

    #[test]
    fn what_is_not_json_is_kept_raw_with_the_reason() {
        for content in
            [&b""[..], b"hello", b"{", b"\xFF\x00", b"{\"a\":\"\\u0000\"}", b"{\"a\":1e999999}"]
        {
            let (json, bad) = stored(content);
            assert!(bad);
            assert_eq!(
                json["_bemi"]["raw"],
                String::from_utf8_lossy(content).replace('\0', "\u{FFFD}")
            );
            assert!(json["_bemi"]["error"].is_string());
        }
    }

    #[test]
    fn the_raw_text_is_capped() {
        let (json, _) = stored(&[b'x'; 100_000]);
        assert_eq!(json["_bemi"]["raw"].as_str().unwrap().len(), RAW_MAX_BYTES);
    }

    proptest! {
        #[test]
        fn whatever_a_stranger_writes_is_stored_as_json(content in proptest::collection::vec(any::<u8>(), 0..64)) {
            stored(&content);
        }
    }
}
