//! What is stored of a DDL message, whoever wrote it.
//!
//! Invariant: what is stored is bounded, is JSON that `jsonb` accepts, and holds no string constant of
//! the command. A message that is not what setup's event triggers write is kept as its raw text, like
//! a bad context.

use bemi_core::statement::redact_ddl;
use serde::{Deserialize, Serialize};

use super::context::{BadMessage, write_raw};

/// The largest message that is taken, in bytes. Those of the event triggers have at most some
/// 400,000: 65,536 characters of a command, and names.
const CONTENT_MAX_BYTES: usize = 1024 * 1024;

/// Where a command belongs, and what is stored of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ddl {
    /// Empty where it has none.
    pub(crate) schema: String,
    /// Empty where it has none.
    pub(crate) table: String,
    /// A JSON object.
    pub(crate) after: String,
}

/// As the event triggers write it. Fields of later versions are passed over.
#[derive(Deserialize)]
struct Message {
    command: String,
    object_type: String,
    object: String,
    schema: String,
    table: String,
    /// All that the client sent at once, the command among it; null where its strings cannot be told.
    sql: Option<String>,
    /// Whether there was more of it.
    #[serde(default)]
    cut: bool,
}

#[derive(Serialize)]
struct Stored<'a> {
    command: &'a str,
    object_type: &'a str,
    object: &'a str,
    sql: Option<&'a str>,
}

impl Ddl {
    /// Reads a message. One that is not as it should be is kept, too, and the reason is returned.
    pub(crate) fn read(content: &[u8]) -> (Self, Option<BadMessage>) {
        match Self::parse(content) {
            Ok(ddl) => (ddl, None),
            Err(reason) => {
                let mut after = String::new();
                let bad = write_raw(&mut after, content, reason);
                (Self { schema: String::new(), table: String::new(), after }, Some(bad))
            }
        }
    }

    fn parse(content: &[u8]) -> Result<Self, String> {
        if content.len() > CONTENT_MAX_BYTES {
            return Err(format!("it has more than {CONTENT_MAX_BYTES} bytes"));
        }
        // A database of encoding SQL_ASCII may hold any bytes in its names.
        let text = String::from_utf8_lossy(content);
        let message: Message = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let sql = message.sql.map(|sql| {
            let mut kept = redact_ddl(&storable(sql), &message.command);
            if message.cut && !kept.ends_with('…') {
                kept.push_str(" …");
            }
            kept
        });
        let stored = Stored {
            command: &storable(message.command),
            object_type: &storable(message.object_type),
            object: &storable(message.object),
            sql: sql.as_deref(),
        };
        Ok(Self {
            after: serde_json::to_string(&stored).map_err(|error| error.to_string())?,
            schema: storable(message.schema),
            table: storable(message.table),
        })
    }
}

/// PostgreSQL's text cannot hold NUL, jsonb neither.
fn storable(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{FFFD}") } else { text }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::render::check_jsonb;

    fn message(sql: Value) -> Value {
        json!({"command": "ALTER TABLE", "object_type": "table", "object": "public.todo",
               "schema": "public", "table": "todo", "sql": sql})
    }

    fn read(content: &[u8]) -> (Ddl, Value, bool) {
        let (ddl, bad) = Ddl::read(content);
        assert_eq!(check_jsonb(ddl.after.as_bytes()), Ok(()), "{ddl:?}");
        let after = serde_json::from_str(&ddl.after).unwrap();
        (ddl, after, bad.is_some())
    }

    #[test]
    fn the_command_is_stored_under_its_table_without_its_strings() {
        let content = message(json!("ALTER TABLE todo ADD a varchar(9) DEFAULT 's'")).to_string();
        let (ddl, after, bad) = read(content.as_bytes());
        assert_eq!((ddl.schema.as_str(), ddl.table.as_str(), bad), ("public", "todo", false));
        let sql = "ALTER TABLE todo ADD a varchar(9) DEFAULT ?";
        let expected = json!({"command": "ALTER TABLE", "object_type": "table",
                              "object": "public.todo", "sql": sql});
        assert_eq!(after, expected);
    }

    #[test]
    fn a_text_that_was_cut_says_so_and_one_that_is_unknown_is_null() {
        let mut cut = message(json!("ALTER TABLE todo ADD a"));
        cut["cut"] = json!(true);
        assert_eq!(read(cut.to_string().as_bytes()).1["sql"], "ALTER TABLE todo ADD a …");
        assert_eq!(read(message(Value::Null).to_string().as_bytes()).1["sql"], Value::Null);
    }

    #[test]
    fn names_of_any_bytes_are_kept_as_far_as_they_are_text() {
        let content = message(json!(null)).to_string().replace("public.todo", "a\\u0000b?");
        let content: Vec<u8> =
            content.bytes().map(|byte| if byte == b'?' { 0xE9 } else { byte }).collect();
        let (_, after, bad) = read(&content);
        assert_eq!((&after["object"], bad), (&json!("a\u{FFFD}b\u{FFFD}"), false));
    }

    #[test]
    fn what_the_event_triggers_do_not_write_is_kept_raw_and_belongs_to_no_table() {
        for content in [&b""[..], b"hello", b"{}", b"[1]", b"{\"command\": 7}", b"\xFF\0"] {
            let (ddl, after, bad) = read(content);
            assert!(bad && after["_bemi"]["error"].is_string(), "{after}");
            assert_eq!((ddl.schema.as_str(), ddl.table.as_str()), ("", ""));
        }
        let (_, after, _) = read(&vec![b' '; CONTENT_MAX_BYTES + 1]);
        assert!(after["_bemi"]["raw"].as_str().unwrap().len() < 5000);
    }

    proptest! {
        #[test]
        fn whatever_a_stranger_writes_is_stored_as_json(content in proptest::collection::vec(any::<u8>(), 0..64)) {
            read(&content);
        }

        #[test]
        fn whatever_the_names_and_the_text_are_they_are_stored_as_json(object in any::<String>(), sql in any::<String>()) {
            let mut content = message(json!(sql));
            content["object"] = json!(object);
            prop_assert!(!read(content.to_string().as_bytes()).2);
        }
    }
}
