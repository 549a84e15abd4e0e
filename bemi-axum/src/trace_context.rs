//! The W3C trace context of a request: the header `traceparent`.
//!
//! ```text
//! 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
//! │  │ trace id                        │ parent id       └ flags
//! └ version
//! ```
//!
//! Only the two ids are read. Nothing is propagated: that is a tracing library's task.

use http::{HeaderMap, HeaderName};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The ids in a valid `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceParent<'a> {
    /// 32 lower-case hexadecimal digits, not all of them zero.
    pub(crate) trace_id: &'a str,
    /// The caller's span: 16 lower-case hexadecimal digits, not all of them zero.
    pub(crate) parent_id: &'a str,
}

impl<'a> TraceParent<'a> {
    /// Of a request's headers. Two of them contradict each other: that is none.
    pub(crate) fn of(headers: &'a HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let value = values.next()?;
        if values.next().is_some() {
            return None;
        }
        Self::parse(value.to_str().ok()?)
    }

    /// Version 00 has four fields and nothing more. A later version may have more of them; the four
    /// are where they are in version 00. Version ff is not one.
    fn parse(value: &'a str) -> Option<Self> {
        let mut fields = value.splitn(5, '-');
        let version = hex(fields.next()?, 2)?;
        let trace_id = hex(fields.next()?, 32)?;
        let parent_id = hex(fields.next()?, 16)?;
        hex(fields.next()?, 2)?;
        let more = fields.next().is_some();
        let unknown = version == "ff" || (version == "00" && more);
        if unknown || is_zero(trace_id) || is_zero(parent_id) {
            return None;
        }
        Some(Self { trace_id, parent_id })
    }
}

/// The field, if it is that many lower-case hexadecimal digits.
fn hex(field: &str, digits: usize) -> Option<&str> {
    let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (field.len() == digits && field.bytes().all(is_digit)).then_some(field)
}

fn is_zero(field: &str) -> bool {
    field.bytes().all(|byte| byte == b'0')
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00f067aa0ba902b7";

    fn ids(value: &str) -> Option<(&str, &str)> {
        TraceParent::parse(value).map(|parent| (parent.trace_id, parent.parent_id))
    }

    #[test]
    fn version_00_has_four_fields() {
        assert_eq!(ids(&format!("00-{TRACE}-{PARENT}-01")), Some((TRACE, PARENT)));
        assert_eq!(ids(&format!("00-{TRACE}-{PARENT}-01-")), None);
        assert_eq!(ids(&format!("00-{TRACE}-{PARENT}-01-what")), None);
        assert_eq!(ids(&format!("00-{TRACE}-{PARENT}")), None);
    }

    #[test]
    fn a_later_version_may_have_more_fields_but_not_longer_ones() {
        assert_eq!(ids(&format!("cc-{TRACE}-{PARENT}-01")), Some((TRACE, PARENT)));
        assert_eq!(ids(&format!("cc-{TRACE}-{PARENT}-01-what-the-future")), Some((TRACE, PARENT)));
        assert_eq!(ids(&format!("cc-{TRACE}-{PARENT}-01.what")), None);
        assert_eq!(ids(&format!("ff-{TRACE}-{PARENT}-01")), None);
    }

    #[test]
    fn every_field_is_lower_case_hexadecimal_of_its_length() {
        for invalid in [
            String::new(),
            format!("0-{TRACE}-{PARENT}-01"),
            format!("000-{TRACE}-{PARENT}-01"),
            format!("0g-{TRACE}-{PARENT}-01"),
            format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}0-{PARENT}-01"),
            format!("00-{TRACE}-{PARENT}0-01"),
            format!("00-{TRACE}-{PARENT}-1"),
            format!("00-{TRACE}-{PARENT}-0x"),
            format!("00.{TRACE}.{PARENT}.01"),
            format!(" 00-{TRACE}-{PARENT}-01"),
        ] {
            assert_eq!(ids(&invalid), None, "{invalid}");
        }
    }

    #[test]
    fn ids_of_zeroes_are_none() {
        assert_eq!(ids(&format!("00-{}-{PARENT}-01", "0".repeat(32))), None);
        assert_eq!(ids(&format!("00-{TRACE}-{}-01", "0".repeat(16))), None);
    }

    #[test]
    fn two_headers_are_none() {
        let value = HeaderValue::from_str(&format!("00-{TRACE}-{PARENT}-01")).unwrap();
        let mut headers = HeaderMap::from_iter([(TRACEPARENT, value.clone())]);
        assert!(TraceParent::of(&headers).is_some());
        headers.append(TRACEPARENT, value);
        assert_eq!(TraceParent::of(&headers), None);
    }

    proptest! {
        #[test]
        fn what_is_formatted_is_read_back(
            version in 0_u8..=254, trace in 1_u128.., parent in 1_u64.., flags: u8, more in "(-[!-~]{0,20})?"
        ) {
            let (trace, parent) = (format!("{trace:032x}"), format!("{parent:016x}"));
            let more = if version == 0 { String::new() } else { more };
            let value = format!("{version:02x}-{trace}-{parent}-{flags:02x}{more}");
            prop_assert_eq!(ids(&value), Some((trace.as_str(), parent.as_str())));
        }

        #[test]
        fn any_bytes_are_read_or_refused_and_what_is_read_has_its_form(
            bytes in prop_oneof!["[0-9a-f\\-]{50,60}".prop_map(String::into_bytes), any::<Vec<u8>>()]
        ) {
            let Ok(value) = HeaderValue::from_bytes(&bytes) else { return Ok(()) };
            let headers = HeaderMap::from_iter([(TRACEPARENT, value)]);
            if let Some(parent) = TraceParent::of(&headers) {
                prop_assert!(hex(parent.trace_id, 32).is_some() && !is_zero(parent.trace_id));
                prop_assert!(hex(parent.parent_id, 16).is_some() && !is_zero(parent.parent_id));
            }
        }

        #[test]
        fn a_valid_value_with_one_character_changed_to_something_else_never_panics(
            at in 0_usize..55, character: char
        ) {
            let mut value = format!("00-{TRACE}-{PARENT}-01");
            value.replace_range(at..=at, &character.to_string());
            if let Some((trace, parent)) = ids(&value) {
                prop_assert_eq!((trace.len(), parent.len()), (32, 16));
            }
        }
    }
}
