//! The filter as people write it: names and values, of a command line or of a URL.

use jiff::Timestamp;

use super::condition::{Condition, Part};
use super::{Changes, LIMIT_MAX};
use crate::record::{InvalidCursor, InvalidTableName, Key, Point, TableName};
use crate::{CommitPosition, InvalidLsn, TransactionId, UnknownOperation};

/// The names that there are, for people.
const NAMES: &str = "table, key, operation, changed, before, after, context, where, no-context, \
                     no-baseline, trace, transaction, commit, since, until, behind, up-to, database, order, cursor and limit";

/// Said twice, these would contradict themselves. Of the others all hold, or any.
const ONCE: [&str; 6] = ["key", "no-context", "no-baseline", "order", "cursor", "limit"];

/// Why names and values are no filter.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidFilter {
    /// Nothing is filtered by that name.
    #[error("'{name}' is not the name of a filter; there are {NAMES}")]
    UnknownName {
        /// The name.
        name: String,
    },
    /// The value is not one of that name.
    #[error("{name}: {source}")]
    Value {
        /// The name.
        name: String,
        /// What is wrong with the value.
        source: InvalidValue,
    },
    /// It can be said once, and was said again.
    #[error("{name} is there twice; say it once")]
    Twice {
        /// The name.
        name: &'static str,
    },
    /// A key is one of a table.
    #[error("a key is one of a table: say which table, and only one")]
    KeyWithoutTable,
}

/// Why a value is not one of a filter.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidValue {
    /// It is not a table's name.
    #[error(transparent)]
    Table(#[from] InvalidTableName),
    /// It is not an operation.
    #[error(transparent)]
    Operation(#[from] UnknownOperation),
    /// It is not JSON that `jsonb` can hold.
    #[error("this is not JSON that jsonb can hold: {0}")]
    Json(String),
    /// It is not a key of the context and its value.
    #[error("'{0}' is not a key and a value; one looks like user_id=188")]
    KeyAndValue(String),
    /// It is not an instant.
    #[error("'{0}' is not an instant; one looks like 2026-11-21T10:00:00Z, -2h or now")]
    Instant(String),
    /// It is not a position of the WAL.
    #[error(transparent)]
    Lsn(#[from] InvalidLsn),
    /// It is not a transaction's id.
    #[error("'{0}' is not the id of a transaction; it is a number of 32 bits")]
    Transaction(String),
    /// It is not a place in the record.
    #[error(transparent)]
    Cursor(#[from] InvalidCursor),
    /// It is none of the words that there are.
    #[error("'{value}' is neither {words}")]
    Word {
        /// The value.
        value: String,
        /// The words.
        words: &'static str,
    },
    /// It is not a number of changes.
    #[error("'{0}' is not a number from 1 to {LIMIT_MAX}")]
    Limit(String),
    /// No text of PostgreSQL has this character.
    #[error("there is a NUL character in it, which no text of PostgreSQL has")]
    Nul,
}

impl Changes {
    /// The filter of names and values. The order of the pairs does not matter.
    ///
    /// | name | value | means |
    /// | --- | --- | --- |
    /// | `table` | `todo`, `sales.orders` | [`table`](Self::table); again: any of them |
    /// | `key` | `26`, `["1","a"]` | [`record`](Self::record) with the one `table` |
    /// | `operation` | `update`, in any case | [`operation`](Self::operation); again: any of them |
    /// | `changed` | a column | [`field_changed`](Self::field_changed); again: all of them |
    /// | `before`, `after`, `context` | JSON | [`after_contains`](Self::after_contains) and its siblings; again: all of them |
    /// | `where` | `user_id=188` | [`context`](Self::context); again: all of them |
    /// | `no-context` | `true` | [`without_context`](Self::without_context) |
    /// | `no-baseline` | `true` | [`without_baseline`](Self::without_baseline) |
    /// | `trace` | an id | [`trace`](Self::trace) |
    /// | `transaction` | `740` | [`transaction`](Self::transaction) |
    /// | `commit` | `0/16B3748` | [`commit`](Self::commit) |
    /// | `since`, `until` | `2026-11-21T10:00:00Z`, `-2h`, `now` | [`since`](Self::since), [`until`](Self::until) |
    /// | `behind`, `up-to` | `0/16B3748` | [`behind`](Self::behind), [`up_to`](Self::up_to) |
    /// | `database` | a name | [`database`](Self::database) |
    /// | `order` | `newest`, `oldest` | [`order`](Self::order) |
    /// | `cursor` | `23813016.2` | [`after`](Self::after) |
    /// | `limit` | `50` | [`limit`](Self::limit) |
    ///
    /// ```
    /// use bemi_core::record::{Changes, TableName};
    ///
    /// let changes = Changes::from_pairs([("table", "todo"), ("key", "26"), ("where", "user_id=188")])?;
    /// let todo = TableName::new("public", "todo");
    /// assert_eq!(changes, Changes::new().record(todo, 26).context("user_id", 188));
    /// # Ok::<(), bemi_core::record::InvalidFilter>(())
    /// ```
    ///
    /// # Errors
    /// [`InvalidFilter`] says which name or value is wrong, and what would be right.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, InvalidFilter> {
        let (mut changes, mut key, mut seen) = (Self::new(), None, Vec::new());
        for (name, value) in pairs {
            let (name, value) = (name.as_ref(), value.as_ref());
            if let Some(name) = ONCE.into_iter().find(|once| *once == name) {
                if seen.contains(&name) {
                    return Err(InvalidFilter::Twice { name });
                }
                seen.push(name);
            }
            let wrong = |source| InvalidFilter::Value { name: name.to_owned(), source };
            if value.contains('\0') {
                return Err(wrong(InvalidValue::Nul));
            }
            if name == "key" {
                key = Some(Key::from(value));
                continue;
            }
            changes = changes
                .with(name, value)
                .map_err(wrong)?
                .ok_or_else(|| InvalidFilter::UnknownName { name: name.to_owned() })?;
        }
        let Some(key) = key else { return Ok(changes) };
        match <[TableName; 1]>::try_from(std::mem::take(&mut changes.tables)) {
            Ok([table]) => Ok(changes.record(table, key)),
            Err(_) => Err(InvalidFilter::KeyWithoutTable),
        }
    }

    /// The filter narrowed by a pair; `None` where the name is none.
    fn with(self, name: &str, value: &str) -> Result<Option<Self>, InvalidValue> {
        Ok(Some(match name {
            "table" => self.table(value.parse()?),
            "operation" => self.operation(value.to_ascii_uppercase().parse()?),
            "changed" => self.field_changed(value),
            "before" => self.and(Condition::Contains(Part::Before, json(value)?)),
            "after" => self.and(Condition::Contains(Part::After, json(value)?)),
            "context" => self.and(Condition::Contains(Part::Context, json(value)?)),
            "where" => match value.split_once('=') {
                Some((key, text)) if !key.is_empty() => self.context(key, text),
                _ => return Err(InvalidValue::KeyAndValue(value.to_owned())),
            },
            "no-context" => match value {
                "true" => self.without_context(),
                "false" => self,
                _ => return Err(word(value, "true nor false")),
            },
            "no-baseline" => match value {
                "true" => self.without_baseline(),
                "false" => self,
                _ => return Err(word(value, "true nor false")),
            },
            "trace" => self.trace(value),
            "transaction" => match value.parse() {
                Ok(id) => self.transaction(TransactionId(id)),
                Err(_) => return Err(InvalidValue::Transaction(value.to_owned())),
            },
            "commit" => self.commit(CommitPosition(value.parse()?)),
            "since" => self.since(instant(value)?),
            "until" => self.until(instant(value)?),
            "behind" => self.behind(CommitPosition(value.parse()?)),
            "up-to" => self.up_to(CommitPosition(value.parse()?)),
            "database" => self.database(value),
            "order" => match value {
                "newest" => self.newest_first(),
                "oldest" => self.oldest_first(),
                _ => return Err(word(value, "newest nor oldest")),
            },
            "cursor" => self.after(value.parse()?),
            "limit" => match value.parse() {
                Ok(limit @ 1..=LIMIT_MAX) => self.limit(limit),
                _ => return Err(InvalidValue::Limit(value.to_owned())),
            },
            _ => return Ok(None),
        }))
    }
}

/// The text as it is: what it is read into might drop digits.
fn json(text: &str) -> Result<String, InvalidValue> {
    let value: serde_json::Value =
        serde_json::from_str(text).map_err(|error| InvalidValue::Json(error.to_string()))?;
    if has_nul(&value) {
        return Err(InvalidValue::Json("there is a NUL character in a text".to_owned()));
    }
    Ok(text.to_owned())
}

fn has_nul(value: &serde_json::Value) -> bool {
    use serde_json::Value;
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => {
            fields.iter().any(|(key, value)| key.contains('\0') || has_nul(value))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn instant(text: &str) -> Result<Timestamp, InvalidValue> {
    let no_instant = || InvalidValue::Instant(text.to_owned());
    match text.parse() {
        Ok(Point::At(instant)) => Ok(instant),
        Ok(Point::Ago(time)) => Timestamp::now().checked_sub(time).map_err(|_| no_instant()),
        _ => Err(no_instant()),
    }
}

fn word(value: &str, words: &'static str) -> InvalidValue {
    InvalidValue::Word { value: value.to_owned(), words }
}
