//! What a change did to each column.

use crate::{Change, Operation};

/// A column that a change touched, with its values as JSON texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FieldChange<'a> {
    /// The column.
    pub column: &'a str,
    /// What was there; `None` where there was no row, or the record does not tell.
    pub before: Option<&'a str>,
    /// What is there now; `None` where there is no row any more.
    pub after: Option<&'a str>,
    /// Whether the record tells what was there. Where not, as under a replica identity other than
    /// FULL, an UPDATE may have left the column as it was.
    pub before_known: bool,
}

impl FieldChange<'_> {
    /// Whether a hash stands for the value, as `setup --mask 'users.email=hash'` has it: different
    /// hashes are different values.
    #[must_use]
    pub fn is_hashed(&self) -> bool {
        self.before.is_some_and(is_hash) || self.after.is_some_and(is_hash)
    }
}

fn is_hash(json: &str) -> bool {
    json.strip_prefix("\"hmac-sha256:")
        .and_then(|rest| rest.strip_suffix('"'))
        .is_some_and(|digits| digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

impl Change {
    /// The columns that the change touched, in the order of their names: those of the new row for CREATE
    /// and SNAPSHOT, those of the old one for DELETE, as far as the record has it, and for UPDATE those
    /// that differ, or may differ. None for TRUNCATE and DDL.
    ///
    /// A column that PostgreSQL did not send, since it was untouched, is not there. One that is masked by
    /// a fixed text looks the same before and after, and cannot be.
    ///
    /// ```
    /// # let change: bemi_core::Change = serde_json::from_str(r#"{
    /// #     "id": "018bcfe5-6800-8a40-9b52-e72401e8144d", "primary_key": "1", "previous_key": null,
    /// #     "before": {"id": 1, "task": "Sleep", "price": 0.10}, "after": {"id": 1, "task": "Eat", "price": 0.10},
    /// #     "context": {}, "database": "shop", "schema": "public", "table": "todo", "operation": "UPDATE",
    /// #     "committed_at": "2026-11-21T10:00:00Z", "queued_at": "2026-11-21T10:00:00Z", "created_at": "2026-11-21T10:00:00Z",
    /// #     "transaction_id": 1, "position": 1, "commit_position": 1, "sequence": 1, "before_complete": true,
    /// #     "unavailable": null, "encoded": null
    /// # }"#).unwrap();
    /// let fields = change.fields();
    /// assert_eq!(fields.len(), 1);
    /// assert_eq!(fields[0].column, "task");
    /// assert_eq!((fields[0].before, fields[0].after), (Some("\"Sleep\""), Some("\"Eat\"")));
    /// ```
    #[must_use]
    pub fn fields(&self) -> Vec<FieldChange<'_>> {
        match self.operation {
            Operation::Create | Operation::Snapshot => self
                .after
                .columns()
                .map(|(column, after)| FieldChange {
                    column,
                    before: None,
                    after: Some(after),
                    before_known: true,
                })
                .collect(),
            Operation::Delete => self
                .before
                .columns()
                .map(|(column, before)| FieldChange {
                    column,
                    before: Some(before),
                    after: None,
                    before_known: true,
                })
                .collect(),
            Operation::Update => self
                .after
                .columns()
                .map(|(column, after)| {
                    let before = self.before.get(column);
                    FieldChange {
                        column,
                        before,
                        after: Some(after),
                        before_known: before.is_some(),
                    }
                })
                .filter(|field| field.before != field.after)
                .collect(),
            Operation::Truncate | Operation::Ddl => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn change(operation: &str, before: &str, after: &str, complete: bool) -> Change {
        let mut change: Value = json!({
            "id": "018bcfe5-6800-8a40-9b52-e72401e8144d", "primary_key": "1", "previous_key": null,
            "before": {}, "after": {}, "context": {}, "database": "shop", "schema": "public",
            "table": "todo", "operation": operation, "committed_at": "2026-11-21T10:00:00Z",
            "queued_at": "2026-11-21T10:00:00Z", "created_at": "2026-11-21T10:00:00Z",
            "transaction_id": 1, "position": 1, "commit_position": 1, "sequence": 1,
            "before_complete": complete, "unavailable": null, "encoded": null
        });
        // Rows as texts, so that they keep their digits.
        change["before"] = "before".into();
        change["after"] = "after".into();
        let text = change.to_string();
        let text = text.replace(":\"before\"", &format!(":{before}"));
        serde_json::from_str(&text.replace(":\"after\"", &format!(":{after}"))).unwrap()
    }

    fn told(change: &Change) -> Vec<(&str, Option<&str>, Option<&str>, bool)> {
        let fields = change.fields();
        fields.iter().map(|f| (f.column, f.before, f.after, f.before_known)).collect()
    }

    #[test]
    fn an_update_has_the_columns_that_differ() {
        let change =
            change("UPDATE", r#"{"a":1,"b":null,"c":[1]}"#, r#"{"a":1,"b":0.10,"c":null}"#, true);
        assert_eq!(
            told(&change),
            [("b", Some("null"), Some("0.10"), true), ("c", Some("[1]"), Some("null"), true)]
        );
    }

    #[test]
    fn every_digit_counts() {
        let change = change(
            "UPDATE",
            r#"{"a":10000000000000000000000000000001}"#,
            r#"{"a":10000000000000000000000000000002}"#,
            true,
        );
        assert_eq!(change.fields().len(), 1);
    }

    #[test]
    fn new_and_old_rows_have_all_their_columns() {
        for operation in ["CREATE", "SNAPSHOT"] {
            let change = change(operation, "{}", r#"{"a":1,"b":null}"#, true);
            assert_eq!(
                told(&change),
                [("a", None, Some("1"), true), ("b", None, Some("null"), true)]
            );
        }
        let change = change("DELETE", r#"{"a":1}"#, "{}", false);
        assert_eq!(told(&change), [("a", Some("1"), None, true)]);
    }

    #[test]
    fn where_the_record_does_not_tell_what_was_there_it_may_have_changed() {
        let change = change("UPDATE", r#"{"id":1}"#, r#"{"id":1,"a":2}"#, false);
        assert_eq!(told(&change), [("a", None, Some("2"), false)]);
    }

    #[test]
    fn what_the_server_did_not_send_was_not_touched() {
        let change = change("UPDATE", r#"{"a":1,"big":"x"}"#, r#"{"a":2}"#, true);
        assert_eq!(told(&change), [("a", Some("1"), Some("2"), true)]);
    }

    #[test]
    fn a_truncate_and_a_command_touch_no_column() {
        assert_eq!(change("TRUNCATE", "{}", "{}", false).fields(), []);
        assert_eq!(change("DDL", "{}", r#"{"command":"ALTER TABLE"}"#, false).fields(), []);
    }

    #[test]
    fn a_hash_is_known_by_its_looks() {
        let hash = format!(r#"{{"a":"hmac-sha256:{}"}}"#, "0f".repeat(32));
        assert!(change("CREATE", "{}", &hash, true).fields()[0].is_hashed());
        assert!(change("UPDATE", &hash, r#"{"a":null}"#, true).fields()[0].is_hashed());
        assert!(!change("CREATE", "{}", r#"{"a":"hmac-sha256:0f"}"#, true).fields()[0].is_hashed());
    }
}
