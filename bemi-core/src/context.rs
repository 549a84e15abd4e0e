//! The context: a JSON object that says who, where and how.
//!
//! A context is a plain value. What makes it ambient is a [scope](crate::scope); what limits and
//! redacts it is the [message](crate::message) that it is encoded in.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A JSON object that is attached to row changes.
///
/// It is made from key and value, from [`serde_json::json!`], or from anything serializable:
///
/// ```
/// use bemi_core::Context;
/// use serde_json::json;
///
/// #[derive(serde::Serialize)]
/// struct Job {
///     queue: &'static str,
/// }
///
/// let by_key = Context::new().with("queue", "mail");
/// let by_json = Context::try_from(json!({ "queue": "mail" }))?;
/// let by_struct = Context::from_serialize(&Job { queue: "mail" })?;
/// assert_eq!(by_key, by_json);
/// assert_eq!(by_key, by_struct);
/// # Ok::<(), bemi_core::ContextError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Context {
    fields: Map<String, Value>,
}

/// Why a value is not a context.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContextError {
    /// The value serializes to something that is not a JSON object.
    #[error("a context is a JSON object, and this value is {found}; wrap it in a field of its own")]
    NotAnObject {
        /// What it is instead, as JSON calls it.
        found: &'static str,
    },
    /// The value does not serialize to JSON.
    #[error("the value given as a context does not serialize to JSON")]
    NotSerializable(#[source] serde_json::Error),
}

impl Context {
    /// A context without fields.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A context from anything that serializes to a JSON object. `null`, such as an `Option` that
    /// is `None`, is the empty context.
    ///
    /// # Errors
    ///
    /// [`ContextError`] when the value does not serialize, or to something else than an object.
    pub fn from_serialize<T: Serialize + ?Sized>(value: &T) -> Result<Self, ContextError> {
        serde_json::to_value(value).map_err(ContextError::NotSerializable)?.try_into()
    }

    /// This context with one more field; a field of the same key is replaced.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.insert(key, value);
        self
    }

    /// Sets one field; a field of the same key is replaced.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        self.fields.insert(key.into(), value.into());
    }

    /// Merges `inner` into this context, shallowly: where both have a key, `inner` wins.
    ///
    /// ```
    /// use bemi_core::Context;
    ///
    /// let mut request = Context::new().with("endpoint", "/todos").with("user_id", 1);
    /// request.merge(Context::new().with("user_id", 2));
    /// assert_eq!(request, Context::new().with("endpoint", "/todos").with("user_id", 2));
    /// ```
    pub fn merge(&mut self, inner: Self) {
        self.fields.extend(inner.fields);
    }

    /// The value of one field.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.fields.get(key)
    }

    /// Whether there is no field.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The number of fields.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// The fields, as a JSON object.
    #[must_use]
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// The fields, as a JSON object.
    #[must_use]
    pub fn into_map(self) -> Map<String, Value> {
        self.fields
    }
}

impl TryFrom<Value> for Context {
    type Error = ContextError;

    fn try_from(value: Value) -> Result<Self, ContextError> {
        let found = match value {
            Value::Object(fields) => return Ok(Self { fields }),
            Value::Null => return Ok(Self::new()),
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(_) => "an array",
        };
        Err(ContextError::NotAnObject { found })
    }
}

impl From<Map<String, Value>> for Context {
    fn from(fields: Map<String, Value>) -> Self {
        Self { fields }
    }
}

impl<K: Into<String>, V: Into<Value>> FromIterator<(K, V)> for Context {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(fields: I) -> Self {
        Self { fields: fields.into_iter().map(|(k, v)| (k.into(), v.into())).collect() }
    }
}

impl<K: Into<String>, V: Into<Value>, const N: usize> From<[(K, V); N]> for Context {
    fn from(fields: [(K, V); N]) -> Self {
        fields.into_iter().collect()
    }
}

impl From<Context> for Value {
    fn from(context: Context) -> Self {
        Self::Object(context.fields)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn only_an_object_or_null_is_a_context() {
        assert_eq!(Context::try_from(json!(null)).unwrap(), Context::new());
        assert_eq!(Context::from_serialize(&None::<u8>).unwrap(), Context::new());
        for not in [json!(true), json!(1), json!("a"), json!([1])] {
            assert!(matches!(Context::try_from(not), Err(ContextError::NotAnObject { .. })));
        }
        let error = Context::from_serialize(&[1, 2]).unwrap_err().to_string();
        assert!(error.contains("an array"), "{error}");
    }

    #[test]
    fn a_value_that_does_not_serialize_is_an_error() {
        let map = std::collections::HashMap::from([(vec![1_u8], 1)]);
        assert!(matches!(Context::from_serialize(&map), Err(ContextError::NotSerializable(_))));
    }

    fn small_context() -> impl Strategy<Value = Context> {
        proptest::collection::btree_map("[a-e]", any::<i64>(), 0..5)
            .prop_map(|fields| fields.into_iter().collect())
    }

    proptest! {
        #[test]
        fn a_merge_has_the_inner_fields_and_the_outer_ones_that_are_not_in_it(
            outer in small_context(), inner in small_context()
        ) {
            let mut merged = outer.clone();
            merged.merge(inner.clone());
            for (key, value) in merged.as_map() {
                prop_assert_eq!(Some(value), inner.get(key).or_else(|| outer.get(key)));
            }
            for key in outer.as_map().keys().chain(inner.as_map().keys()) {
                prop_assert!(merged.get(key).is_some());
            }
        }

        #[test]
        fn merging_is_associative(a in small_context(), b in small_context(), c in small_context()) {
            let mut left = a.clone();
            left.merge(b.clone());
            left.merge(c.clone());
            let mut bc = b;
            bc.merge(c);
            let mut right = a;
            right.merge(bc);
            prop_assert_eq!(left, right);
        }
    }
}
