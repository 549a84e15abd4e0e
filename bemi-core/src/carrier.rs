//! A context across processes: in the payload of a job, a header between services, the metadata of a gRPC call.
//!
//! ```text
//!  scope ─▶ inject ─▶ "x-bemi-context": {"user_id":42} ─▶ extract ─▶ with_context ─▶ scope
//! ```
//!
//! The carrier is whatever has names and values: a closure puts or gets one, so that no trait is asked of it. The value is the
//! context as JSON in visible ASCII: a legal HTTP header, a legal gRPC metadata value, and text in any payload. It is redacted and
//! limited as a message is, and `jsonb` can hold it.
//!
//! **Who can write the carrier can forge the context.** Extract only from what your own code has injected: a queue of yours, a
//! service behind yours. What comes from a browser is a claim, and nothing more.
//!
//! Invariants: what is injected is at most the limit in size, and extracts to the same context, less what was redacted or left
//! out. What does not extract is an error, never half a context.

use crate::message::limit::{self, Charset};
use crate::message::without_nul;
use crate::{Context, ContextError, Redaction, current_context};

/// The name under which a context is carried: a header, a key of metadata, a field of a payload.
pub const CONTEXT_KEY: &str = "x-bemi-context";

/// The size of a carried context that is allowed unless said otherwise, in bytes. Servers often refuse requests with more than
/// 8 KiB of headers.
pub const CARRIED_LIMIT_DEFAULT_BYTES: usize = 4 * 1024;

/// Puts the context of the running scope into a carrier, with the default [`Carrier`]. Outside any scope it does nothing.
///
/// ```
/// use std::collections::HashMap;
///
/// use bemi_core::{Context, carrier, with_context_sync};
///
/// let mut headers = HashMap::new();
/// with_context_sync(Context::new().with("user_id", 42), || {
///     carrier::inject(|name, value| headers.insert(name, value));
/// });
/// assert_eq!(headers["x-bemi-context"], r#"{"user_id":42}"#);
///
/// let context = carrier::extract(|name| headers.get(name).map(String::as_str))?;
/// assert_eq!(context, Some(Context::new().with("user_id", 42)));
/// # Ok::<(), carrier::CarrierError>(())
/// ```
pub fn inject<R>(put: impl FnOnce(&'static str, String) -> R) {
    Carrier::new().inject(put);
}

/// Gets the context from a carrier, with the default [`Carrier`]; `None` where there is none.
///
/// # Errors
///
/// [`CarrierError`] when there is something that is no context, or a larger one than is allowed.
pub fn extract<'a>(
    get: impl FnOnce(&'static str) -> Option<&'a str>,
) -> Result<Option<Context>, CarrierError> {
    Carrier::new().extract(get)
}

/// How contexts are carried. Both ends should agree on the size.
///
/// ```
/// use bemi_core::Redaction;
/// use bemi_core::carrier::Carrier;
///
/// let carrier = Carrier::new().size_limit_bytes(16 * 1024).redaction(Redaction::default().also("iban"));
/// ```
#[derive(Clone, Debug)]
pub struct Carrier {
    size_limit_bytes: usize,
    redaction: Redaction,
}

/// Why what is in a carrier is not a context.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CarrierError {
    /// It is larger than is allowed here.
    #[error(
        "the carried context has {bytes} bytes and {limit_bytes} are allowed; allow more by `Carrier::size_limit_bytes`, \
         or carry less"
    )]
    TooLarge {
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        limit_bytes: usize,
    },
    /// It is not JSON.
    #[error("the carried context is not JSON; only what `inject` has put there can be extracted")]
    NotJson(#[source] serde_json::Error),
    /// It is JSON, but no context.
    #[error("the carried value is no context; only what `inject` has put there can be extracted")]
    NotAContext(#[source] ContextError),
}

impl Default for Carrier {
    fn default() -> Self {
        Self { size_limit_bytes: CARRIED_LIMIT_DEFAULT_BYTES, redaction: Redaction::default() }
    }
}

impl Carrier {
    /// The defaults: 4 KiB, the default [`Redaction`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Limits what is carried to that many bytes, 256 to 1,000,000: outside that range the nearest of the two is taken. Of a larger
    /// context the largest values are left out when it is injected, and what was left out is said, as in a message; one that is
    /// larger when it is extracted is an error.
    #[must_use]
    pub fn size_limit_bytes(mut self, bytes: usize) -> Self {
        self.size_limit_bytes = limit::clamped(bytes);
        self
    }

    /// Redacts the values of other keys than the default ones.
    #[must_use]
    pub fn redaction(mut self, redaction: Redaction) -> Self {
        self.redaction = redaction;
        self
    }

    /// Puts the context of the running scope into a carrier. Outside any scope it does nothing.
    pub fn inject<R>(&self, put: impl FnOnce(&'static str, String) -> R) {
        if let Some(context) = current_context() {
            put(CONTEXT_KEY, self.encode(&context));
        }
    }

    /// Gets the context from a carrier; `None` where there is none.
    ///
    /// # Errors
    ///
    /// As [`extract`].
    pub fn extract<'a>(
        &self,
        get: impl FnOnce(&'static str) -> Option<&'a str>,
    ) -> Result<Option<Context>, CarrierError> {
        get(CONTEXT_KEY).map(|value| self.decode(value)).transpose()
    }

    /// A context as it is carried, for a carrier that has a place of its own for it, such as a column.
    #[must_use]
    pub fn encode(&self, context: &Context) -> String {
        let fields = self.redaction.redacted(context);
        let json = limit::to_json_within(fields, self.size_limit_bytes, Charset::Ascii);
        without_nul(&json).into_owned()
    }

    /// What [`encode`](Self::encode) made, as a context.
    ///
    /// # Errors
    ///
    /// As [`extract`].
    pub fn decode(&self, value: &str) -> Result<Context, CarrierError> {
        let (bytes, limit_bytes) = (value.len(), self.size_limit_bytes);
        if bytes > limit_bytes {
            return Err(CarrierError::TooLarge { bytes, limit_bytes });
        }
        let json: serde_json::Value = serde_json::from_str(value).map_err(CarrierError::NotJson)?;
        Context::try_from(json).map_err(CarrierError::NotAContext)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::with_context_sync;

    fn context(value: Value) -> Context {
        value.try_into().unwrap()
    }

    #[test]
    fn outside_any_scope_nothing_is_put() {
        inject(|_, value| panic!("{value}"));
        assert_eq!(extract(|_| None).unwrap(), None);
    }

    #[test]
    fn the_scopes_around_are_carried_along() {
        let mut carried = None;
        with_context_sync([("user_id", 1)], || {
            with_context_sync([("job", 2)], || inject(|name, value| carried = Some((name, value))));
        });
        let (name, value) = carried.unwrap();
        assert_eq!((name, value.as_str()), (CONTEXT_KEY, r#"{"job":2,"user_id":1}"#));
    }

    #[test]
    fn secrets_are_redacted() {
        let value = Carrier::new().encode(&context(json!({"api_token": "hush", "iban": "DE89"})));
        assert_eq!(value, r#"{"api_token":"[redacted]","iban":"DE89"}"#);
        let own = Carrier::new().redaction(Redaction::none().also("iban"));
        let value = own.encode(&context(json!({"api_token": "hush", "iban": "DE89"})));
        assert_eq!(value, r#"{"api_token":"hush","iban":"[redacted]"}"#);
    }

    #[test]
    fn what_is_not_ascii_is_escaped_and_counts_as_such() {
        let value = Carrier::new().encode(&context(json!({"ö": "\u{1F600}\u{7f}\n"})));
        assert_eq!(value, r#"{"\u00f6":"\ud83d\ude00\u007f\n"}"#);
        let long = context(json!({"a": "ö".repeat(100), "b": 1}));
        let value = Carrier::new().size_limit_bytes(256).encode(&long);
        assert_eq!(value, r#"{"_bemi":{"truncated":["/a"]},"b":1}"#);
    }

    #[test]
    fn what_is_carried_fits_into_a_column_of_type_jsonb() {
        let value = Carrier::new().encode(&context(json!({"a": "\0", "b": "\\u0000"})));
        assert_eq!(value, r#"{"a":"\ufffd","b":"\\u0000"}"#);
    }

    #[test]
    fn what_is_not_a_context_is_an_error() {
        fn extract(value: &str) -> Result<Option<Context>, CarrierError> {
            super::extract(|_| Some(value))
        }
        assert!(matches!(extract("{"), Err(CarrierError::NotJson(_))));
        assert!(matches!(extract(""), Err(CarrierError::NotJson(_))));
        assert!(matches!(extract("{} {}"), Err(CarrierError::NotJson(_))));
        assert!(matches!(extract("[1]"), Err(CarrierError::NotAContext(_))));
        assert!(matches!(
            extract(&"[".repeat(5000)),
            Err(CarrierError::TooLarge { bytes: 5000, limit_bytes: CARRIED_LIMIT_DEFAULT_BYTES })
        ));
        assert!(matches!(extract(&"[".repeat(4000)), Err(CarrierError::NotJson(_))));
        assert_eq!(extract("null").unwrap(), Some(Context::new()));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[\\x00-\\x7f\u{80}\u{d7ff}\u{10ffff}]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::hash_map(any::<String>(), inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    fn any_context() -> impl Strategy<Value = Context> {
        proptest::collection::hash_map(any::<String>(), any_json(), 0..6)
            .prop_map(|fields| fields.into_iter().collect())
    }

    proptest! {
        #[test]
        fn any_context_is_carried_as_it_is_in_visible_ascii(context in any_context()) {
            let carrier = Carrier::new().redaction(Redaction::none()).size_limit_bytes(1_000_000);
            let value = carrier.encode(&context);
            prop_assert!(value.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{}", value);
            let json = serde_json::to_string(&context).unwrap();
            if !json.contains("u0000") {
                prop_assert_eq!(carrier.decode(&value).unwrap(), context);
            }
        }

        #[test]
        fn what_is_injected_fits_and_extracts(context in any_context(), limit_bytes in 256_usize..1000) {
            let carrier = Carrier::new().size_limit_bytes(limit_bytes);
            let value = carrier.encode(&context);
            prop_assert!(value.len() <= limit_bytes);
            prop_assert!(carrier.decode(&value).is_ok());
        }

        #[test]
        fn any_text_is_a_context_or_an_error(value: String) {
            let _ = Carrier::new().decode(&value);
        }
    }
}
