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
