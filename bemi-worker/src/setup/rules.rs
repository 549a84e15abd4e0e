//! Which tables and columns are tracked, and how: what was asked for now, on top of what was before.
//!
//! Rules add up, so that tracking one more table never ends that of another. The same pattern given
//! again takes the place of what it said before; among different patterns, one that excludes beats
//! what includes, and of several masks that which shows least counts.

use std::collections::{BTreeMap, BTreeSet};

use bemi_core::changes_table;

use super::inspect::{Found, Installation, Table};
use super::options::SetupOptions;
use crate::config::identity::IdentityRule;
use crate::config::mask::Mask;
use crate::config::pattern::{ColumnPattern, Exclusion, TablePattern};
use crate::config::{Config, ConfigError};
use crate::source::ColumnRules;

/// The rules in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) tracked: BTreeSet<TablePattern>,
    pub(crate) excluded: BTreeSet<TablePattern>,
    /// Patterns of tables that are not to be tracked by these any more.
    pub(crate) forgotten: BTreeSet<TablePattern>,
    pub(crate) columns: ColumnRules,
    /// Patterns of tables whose old rows are to be whole.
    pub(crate) full: BTreeSet<TablePattern>,
    /// Whether triggers take the context of a request from PostgREST.
    pub(crate) takes_requests: bool,
    /// Whether event triggers record DDL.
    pub(crate) records_ddl: bool,
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
        for pattern in &options.forgotten {
            if let Some(tables) = &pattern.tables {
                rules.tracked.remove(tables);
                rules.excluded.remove(tables);
                rules.forgotten.insert(tables.clone());
            }
            rules.columns.ignored.remove(&pattern.columns);
            rules.columns.masked.remove(&pattern.columns);
        }
        for pattern in &options.tables {
            rules.excluded.remove(pattern);
            rules.tracked.insert(pattern.clone());
        }
        for exclusion in &options.exclusions {
            if let Exclusion::Tables(pattern) = exclusion {
                rules.tracked.remove(pattern);
                rules.excluded.insert(pattern.clone());
            }
        }
        rules.columns.ignored.extend(options.ignored.iter().cloned());
        rules.columns.masked.extend(masks(options)?);
        match &options.identity {
            Some(IdentityRule::Keep) => rules.full.clear(),
            Some(IdentityRule::Full(patterns)) => rules.full.extend(patterns.iter().cloned()),
            None => {}
        }
        rules.takes_requests = options.takes_requests.unwrap_or(rules.takes_requests);
        rules.records_ddl = options.records_ddl.unwrap_or(rules.records_ddl);
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
            forgotten: BTreeSet::new(),
            columns: ColumnRules::of(&installation.column_rules)?,
            full: patterns(&installation.full)?,
            takes_requests: installation.takes_requests(),
            records_ddl: installation.records_ddl(),
        })
    }

    pub(crate) fn tracks(&self, table: &Table) -> bool {
        table.is_any_of(&self.tracked) && !self.excludes(table)
    }

    pub(crate) fn excludes(&self, table: &Table) -> bool {
        table.is_any_of(&self.excluded)
    }

    /// Whether the table is not to be published any more. One that no rule knows of may be: somebody
    /// else has published it, or it had another name when it was tracked.
    pub(crate) fn unpublishes(&self, table: &Table) -> bool {
        self.excludes(table) || (table.is_any_of(&self.forgotten) && !self.tracks(table))
    }

    /// Whether old rows of the table will be whole in the WAL.
    pub(crate) fn makes_whole(&self, table: &Table) -> bool {
        !table.has_virtual_columns && (table.is_full() || table.is_any_of(&self.full))
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

/// The masks that are asked for now.
fn masks(options: &SetupOptions) -> Result<BTreeMap<ColumnPattern, Mask>, ConfigError> {
    let excluded = options.exclusions.iter().filter_map(|exclusion| match exclusion {
        Exclusion::Columns(pattern) => Some((pattern, &Mask::Drop)),
        Exclusion::Tables(_) => None,
    });
    let masked = options
        .maskings
        .iter()
        .flat_map(|masking| masking.columns.iter().map(|pattern| (pattern, &masking.mask)));
    let mut masks = BTreeMap::new();
    for (pattern, mask) in excluded.chain(masked) {
        if let Some(other) = masks.insert(pattern.clone(), mask.clone())
            && other != *mask
        {
            return Err(ConfigError::TwoMasks {
                pattern: pattern.to_string(),
                one: other.to_string(),
                other: mask.to_string(),
            });
        }
    }
    Ok(masks)
}
