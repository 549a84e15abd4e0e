//! Which values must not leave the process.

use serde_json::{Map, Value};

use crate::Context;

/// The text that takes the place of a value.
const REDACTED: &str = "[redacted]";

/// What the keys of secrets usually hold.
const DEFAULT_WORDS: [&str; 5] = ["password", "secret", "token", "authorization", "cookie"];

/// The keys whose values become `"[redacted]"` before a context leaves the process: those that
/// contain one of a list of words, in any case and at any depth.
///
/// The default words are `password`, `secret`, `token`, `authorization` and `cookie`.
///
/// ```
/// use bemi_core::{Context, MessageOptions, Redaction};
///
/// let options = MessageOptions::new().redaction(Redaction::default().also("iban"));
/// let message = options.encode(&Context::new().with("customer_IBAN", "DE89 3704"), None);
/// assert_eq!(message.as_str(), r#"{"customer_IBAN":"[redacted]"}"#);
/// ```
#[derive(Clone, Debug)]
pub struct Redaction {
    words: Vec<String>,
}

impl Default for Redaction {
    fn default() -> Self {
        DEFAULT_WORDS.into_iter().fold(Self::none(), Self::also)
    }
}

impl Redaction {
    /// No redaction.
    #[must_use]
    pub fn none() -> Self {
        Self { words: Vec::new() }
    }

    /// This list, and keys that contain `word`, in any case. The empty word is in every key.
    #[must_use]
    pub fn also(mut self, word: &str) -> Self {
        self.words.push(word.to_lowercase());
        self
    }

    /// The fields of `context`, redacted.
    pub(crate) fn redacted(&self, context: &Context) -> Map<String, Value> {
        let mut fields = context.as_map().clone();
        for (key, value) in &mut fields {
            self.apply(key, value);
        }
        fields
    }

    /// Redacts `value`, which stands under `key`, in place.
    fn apply(&self, key: &str, value: &mut Value) {
        if self.matches(key) {
            // That there was nothing is no secret.
            if !value.is_null() {
                *value = Value::String(REDACTED.to_owned());
            }
            return;
        }
        self.apply_within(value);
    }

    fn apply_within(&self, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    self.apply(key, value);
                }
            }
            Value::Array(items) => {
                for item in items {
                    self.apply_within(item);
                }
            }
            _ => {}
        }
    }

    fn matches(&self, key: &str) -> bool {
        if self.words.is_empty() {
            return false;
        }
        let key = key.to_lowercase();
        self.words.iter().any(|word| key.contains(word))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_redacted_in_any_case_and_at_any_depth() {
        let mut value = json!({
            "PASSWORD": "a", "list": [{"x-api-Token": {"deep": 1}}], "headers": {"Set-Cookie": ["b"]},
            "Authorization": null, "user": "kept"
        });
        Redaction::default().apply("params", &mut value);
        assert_eq!(
            value,
            json!({
                "PASSWORD": "[redacted]", "list": [{"x-api-Token": "[redacted]"}],
                "headers": {"Set-Cookie": "[redacted]"}, "Authorization": null, "user": "kept"
            })
        );
    }

    #[test]
    fn none_redacts_nothing() {
        let mut value = json!("a");
        Redaction::none().apply("password", &mut value);
        assert_eq!(value, json!("a"));
    }
}
