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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Operation;

    fn from(pairs: &[(&str, &str)]) -> Result<Changes, InvalidFilter> {
        Changes::from_pairs(pairs.iter().copied())
    }

    #[test]
    fn each_name_is_a_method() {
        let at: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let position = CommitPosition("0/16B3748".parse().unwrap());
        let new = Changes::new;
        for (pair, changes) in [
            (("table", "sales.orders"), new().table(TableName::new("sales", "orders"))),
            (("operation", "update"), new().operation(Operation::Update)),
            (("changed", "status"), new().field_changed("status")),
            (("before", r#"{"a":1}"#), new().before_contains(&json!({"a": 1}))),
            (("after", r#"{"a":1}"#), new().after_contains(&json!({"a": 1}))),
            (("context", r#"{"a":1}"#), new().context_contains(&json!({"a": 1}))),
            (("where", "query=a=b"), new().context("query", "a=b")),
            (("no-context", "true"), new().without_context()),
            (("no-context", "false"), new()),
            (("no-baseline", "true"), new().without_baseline()),
            (("no-baseline", "false"), new()),
            (("trace", "4bf92f"), new().trace("4bf92f")),
            (("transaction", "740"), new().transaction(TransactionId(740))),
            (("commit", "0/16B3748"), new().commit(position)),
            (("since", "2026-11-21T10:00:00Z"), new().since(at)),
            (("until", "2026-11-21T10:00:00Z"), new().until(at)),
            (("behind", "0/16B3748"), new().behind(position)),
            (("up-to", "0/16B3748"), new().up_to(position)),
            (("database", "shop"), new().database("shop")),
            (("order", "newest"), new().newest_first()),
            (("order", "oldest"), new().oldest_first()),
            (("cursor", "7.3"), new().after("7.3".parse().unwrap())),
            (("limit", "7"), new().limit(7)),
        ] {
            assert_eq!(from(&[pair]).unwrap(), changes, "{pair:?}");
        }
    }

    #[test]
    fn the_names_that_an_error_tells_are_those_that_there_are() {
        let names = NAMES.split(", ").flat_map(|names| names.split(" and "));
        for name in names.clone() {
            let error = from(&[(name, "\0")]).unwrap_err();
            assert!(
                matches!(error, InvalidFilter::Value { source: InvalidValue::Nul, .. }),
                "{name}"
            );
        }
        for name in names.filter(|name| *name != "key") {
            assert!(!matches!(Changes::new().with(name, "?"), Ok(None)), "{name}");
        }
        assert!(
            matches!(from(&[("user", "1")]), Err(InvalidFilter::UnknownName { name }) if name == "user")
        );
    }

    #[test]
    fn numbers_keep_their_digits() {
        let long = r#"{"price":0.10000000000000000000000000001}"#;
        let Changes { conditions, .. } = from(&[("after", long)]).unwrap();
        assert_eq!(conditions, [Condition::Contains(Part::After, long.to_owned())]);
    }

    #[test]
    fn a_key_is_one_of_the_one_table_wherever_it_stands() {
        let record = Changes::new().record(TableName::new("public", "todo"), "26");
        assert_eq!(from(&[("key", "26"), ("table", "todo")]).unwrap(), record);
        assert_eq!(from(&[("table", "todo"), ("key", "26")]).unwrap(), record);
        for pairs in [&[("key", "26")][..], &[("table", "a"), ("key", "26"), ("table", "b")]] {
            assert!(matches!(from(pairs), Err(InvalidFilter::KeyWithoutTable)));
        }
    }

    #[test]
    fn what_would_contradict_itself_is_said_once() {
        for name in ONCE {
            let error = from(&[(name, "1"), (name, "1")]);
            assert!(error.is_err(), "{name}");
        }
        let twice = from(&[("limit", "1"), ("limit", "1")]);
        assert!(matches!(twice, Err(InvalidFilter::Twice { name: "limit" })));
        assert!(
            from(&[("table", "a"), ("table", "b"), ("since", "-2h"), ("since", "-1h")]).is_ok()
        );
    }

    #[test]
    fn an_instant_may_be_as_long_ago() {
        let before = Timestamp::now();
        let Changes { conditions, .. } = from(&[("since", "-2h")]).unwrap();
        let [Condition::Since(at)] = conditions[..] else { panic!("{conditions:?}") };
        let ago = before - jiff::SignedDuration::from_hours(2);
        assert!(at >= ago && at <= ago + (Timestamp::now() - before));
    }

    #[test]
    fn a_wrong_value_is_named_with_what_would_be_right() {
        for (name, value, right) in [
            ("table", "a.b.c", "sales.orders"),
            ("operation", "insert", "CREATE"),
            ("after", "{", "not JSON"),
            ("after", r#"{"a":["\u0000"]}"#, "NUL"),
            ("after", r#""\ud800""#, "not JSON"),
            ("where", "user_id", "user_id=188"),
            ("where", "=188", "user_id=188"),
            ("no-context", "yes", "true"),
            ("transaction", "4294967296", "32 bits"),
            ("commit", "7", "16/B374D848"),
            ("since", "yesterday", "-2h"),
            ("until", "@tx:1", "-2h"),
            ("order", "up", "oldest"),
            ("cursor", "7", "23813016.2"),
            ("limit", "0", "1 to 10000"),
            ("limit", "10001", "1 to 10000"),
        ] {
            let error = from(&[(name, value)]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{name}: ")) && error.contains(right), "{error}");
        }
    }
}
