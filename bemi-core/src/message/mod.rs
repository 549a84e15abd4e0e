//! The context message: how a context travels through the WAL.
//!
//! It is a logical decoding message, `pg_logical_emit_message(true, '_bemi', <JSON object as text>)`:
//! transactional, emitted in the transaction of the changes that it governs. This module encodes
//! one, in this order: [redact](Redaction), add the statement's text, limit the size. It
//! sends nothing; an adapter does.
//!
//! Invariant: what [`MessageOptions::encode`] returns is a JSON object that `jsonb` can hold and that
//! is no larger than the limit.

pub(crate) mod limit;
mod redaction;

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;

use self::limit::Charset;
pub use self::redaction::Redaction;
use crate::Context;
use crate::statement::redact_literals;

/// The prefix of a context message.
pub const MESSAGE_PREFIX: &str = "_bemi";

/// The prefix of a message that only moves the slot on.
pub const HEARTBEAT_PREFIX: &str = "_bemi_heartbeat";

/// The prefix of a message that says which command changed the shape of a table.
pub const DDL_PREFIX: &str = "_bemi_ddl";

/// The prefix of a message that says what became of a tracked table, and which columns it has.
pub const TABLE_PREFIX: &str = "_bemi_table";

/// The prefix of a message that says nothing, and stands behind each context.
///
/// The server orders what the subtransactions of a transaction wrote by LSN, and a message has the LSN of
/// whatever is written next. So a change that comes right behind a message could be sent before it, where
/// one of the two was left in a subtransaction. With this in between, no change comes right behind.
pub const SPACER_PREFIX: &str = "_bemi_spacer";

/// The size of an encoded context that is allowed unless said otherwise, in bytes.
pub const SIZE_LIMIT_DEFAULT_BYTES: usize = 64 * 1024;

/// The size of an encoded context that can be allowed at most, in bytes.
pub const SIZE_LIMIT_MAX_BYTES: usize = 1_000_000;

/// The size limit that can be set at least, in bytes: room for saying what was left out.
const SIZE_LIMIT_MIN_BYTES: usize = 256;

/// The key that holds the statement's text.
const SQL_KEY: &str = "SQL";

/// What a message says of the statement that it precedes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SqlCapture {
    /// Its text under the key `SQL`, with every literal replaced by `?`.
    #[default]
    Redacted,
    /// Its text under the key `SQL` as it was sent: literals may hold personal data and secrets.
    Raw,
    /// Nothing.
    Off,
}

/// How contexts are encoded.
///
/// ```
/// use bemi_core::{Context, MessageOptions};
///
/// let options = MessageOptions::new();
/// let context = Context::new().with("user_id", 1).with("api_token", "hush");
/// let message = options.encode(&context, Some("DELETE FROM todos WHERE id = 7"));
/// assert_eq!(
///     message.as_str(),
///     r#"{"SQL":"DELETE FROM todos WHERE id = ?","api_token":"[redacted]","user_id":1}"#
/// );
/// ```
#[derive(Clone, Debug)]
pub struct MessageOptions {
    size_limit_bytes: usize,
    redaction: Redaction,
    sql: SqlCapture,
}

impl Default for MessageOptions {
    fn default() -> Self {
        Self {
            size_limit_bytes: SIZE_LIMIT_DEFAULT_BYTES,
            redaction: Redaction::default(),
            sql: SqlCapture::default(),
        }
    }
}

impl MessageOptions {
    /// The defaults: 64 KiB, the default [`Redaction`], the statement's text without its literals.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Limits the encoded context to that many bytes, 256 to 1,000,000: outside that range the
    /// nearest of the two is taken.
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

    /// Says what of the statement's text goes along.
    #[must_use]
    pub fn sql(mut self, sql: SqlCapture) -> Self {
        self.sql = sql;
        self
    }

    /// What of the statement's text goes along. With [`SqlCapture::Off`], a transaction needs a
    /// message only when the context changes; else each write has its own.
    #[must_use]
    pub fn sql_capture(&self) -> SqlCapture {
        self.sql
    }

    /// Encodes `context` for the statement `sql`. A key `SQL` of the context's own wins over the
    /// statement's text.
    ///
    /// It cannot fail: what is too large is left out and named under `_bemi.truncated` by its JSON
    /// pointer, and a NUL character, which `jsonb` cannot hold, becomes U+FFFD.
    #[must_use]
    pub fn encode(&self, context: &Context, sql: Option<&str>) -> ContextMessage {
        let mut fields = self.redaction.redacted(context);
        if let Some(text) = sql.and_then(|sql| self.sql_text(sql))
            && !fields.contains_key(SQL_KEY)
        {
            fields.insert(SQL_KEY.to_owned(), Value::String(text.into_owned()));
        }
        let json = limit::to_json_within(fields, self.size_limit_bytes, Charset::Unicode);
        ContextMessage { json: without_nul(&json).into() }
    }

    fn sql_text<'a>(&self, sql: &'a str) -> Option<Cow<'a, str>> {
        match self.sql {
            SqlCapture::Off => None,
            SqlCapture::Raw => Some(Cow::Borrowed(sql)),
            SqlCapture::Redacted => Some(redact_literals(sql)),
        }
    }
}

/// A context, encoded and ready to be emitted.
///
/// Two messages are equal when they say the same, so an adapter can tell whether a transaction
/// needs another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextMessage {
    json: Arc<str>,
}

impl ContextMessage {
    /// The statement that emits a message whose text is its one parameter, `$1` of type `text`.
    /// A [spacer](SPACER_PREFIX) stands behind it.
    pub const EMIT_SQL: &'static str = "SELECT pg_logical_emit_message(true, '_bemi_spacer', \
         left(pg_logical_emit_message(true, '_bemi', $1::text)::text, 0))";

    /// The message that ends the reach of the one before it in the same transaction: `{}`.
    #[must_use]
    pub fn empty() -> Self {
        Self { json: "{}".into() }
    }

    /// The JSON object.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.json
    }

    /// The statement that emits this message, without a parameter, for the simple query protocol.
    /// The JSON is an `E''` string, so that it means the same whatever
    /// `standard_conforming_strings` is.
    ///
    /// ```
    /// use bemi_core::{Context, MessageOptions};
    ///
    /// let message = MessageOptions::new().encode(&Context::new().with("note", "it's"), None);
    /// assert_eq!(
    ///     message.emit_statement(),
    ///     "SELECT pg_logical_emit_message(true, '_bemi_spacer', \
    ///      left(pg_logical_emit_message(true, '_bemi', E'{\"note\":\"it''s\"}')::text, 0))"
    /// );
    /// ```
    #[must_use]
    pub fn emit_statement(&self) -> String {
        let mut sql = String::with_capacity(self.json.len() + 128);
        sql.push_str(
            "SELECT pg_logical_emit_message(true, '_bemi_spacer', \
             left(pg_logical_emit_message(true, '_bemi', E'",
        );
        for character in self.json.chars() {
            if matches!(character, '\'' | '\\') {
                sql.push(character);
            }
            sql.push(character);
        }
        sql.push_str("')::text, 0))");
        sql
    }
}

impl std::fmt::Display for ContextMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.json)
    }
}

/// `jsonb` refuses the escape `\u0000`: the replacement character takes its place, same length.
pub(crate) fn without_nul(json: &str) -> Cow<'_, str> {
    if !json.contains("\\u0000") {
        return Cow::Borrowed(json);
    }
    let mut clean = String::with_capacity(json.len());
    let mut characters = json.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            clean.push(character);
            continue;
        }
        // An escape is taken whole, so that `\\u0000`, a backslash and five letters, stays.
        if characters.as_str().starts_with("u0000") {
            clean.push_str("\\ufffd");
            characters.nth("u0000".len() - 1);
        } else {
            clean.push(character);
            clean.extend(characters.next());
        }
    }
    Cow::Owned(clean)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn context(value: Value) -> Context {
        value.try_into().unwrap()
    }

    #[test]
    fn a_key_named_sql_of_the_users_own_wins() {
        let message =
            MessageOptions::new().encode(&context(json!({"SQL": "mine"})), Some("SELECT 1"));
        assert_eq!(message.as_str(), r#"{"SQL":"mine"}"#);
    }

    #[test]
    fn the_statement_is_left_out_or_raw_when_asked() {
        let sql = Some("DELETE FROM t WHERE a = 'x'");
        let off = MessageOptions::new().sql(SqlCapture::Off).encode(&Context::new(), sql);
        assert_eq!(off, ContextMessage::empty());
        let raw = MessageOptions::new().sql(SqlCapture::Raw).encode(&Context::new(), sql);
        assert_eq!(raw.as_str(), r#"{"SQL":"DELETE FROM t WHERE a = 'x'"}"#);
    }

    #[test]
    fn nul_becomes_the_replacement_character_and_an_escaped_backslash_stays() {
        let message =
            MessageOptions::new().encode(&context(json!({"a": "x\0y", "b": "\\u0000"})), None);
        let read: Value = serde_json::from_str(message.as_str()).unwrap();
        assert_eq!(read, json!({"a": "x\u{fffd}y", "b": "\\u0000"}));
    }

    #[test]
    fn a_value_of_ten_megabytes_is_left_out_and_named() {
        let large =
            context(json!({"user_id": 1, "body": {"text": "x".repeat(10_000_000), "n": 2}}));
        let message = MessageOptions::new().encode(&large, None);
        assert_eq!(
            serde_json::from_str::<Value>(message.as_str()).unwrap(),
            json!({"user_id": 1, "body": {"n": 2}, "_bemi": {"truncated": ["/body/text"]}})
        );
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            any::<String>(),
            Just("'; DROP TABLE x; -- */ /* \\ \" \0 \u{1F600} $$".to_owned()),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            text.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                proptest::collection::hash_map(any::<String>(), inner, 0..8)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    fn any_context() -> impl Strategy<Value = Context> {
        proptest::collection::hash_map("[a-zA-Z_ /~\\PC]{0,6}", any_json(), 0..8)
            .prop_map(|fields| fields.into_iter().collect())
    }

    fn unescape_literal(statement: &str) -> String {
        let (_, literal) = statement.split_once("E'").unwrap();
        let body = literal.strip_suffix("')::text, 0))").unwrap();
        let mut text = String::new();
        let mut characters = body.chars();
        while let Some(character) = characters.next() {
            text.push(character);
            if matches!(character, '\'' | '\\') {
                assert_eq!(
                    characters.next(),
                    Some(character),
                    "a quote or backslash that is not doubled"
                );
            }
        }
        text
    }

    proptest! {
        #[test]
        fn any_context_is_encoded_as_the_same_object_unless_it_holds_a_nul(context in any_context()) {
            let options = MessageOptions::new().redaction(Redaction::none());
            let read: Value = serde_json::from_str(options.encode(&context, None).as_str()).unwrap();
            let direct = serde_json::to_string(&context).unwrap();
            if !direct.contains("u0000") {
                prop_assert_eq!(read, serde_json::from_str::<Value>(&direct).unwrap());
            }
        }

        #[test]
        fn the_limit_holds_and_what_is_left_is_as_it_was(context in any_context(), limit in 256_usize..2000) {
            let options = MessageOptions::new().redaction(Redaction::none()).size_limit_bytes(limit);
            let message = options.encode(&context, None);
            prop_assert!(message.as_str().len() <= limit);
            let read: Value = serde_json::from_str(message.as_str()).unwrap();
            for (key, value) in read.as_object().unwrap() {
                if key != "_bemi" && !value.is_object() && !value.to_string().contains('\u{fffd}') {
                    // Read as the message was read: reading a float may round its last digit.
                    let whole = context.get(key).unwrap().to_string();
                    prop_assert_eq!(value, &serde_json::from_str::<Value>(&whole).unwrap());
                }
            }
        }

        #[test]
        fn the_emitting_statement_holds_the_json_and_nothing_ends_its_literal(context in any_context()) {
            let message = MessageOptions::new().encode(&context, None);
            prop_assert_eq!(unescape_literal(&message.emit_statement()), message.as_str());
        }
    }
}
