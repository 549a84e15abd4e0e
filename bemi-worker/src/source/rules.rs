//! The rules for columns, which setup keeps in the source: whose changes alone are not stored, and
//! whose values are masked.
//!
//! Invariant: a rule that cannot be read or applied is an error. Nothing is stored in clear for want
//! of understanding.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};

use crate::config::mask::Mask;
use crate::config::pattern::ColumnPattern;
use crate::config::{ConfigError, MaskKey};
use crate::error::{Problems, WorkerError};
use crate::render::{ColumnMask, ColumnRule, Hasher, Table};
use crate::stitch::{Hidden, TableEvent};

/// A rule, as `bemi.column_rules` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredRule {
    pub(crate) pattern: String,
    /// How values are masked; none for columns whose changes are ignored.
    pub(crate) mask: Option<String>,
}

/// Rules for columns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ColumnRules {
    /// Columns whose changes alone are not stored.
    pub(crate) ignored: BTreeSet<ColumnPattern>,
    /// Columns whose values are masked.
    pub(crate) masked: BTreeMap<ColumnPattern, Mask>,
}

impl StoredRule {
    /// Reads all of them.
    ///
    /// # Errors
    ///
    /// Those of the query; that the table is missing is one.
    pub(crate) async fn read(client: &Client) -> Result<Vec<Self>, Error> {
        let rows = client
            .query("SELECT pattern, mask FROM bemi.column_rules ORDER BY pattern, rule", &[])
            .await?;
        rows.iter()
            .map(|row| Ok(Self { pattern: row.try_get(0)?, mask: row.try_get(1)? }))
            .collect()
    }
}

impl ColumnRules {
    /// Takes the rules as they are stored.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when one of them is of a later version, or of somebody else.
    pub(crate) fn of(stored: &[StoredRule]) -> Result<Self, ConfigError> {
        let mut rules = Self::default();
        for StoredRule { pattern, mask } in stored {
            let unknown = |_| ConfigError::UnknownRule { pattern: pattern.clone() };
            let columns = pattern.parse().map_err(unknown)?;
            match mask {
                Some(mask) => {
                    rules.masked.insert(columns, mask.parse().map_err(unknown)?);
                }
                None => {
                    rules.ignored.insert(columns);
                }
            }
        }
        Ok(rules)
    }
}

/// Rules for columns, ready to be applied.
#[derive(Debug)]
pub(super) struct AppliedRules {
    rules: ColumnRules,
    /// There, where a rule asks for it.
    hasher: Option<Hasher>,
}

impl AppliedRules {
    /// Reads the rules of the source; `key` is what hashes are made with.
    pub(super) async fn read(client: &Client, key: Option<&MaskKey>) -> Result<Self, WorkerError> {
        let stored = StoredRule::read(client).await.map_err(|error| {
            match error.code().map(SqlState::code) {
                // Neither the table nor its schema.
                Some("42P01" | "3F000") => WorkerError::NotSetUp {
                    what: "the source has no table bemi.column_rules".to_owned(),
                },
                _ => WorkerError::database("read bemi.column_rules in the source")(error),
            }
        })?;
        let rules = ColumnRules::of(&stored)?;
        let hashed = rules.masked.iter().find(|(_, mask)| **mask == Mask::Hash);
        let hasher = match (hashed, key) {
            (None, _) => None,
            (Some(_), Some(key)) => Some(Hasher::new(key)),
            (Some((pattern, _)), None) => {
                let mut problems = Problems::default();
                problems.requirement(format!(
                    "the columns {pattern} are to be masked by a hash, and there is no key for it; \
                     set BEMI_MASK_KEY, or mask_key_file in the config file"
                ));
                return Err(WorkerError::Unready(problems));
            }
        };
        Ok(Self { rules, hasher })
    }

    /// Tells a table the rules for its columns, in place of those before.
    pub(super) fn apply(&self, table: &mut Table) {
        let (schema, name) = (table.schema.clone(), table.name.clone());
        let of_table = |pattern: &&ColumnPattern| pattern.table.matches(&schema, &name);
        let ignored: Vec<_> = self.rules.ignored.iter().filter(of_table).collect();
        let masked: Vec<_> =
            self.rules.masked.iter().filter(|(pattern, _)| of_table(pattern)).collect();
        table.set_rules(|column| {
            // Several may match: that which shows least counts.
            let masks = masked.iter().filter(|(pattern, _)| pattern.column.matches(column));
            let mask = masks.map(|(_, mask)| *mask).min();
            ColumnRule {
                is_ignored: ignored.iter().any(|pattern| pattern.column.matches(column)),
                mask: mask.map(|mask| self.ready(mask)),
            }
        });
    }

    /// Takes out of a table's event what the rules hide.
    pub(super) fn hide(&self, event: &mut TableEvent) {
        let (schema, name) = (event.schema.clone(), event.table.clone());
        event.hide(|column| {
            let of_column = |pattern: &&ColumnPattern| {
                pattern.table.matches(&schema, &name) && pattern.column.matches(column)
            };
            let masks = self.rules.masked.iter().filter(|(pattern, _)| of_column(pattern));
            masks.map(|(_, mask)| mask).min().map(|mask| match mask {
                Mask::Drop => Hidden::LeftOut,
                Mask::Text(_) | Mask::Hash => Hidden::Masked,
            })
        });
    }

    fn ready(&self, mask: &Mask) -> ColumnMask {
        match (mask, &self.hasher) {
            (Mask::Text(text), _) => ColumnMask::text(text),
            (Mask::Hash, Some(hasher)) => ColumnMask::Hash(hasher.clone()),
            // Without a key there is no hash, and the rules were refused.
            (Mask::Drop, _) | (Mask::Hash, None) => ColumnMask::Drop,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(pattern: &str, mask: Option<&str>) -> StoredRule {
        StoredRule { pattern: pattern.to_owned(), mask: mask.map(str::to_owned) }
    }

    #[test]
    fn a_column_may_be_ignored_and_masked() {
        let rules = [stored("*.*.seen_at", None), stored("*.*.seen_at", Some("hash"))];
        let rules = ColumnRules::of(&rules).unwrap();
        assert_eq!((rules.ignored.len(), rules.masked.len()), (1, 1));
    }

    #[test]
    fn a_rule_that_nobody_here_knows_is_refused() {
        for rule in [stored("*.*.a", Some("rot13")), stored("a.b.c.d", None)] {
            let error = ColumnRules::of(std::slice::from_ref(&rule)).unwrap_err().to_string();
            assert!(error.contains(&rule.pattern) && error.contains("version"), "{error}");
        }
    }
}
