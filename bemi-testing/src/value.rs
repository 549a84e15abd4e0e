//! Whether a value in the record is the one that a test expects.
//!
//! The record has `jsonb`'s text, with every digit; a test has a [`Value`], whose numbers are those of Rust.

use serde_json::{Number, Value};

/// How many digits a `f64` certainly keeps: a recorded number that has more is not what a test can have written.
const DIGITS_KEPT: usize = 15;

/// Whether the text of a value is that of `expected`. `1` and `1.0` are the same number; a number with more digits
/// than Rust's keep is like none.
pub(crate) fn is(text: &str, expected: &Value) -> bool {
    serde_json::from_str(text).is_ok_and(|value: Value| same(&value, expected))
        && (!expected.is_f64() || digits(text) <= DIGITS_KEPT)
}

/// Whether two values are the same, where numbers are numbers.
pub(crate) fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || same_number(one, other),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, one)| other.get(key).is_some_and(|other| same(one, other)))
        }
        _ => one == other,
    }
}

/// Of an integer and one that is written with a point; two integers are compared as such.
fn same_number(one: &Number, other: &Number) -> bool {
    (one.is_f64() || other.is_f64()) && one.as_f64() == other.as_f64()
}

fn digits(text: &str) -> usize {
    text.trim_start_matches(['-', '0', '.']).bytes().filter(u8::is_ascii_digit).count()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_compared_as_numbers() {
        assert!(is("1", &json!(1)));
        assert!(is("1", &json!(1.0)));
        assert!(is("1.0", &json!(1)));
        assert!(is("[1.50]", &json!([1.5])));
        assert!(!is("2", &json!(1)));
        assert!(!is("\"1\"", &json!(1)));
        assert!(is("9223372036854775807", &json!(i64::MAX)));
        assert!(!is("9223372036854775806", &json!(i64::MAX)));
        assert!(!is("0.10000000000000000000001", &json!(0.1)), "it has digits that 0.1 has not");
    }

    #[test]
    fn objects_are_compared_whatever_the_order_of_their_keys() {
        assert!(is(r#"{"b": 1, "aa": [true, null]}"#, &json!({ "aa": [true, null], "b": 1 })));
        assert!(!is(r#"{"b": 1, "c": 2}"#, &json!({ "b": 1 })));
        assert!(!is(r#"{"b": 1}"#, &json!({ "b": 1, "c": 2 })));
    }
}
