//! The size limit of an encoded context: what does not fit is left out, largest first, and named.
//!
//! Invariant: the result is a JSON object of at most the limit, whatever goes in, in the characters that are asked for.

use std::cmp::Reverse;
use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::{SIZE_LIMIT_MAX_BYTES, SIZE_LIMIT_MIN_BYTES};

/// The key under which bemi speaks of a context itself.
const BEMI_KEY: &str = "_bemi";

/// The characters that a text may consist of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charset {
    /// All.
    Unicode,
    /// Visible ones of ASCII, and the space.
    Ascii,
}

/// The nearest size limit that can be set.
pub(crate) fn clamped(limit_bytes: usize) -> usize {
    limit_bytes.clamp(SIZE_LIMIT_MIN_BYTES, SIZE_LIMIT_MAX_BYTES)
}

/// `fields` as JSON text of at most `limit_bytes`.
pub(crate) fn to_json_within(
    mut fields: Map<String, Value>,
    limit_bytes: usize,
    charset: Charset,
) -> String {
    let whole = charset.json_text(&fields);
    if whole.len() <= limit_bytes {
        return whole;
    }

    let mut candidates = Vec::new();
    charset.collect_leaves(&fields, &mut Vec::new(), &mut candidates);
    candidates.sort_by_key(|leaf| Reverse(leaf.saved_bytes));

    let mut size_bytes = whole.len() + TRUNCATED_FRAME_BYTES;
    let mut pointers = Vec::new();
    for leaf in candidates {
        if size_bytes <= limit_bytes || leaf.saved_bytes == 0 {
            break;
        }
        remove(&mut fields, &leaf.path);
        size_bytes = size_bytes.saturating_sub(leaf.saved_bytes);
        pointers.push(pointer(&leaf.path));
    }
    name_truncated(&mut fields, &pointers);
    let text = charset.json_text(&fields);
    if text.len() <= limit_bytes {
        return text;
    }

    // So many small fields that naming them takes more than they do: the pointer to the whole.
    let mut nothing = Map::new();
    name_truncated(&mut nothing, &[String::new()]);
    charset.json_text(&nothing)
}

/// What `"_bemi":{"truncated":[]},` takes.
const TRUNCATED_FRAME_BYTES: usize = 26;

/// A value that can be left out: anything but an object that has fields.
struct Leaf {
    path: Vec<String>,
    /// How many bytes leaving it out saves, less what naming it takes.
    saved_bytes: usize,
}

impl Charset {
    fn collect_leaves(
        self,
        fields: &Map<String, Value>,
        path: &mut Vec<String>,
        leaves: &mut Vec<Leaf>,
    ) {
        for (key, value) in fields {
            path.push(key.clone());
            match value {
                Value::Object(inner) if !inner.is_empty() => {
                    self.collect_leaves(inner, path, leaves);
                }
                _ => {
                    // `"key":value,` goes, `"/path",` comes.
                    let gone = self.json_text(key).len() + self.json_text(value).len() + 2;
                    let come = self.json_text(&pointer(path)).len() + 1;
                    let saved_bytes = gone.saturating_sub(come);
                    leaves.push(Leaf { path: path.clone(), saved_bytes });
                }
            }
            path.pop();
        }
    }

    /// A `Value`, a map of them or a string is always JSON: the keys are strings, and nothing in it has a serializer of its own
    /// that could fail.
    fn json_text<T: serde::Serialize + ?Sized>(self, value: &T) -> String {
        let text = serde_json::to_string(value).unwrap_or_default();
        match self {
            Self::Unicode => text,
            Self::Ascii => escaped(text),
        }
    }
}

/// JSON has characters beyond ASCII in strings only, where any may be written by its UTF-16 code.
fn escaped(json: String) -> String {
    let is_visible = |character| matches!(character, ' '..='~');
    if json.chars().all(is_visible) {
        return json;
    }
    let mut text = String::with_capacity(json.len() * 2);
    for character in json.chars() {
        if is_visible(character) {
            text.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    text
}

fn remove(fields: &mut Map<String, Value>, path: &[String]) {
    match path {
        [] => {}
        [key] => {
            fields.remove(key);
        }
        [key, rest @ ..] => {
            if let Some(Value::Object(inner)) = fields.get_mut(key) {
                remove(inner, rest);
            }
        }
    }
}

/// A JSON pointer, as RFC 6901 has it.
fn pointer(path: &[String]) -> String {
    let mut pointer = String::new();
    for key in path {
        pointer.push('/');
        pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
    }
    pointer
}

fn name_truncated(fields: &mut Map<String, Value>, pointers: &[String]) {
    let truncated = json!(pointers);
    if let Some(Value::Object(own)) = fields.get_mut(BEMI_KEY) {
        own.insert("truncated".to_owned(), truncated);
    } else {
        fields.insert(BEMI_KEY.to_owned(), json!({ "truncated": truncated }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(value: Value, limit_bytes: usize) -> Value {
        let Value::Object(fields) = value else { panic!("an object") };
        let text = to_json_within(fields, limit_bytes, Charset::Unicode);
        assert!(text.len() <= limit_bytes, "{} > {limit_bytes}", text.len());
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn the_largest_values_go_first_and_only_as_many_as_must() {
        let value = json!({"a": "x".repeat(300), "b": "y".repeat(200), "c": "z".repeat(100)});
        assert_eq!(
            limited(value, 400),
            json!({"b": "y".repeat(200), "c": "z".repeat(100), "_bemi": {"truncated": ["/a"]}})
        );
    }

    #[test]
    fn a_pointer_escapes_its_keys() {
        let value = json!({"a/b": {"~": "x".repeat(400)}});
        assert_eq!(limited(value, 256), json!({"a/b": {}, "_bemi": {"truncated": ["/a~1b/~0"]}}));
    }

    #[test]
    fn an_own_bemi_object_is_kept() {
        let value = json!({"_bemi": {"source": "jobs"}, "a": "x".repeat(400)});
        assert_eq!(limited(value, 256), json!({"_bemi": {"source": "jobs", "truncated": ["/a"]}}));
    }

    #[test]
    fn ten_thousand_small_fields_are_left_out_together() {
        let fields: Map<_, _> = (0..10_000).map(|n| (format!("k{n}"), json!(n))).collect();
        assert_eq!(limited(Value::Object(fields), 300), json!({"_bemi": {"truncated": [""]}}));
    }
}
