//! Which tables and columns are tracked: what was asked for now, on top of what was before.
//!
//! Rules add up, so that tracking one more table never ends that of another. The same pattern given
//! again on the other side changes sides; otherwise an exclusion beats what includes.

use std::collections::{BTreeMap, BTreeSet};

use bemi_core::changes_table;

use super::inspect::{Found, Installation, Table};
use super::options::{IdentityPolicy, SetupOptions};
use crate::config::pattern::{ColumnPattern, Exclusion, TablePattern};
use crate::config::{Config, ConfigError};

/// The rules in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) tracked: BTreeSet<TablePattern>,
    pub(crate) excluded: BTreeSet<TablePattern>,
    /// Globs of schema, table and column, as `bemi.excluded_columns` has them.
    pub(crate) excluded_columns: BTreeSet<(String, String, String)>,
    /// Those of the columns that are new, to be checked.
    pub(crate) new_columns: Vec<ColumnPattern>,
    pub(crate) is_full: bool,
    /// Whether triggers take the context of a request from PostgREST.
    pub(crate) takes_requests: bool,
}

impl Rules {
    /// The rules of the last setup and those asked for now.
    pub(crate) fn merge(
        options: &SetupOptions,
        config: &Config,
        found: &Found,
    ) -> Result<Self, ConfigError> {
        let none = Installation::default();
        let mut rules = Self::of(found.source.installation.as_ref().unwrap_or(&none))?;
        for pattern in &options.tables {
            rules.excluded.remove(pattern);
            rules.tracked.insert(pattern.clone());
        }
        for exclusion in &options.exclusions {
            match exclusion {
                Exclusion::Tables(pattern) => {
                    rules.tracked.remove(pattern);
                    rules.excluded.insert(pattern.clone());
                }
                Exclusion::Columns(pattern) => {
                    rules.excluded_columns.insert((
                        pattern.table.schema.glob(),
                        pattern.table.table.glob(),
                        pattern.column.glob(),
                    ));
                    rules.new_columns.push(pattern.clone());
                }
            }
        }
        if let Some(policy) = options.identity {
            rules.is_full = policy == IdentityPolicy::Full;
        }
        rules.takes_requests = options.takes_requests.unwrap_or(rules.takes_requests);
        // What the worker writes must not come back to it.
        if found.is_one_database() {
            let changes = TablePattern::exactly(&config.changes_schema, changes_table::TABLE);
            rules.tracked.remove(&changes);
            rules.excluded.insert(changes);
        }
        Ok(rules)
    }

    /// The rules of the last setup.
    pub(crate) fn of(installation: &Installation) -> Result<Self, ConfigError> {
        let patterns = |texts: &BTreeSet<String>| {
            texts.iter().map(|text| text.parse()).collect::<Result<_, ConfigError>>()
        };
        Ok(Self {
            tracked: patterns(&installation.tracked)?,
            excluded: patterns(&installation.excluded)?,
            excluded_columns: installation.excluded_columns.clone(),
            new_columns: Vec::new(),
            is_full: installation.is_full,
            takes_requests: installation.takes_requests(),
        })
    }

    pub(crate) fn tracks(&self, table: &Table) -> bool {
        let matches = |pattern: &TablePattern| pattern.matches(&table.schema, &table.name);
        self.tracked.iter().any(matches) && !self.excludes(table)
    }

    pub(crate) fn excludes(&self, table: &Table) -> bool {
        self.excluded.iter().any(|pattern| pattern.matches(&table.schema, &table.name))
    }

    /// The tables to publish, by their names in SQL.
    pub(crate) fn selected<'a>(&self, tables: &'a [Table]) -> BTreeMap<String, &'a Table> {
        tables
            .iter()
            .filter(|table| table.root.is_none() && table.is_in_wal() && !table.is_of_extension)
            .filter(|table| self.tracks(table))
            .map(|table| (table.quoted(), table))
            .collect()
    }
}
