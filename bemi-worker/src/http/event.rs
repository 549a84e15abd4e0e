//! Server-sent events, as bytes.
//!
//! Invariant: no text that comes from outside ends a line of an event.

use std::fmt::Write as _;

use bemi_core::Change;
use bemi_core::record::Cursor;
use bytes::Bytes;

/// How long a client waits before it connects again, in milliseconds.
const RETRY_MS: u32 = 2_000;

/// What says that we are there, and nothing else.
pub(super) const KEEP_ALIVE: Bytes = Bytes::from_static(b":\n\n");

/// The first words: when to come again, and from where, should nothing else be heard.
pub(super) fn hello(place: Cursor) -> Bytes {
    Bytes::from(format!("retry: {RETRY_MS}\nid: {place}\n\n"))
}

/// From where to go on, where no change was to be sent. It dispatches nothing.
pub(super) fn progress(place: Cursor) -> Bytes {
    Bytes::from(format!("id: {place}\n\n"))
}

/// An event for each change, with its place as the id.
pub(super) fn changes(changes: &[Change]) -> Result<Bytes, serde_json::Error> {
    let mut text = String::new();
    for change in changes {
        write(&mut text, "change", Some(change.cursor()), &serde_json::to_string(change)?);
    }
    Ok(Bytes::from(text))
}

/// The last event: why no more can be sent.
pub(super) fn error(message: &str) -> Bytes {
    let mut text = String::new();
    let told = serde_json::json!({ "error": message });
    write(&mut text, "error", None, &told.to_string());
    Bytes::from(text)
}

fn write(text: &mut String, name: &str, place: Option<Cursor>, data: &str) {
    // Nothing can go wrong in writing to a text.
    let _ = writeln!(text, "event: {name}");
    if let Some(place) = place {
        let _ = writeln!(text, "id: {place}");
    }
    // JSON may have line breaks between its values, never in them.
    for line in data.split(['\n', '\r']) {
        let _ = writeln!(text, "data: {line}");
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_of_several_lines_stays_one_event() {
        let mut text = String::new();
        write(&mut text, "change", Some(Cursor::START), "{\n\"a\":1}");
        assert_eq!(text, "event: change\nid: 0.0\ndata: {\ndata: \"a\":1}\n\n");
    }

    #[test]
    fn an_error_is_json() {
        let text = error("a \"b\"\nc");
        assert_eq!(text, "event: error\ndata: {\"error\":\"a \\\"b\\\"\\nc\"}\n\n".as_bytes());
    }
}
