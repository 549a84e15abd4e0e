//! The id of a request: the header `x-request-id`.
//!
//! Invariant: a [`RequestId`] is 1 to 128 visible ASCII characters, whoever chose it, so that it is
//! safe in a header, a log line and a context.

use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The length of an id that is taken from a client at most, in bytes.
const LENGTH_MAX_BYTES: usize = 128;

/// The id of a request.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// The id in the request's headers. If there is none that is fit to be kept, one is generated
    /// and set, so that whoever looks later finds the same.
    pub(crate) fn ensure(headers: &mut HeaderMap) -> Self {
        if let Some(id) = headers.get(X_REQUEST_ID).filter(|value| is_fit(value.as_bytes())) {
            return Self(id.clone());
        }
        let id = Self::generate();
        set(headers, &id);
        id
    }

    /// Sets the response's header, unless it is there.
    pub(crate) fn put_if_absent(self, headers: &mut HeaderMap) {
        if !headers.contains_key(X_REQUEST_ID) {
            set(headers, &self);
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        // Visible ASCII always is a str.
        self.0.to_str().unwrap_or_default()
    }

    #[allow(clippy::expect_used, reason = "the text of a UUID is hexadecimal digits and hyphens")]
    fn generate() -> Self {
        let text = Uuid::new_v4().to_string();
        Self(HeaderValue::try_from(text).expect("a UUID fits in a header"))
    }
}

fn is_fit(value: &[u8]) -> bool {
    (1..=LENGTH_MAX_BYTES).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic)
}

fn set(headers: &mut HeaderMap, id: &RequestId) {
    // A map that holds its 32,768 names already does without.
    let _full = headers.try_insert(X_REQUEST_ID, id.0.clone());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_id_that_is_generated_is_fit_and_is_never_the_same() {
        let (one, two) = (RequestId::generate(), RequestId::generate());
        assert!(is_fit(one.0.as_bytes()));
        assert_ne!(one.as_str(), two.as_str());
    }

    proptest! {
        #[test]
        fn an_id_is_kept_exactly_when_it_is_1_to_128_visible_ascii_characters(
            bytes in prop_oneof!["[!-~]{0,140}".prop_map(String::into_bytes), any::<Vec<u8>>()]
        ) {
            let Ok(value) = HeaderValue::from_bytes(&bytes) else { return Ok(()) };
            let mut headers = HeaderMap::from_iter([(X_REQUEST_ID, value)]);
            let id = RequestId::ensure(&mut headers);
            let keep = !bytes.is_empty() && bytes.len() <= 128 && bytes.iter().all(|b| (b'!'..=b'~').contains(b));
            prop_assert_eq!(id.as_str().as_bytes() == bytes.as_slice(), keep);
            prop_assert_eq!(headers.get(X_REQUEST_ID), Some(&id.0));
            prop_assert!(is_fit(id.as_str().as_bytes()));
        }
    }
}
