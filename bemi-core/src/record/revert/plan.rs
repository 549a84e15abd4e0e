//! A plan: what a revert would do, and what stands in its way.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::{Action, Conflict, Handling, Statement};
use crate::Context;
use crate::record::TableName;

/// What a revert does, statement by statement, and what stands in its way.
///
/// What is shown is what is carried out: [`apply`](Self::apply) runs these statements in this order,
/// and [`script`](Self::script) has them for psql.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) statements: Vec<Statement>,
    pub(super) conflicts: Vec<Conflict>,
    pub(super) deferred: Vec<Deferred>,
    pub(super) context: Context,
    pub(super) changes: usize,
}

/// A constraint that is checked after all statements.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Deferred {
    /// Its name with its schema, as SQL has it.
    pub(super) name: String,
    /// Whether it is so anyway, if nobody says anything.
    pub(super) initially: bool,
}

/// How much a plan does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// How many changes of the record it takes back.
    pub changes: usize,
    /// How many conflicts there are.
    pub conflicts: usize,
    /// Those that keep the plan from being applied.
    pub blocking: usize,
    /// By table, how many rows are deleted, updated (or follow an update) and inserted.
    pub tables: Vec<TableSummary>,
}

/// How much a plan does to a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TableSummary {
    /// The table.
    pub table: TableName,
    /// Rows that go.
    pub deleted: usize,
    /// Rows that get other values.
    pub updated: usize,
    /// Rows that come back.
    pub inserted: usize,
}

impl Plan {
    /// The statements, in the order in which they run.
    #[must_use]
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// All that was found to stand in the way, and what becomes of each.
    #[must_use]
    pub fn conflicts(&self) -> &[Conflict] {
        &self.conflicts
    }

    /// Whether a conflict keeps the plan from being applied.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.conflicts.iter().any(|conflict| conflict.handling == Handling::Blocks)
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }

    /// The context under which it is carried out.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// How much it does.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let mut tables: BTreeMap<&TableName, TableSummary> = BTreeMap::new();
        for statement in &self.statements {
            let of_table = tables.entry(&statement.table).or_insert_with(|| TableSummary {
                table: statement.table.clone(),
                deleted: 0,
                updated: 0,
                inserted: 0,
            });
            match statement.action {
                Action::Delete => of_table.deleted += 1,
                Action::Update | Action::Follow => of_table.updated += 1,
                Action::Insert => of_table.inserted += 1,
            }
        }
        Summary {
            changes: self.changes,
            conflicts: self.conflicts.len(),
            blocking: self.blocking().count(),
            tables: tables.into_values().collect(),
        }
    }

    /// The conflicts that keep the plan from being applied.
    pub(super) fn blocking(&self) -> impl Iterator<Item = &Conflict> {
        self.conflicts.iter().filter(|conflict| conflict.handling == Handling::Blocks)
    }
}

impl fmt::Display for Summary {
    /// `2 rows of order deleted, 1 row of todo updated`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.tables.is_empty() {
            return f.write_str("nothing to do");
        }
        let mut separator = "";
        for table in &self.tables {
            for (count, done) in [
                (table.deleted, "deleted"),
                (table.updated, "updated"),
                (table.inserted, "inserted"),
            ] {
                if count > 0 {
                    let rows = if count == 1 { "row" } else { "rows" };
                    write!(f, "{separator}{count} {rows} of {} {done}", table.table)?;
                    separator = ", ";
                }
            }
        }
        Ok(())
    }
}
