//! What is stored of a message about a tracked table, whoever wrote it.
//!
//! Invariant: what is read here can be stored: its texts have no NUL, and its columns are JSON that
//! `jsonb` accepts. A message that is not what setup and its event triggers write is not read at all: it
//! would tell something about a table that nobody knows to be true.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::render::check_jsonb;

/// The largest message that is taken, in bytes. 1600 columns, each with a long name, and the largest
/// value that setup writes for rows from before the column.
const CONTENT_MAX_BYTES: usize = 16 * 1024 * 1024;

/// What became of a table.
#[derive(Clone, Debug)]
pub(crate) struct TableEvent {
    pub(crate) schema: String,
    pub(crate) table: String,
    /// The table's oid.
    pub(crate) relation: u32,
    pub(crate) kind: TableEventKind,
    /// Whether rows may have changed without a change of theirs in the stream.
    pub(crate) rewritten: bool,
    /// How much of a row its changes tell; `None` where it is not told.
    pub(crate) identity: Option<TableIdentity>,
    /// The key's columns, in its order; `None` where it is not told.
    pub(crate) key: Option<Vec<String>>,
    /// The columns behind the event; `None` where they are not told.
    pub(crate) columns: Option<Vec<EventColumn>>,
}

/// Which of the events it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TableEventKind {
    /// All that is written to the table from here on is in the stream.
    Tracked,
    /// The same, and the table was empty.
    Created,
    Altered,
    /// What is written to the table from here on is not in the stream.
    Untracked,
    Dropped,
}

/// How much of a row before its change is in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TableIdentity {
    Full,
    Key,
    None,
}

/// The message is not what setup and its event triggers write.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadTableEvent(String);

/// As it is written. Fields of later versions are passed over.
#[derive(Deserialize)]
struct Message {
    event: TableEventKind,
    schema: String,
    table: String,
    relation: u32,
    #[serde(default)]
    rewritten: bool,
    identity: Option<TableIdentity>,
    key: Option<Vec<String>>,
    columns: Option<Vec<EventColumn>>,
}

/// A column, as it is written and as it is stored.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct EventColumn {
    pub(crate) number: i16,
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) data_type: String,
    /// The oid of the type, which stays when the type is renamed.
    pub(crate) type_oid: u32,
    #[serde(default)]
    generated: bool,
    /// What rows have that were there before the column.
    missing: Option<Box<RawValue>>,
    /// Whether nobody said what they have: it is too large, or must not be stored.
    #[serde(default, skip_serializing_if = "is_false")]
    missing_unknown: bool,
}

/// What the rules say of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hidden {
    /// Its values are not stored as they are.
    Masked,
    /// It is left out.
    LeftOut,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

impl TableEvent {
    /// Reads a message.
    ///
    /// # Errors
    ///
    /// [`BadTableEvent`] when it is not as it should be. Nothing is to be stored then.
    pub(crate) fn read(content: &[u8]) -> Result<Self, BadTableEvent> {
        if content.len() > CONTENT_MAX_BYTES {
            return Err(BadTableEvent(format!("it has more than {CONTENT_MAX_BYTES} bytes")));
        }
        // A database of encoding SQL_ASCII may hold any bytes in its names.
        let text = String::from_utf8_lossy(content);
        let message: Message =
            serde_json::from_str(&text).map_err(|error| BadTableEvent(error.to_string()))?;
        let goes_on = !matches!(message.event, TableEventKind::Untracked | TableEventKind::Dropped);
        if goes_on && (message.columns.is_none() || message.key.is_none()) {
            return Err(BadTableEvent("it does not say what columns there are".to_owned()));
        }
        Ok(Self {
            schema: storable(message.schema),
            table: storable(message.table),
            relation: message.relation,
            kind: message.event,
            rewritten: message.rewritten,
            identity: message.identity,
            key: message.key.map(|key| key.into_iter().map(storable).collect()),
            columns: message.columns.map(storable_columns).transpose()?,
        })
    }

    /// Takes out what the rules hide: columns that are left out, and the values of those that are masked.
    pub(crate) fn hide(&mut self, hidden: impl Fn(&str) -> Option<Hidden>) {
        let Some(columns) = &mut self.columns else { return };
        columns.retain(|column| hidden(&column.name) != Some(Hidden::LeftOut));
        for column in columns {
            let is_told = column.missing.is_some() && hidden(&column.name) == Some(Hidden::Masked);
            if is_told {
                column.missing = None;
                column.missing_unknown = true;
            }
        }
    }

    /// The columns as they are stored, JSON that `jsonb` accepts.
    pub(crate) fn columns_json(&self) -> Option<String> {
        // What was read from JSON can be written as such.
        self.columns.as_ref().and_then(|columns| serde_json::to_string(columns).ok())
    }

    /// How much it holds, about, in bytes.
    pub(crate) fn len_bytes(&self) -> usize {
        let of_column = |column: &EventColumn| {
            let missing = column.missing.as_ref().map_or(0, |value| value.get().len());
            column.name.len() + column.data_type.len() + missing
        };
        self.columns.iter().flatten().map(of_column).sum()
    }
}

impl TableEventKind {
    /// As `bemi.table_events` has it.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Tracked => "tracked",
            Self::Created => "created",
            Self::Altered => "altered",
            Self::Untracked => "untracked",
            Self::Dropped => "dropped",
        }
    }
}

impl TableIdentity {
    /// As `bemi.table_events` has it.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Key => "key",
            Self::None => "none",
        }
    }
}

fn storable_columns(mut columns: Vec<EventColumn>) -> Result<Vec<EventColumn>, BadTableEvent> {
    for column in &mut columns {
        column.name = storable(std::mem::take(&mut column.name));
        column.data_type = storable(std::mem::take(&mut column.data_type));
        if let Some(value) = &column.missing {
            check_jsonb(value.get().as_bytes())
                .map_err(|refusal| BadTableEvent(refusal.to_string()))?;
        }
    }
    Ok(columns)
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

    fn message() -> Value {
        json!({"event": "altered", "schema": "public", "table": "todo", "relation": 16_400, "rewritten": true,
               "identity": "full", "key": ["id"], "columns": [
                   {"number": 1, "name": "id", "type": "integer", "type_oid": 23, "generated": false, "missing": null},
                   {"number": 3, "name": "note", "type": "numeric", "type_oid": 1700, "generated": false, "missing": 1}]})
    }

    fn read(message: &Value) -> TableEvent {
        TableEvent::read(message.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn all_that_is_told_is_kept() {
        let event = read(&message());
        assert_eq!((event.schema.as_str(), event.table.as_str()), ("public", "todo"));
        assert_eq!((event.relation, event.kind.text(), event.rewritten), (16_400, "altered", true));
        assert_eq!(event.identity.map(TableIdentity::text), Some("full"));
        assert_eq!(event.key, Some(vec!["id".to_owned()]));
        let columns: Value = serde_json::from_str(&event.columns_json().unwrap()).unwrap();
        assert_eq!(columns, message()["columns"]);
    }

    #[test]
    fn a_value_keeps_every_digit() {
        let content =
            message().to_string().replace("\"missing\":1", "\"missing\":1.00000000000000000000010");
        let event = TableEvent::read(content.as_bytes()).unwrap();
        assert!(event.columns_json().unwrap().contains("\"missing\":1.00000000000000000000010"));
    }

    #[test]
    fn a_value_that_must_not_be_known_is_told_as_such() {
        let mut untold = message();
        untold["columns"][1]["missing"] = Value::Null;
        untold["columns"][1]["missing_unknown"] = json!(true);
        let columns = read(&untold).columns_json().unwrap();
        assert!(columns.ends_with("\"missing\":null,\"missing_unknown\":true}]"), "{columns}");
    }

    #[test]
    fn what_the_rules_hide_is_not_told() {
        let mut event = read(&message());
        event.hide(|column| (column == "note").then_some(Hidden::Masked));
        let columns = event.columns_json().unwrap();
        assert!(columns.ends_with("\"missing\":null,\"missing_unknown\":true}]"), "{columns}");
        event.hide(|column| (column == "note").then_some(Hidden::LeftOut));
        let columns = event.columns_json().unwrap();
        assert!(columns.contains("\"id\"") && !columns.contains("note"), "{columns}");
    }

    #[test]
    fn a_table_that_is_gone_has_no_columns() {
        for event in ["untracked", "dropped"] {
            let gone = json!({"event": event, "schema": "s", "table": "t", "relation": 1});
            let read = read(&gone);
            assert_eq!((read.columns_json(), read.key, read.identity), (None, None, None));
        }
    }

    #[test]
    fn what_tells_less_than_it_must_is_not_read() {
        for field in ["event", "schema", "table", "relation", "key", "columns"] {
            let mut lacking = message();
            lacking.as_object_mut().unwrap().remove(field);
            assert!(TableEvent::read(lacking.to_string().as_bytes()).is_err(), "{field}");
        }
        let mut other = message();
        other["event"] = json!("exploded");
        assert!(TableEvent::read(other.to_string().as_bytes()).is_err());
        let jsonb_refuses =
            message().to_string().replace("\"missing\":1", "\"missing\":\"\\u0000\"");
        assert!(TableEvent::read(jsonb_refuses.as_bytes()).is_err());
        assert!(TableEvent::read(&vec![b' '; CONTENT_MAX_BYTES + 1]).is_err());
    }

    #[test]
    fn names_of_any_bytes_are_kept_as_far_as_they_are_text() {
        let content = message().to_string().replace("todo", "a\\u0000b?").replace("note", "?");
        let content: Vec<u8> =
            content.bytes().map(|byte| if byte == b'?' { 0xE9 } else { byte }).collect();
        let event = TableEvent::read(&content).unwrap();
        assert_eq!(event.table, "a\u{FFFD}b\u{FFFD}");
        assert!(event.columns_json().unwrap().contains("\"name\":\"\u{FFFD}\""));
    }

    proptest! {
        #[test]
        fn whatever_a_stranger_writes_does_no_harm(content in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = TableEvent::read(&content);
        }

        #[test]
        fn whatever_the_names_are_they_can_be_stored(name in any::<String>(), data_type in any::<String>()) {
            let mut content = message();
            content["table"] = json!(name);
            content["columns"][0]["name"] = json!(name);
            content["columns"][0]["type"] = json!(data_type);
            let event = TableEvent::read(content.to_string().as_bytes()).unwrap();
            prop_assert!(!event.table.contains('\0'));
            prop_assert_eq!(check_jsonb(event.columns_json().unwrap().as_bytes()), Ok(()));
        }
    }
}
