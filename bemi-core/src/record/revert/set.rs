//! The changes that are to be taken back.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::emptied::Emptied;
use super::{Plan, RevertError, RevertOptions, planner};
use crate::record::{Database, TableName};
use crate::{Change, ChangeId};

/// How many ids of changes the context of a revert names.
const IDS_MAX: usize = 100;

/// A set of changes that are to be taken back together, the newest first.
///
/// ```no_run
/// use bemi_core::record::{Database, Record, RevertError, RevertOptions, Selection};
///
/// /// In the transaction that is open on `source`.
/// async fn undo<D: Database, S: Database>(
///     record: &mut Record<D>,
///     source: &mut S,
///     selection: &Selection,
/// ) -> Result<(), Box<dyn std::error::Error>> {
///     let set = record.reverse(selection).await?;
///     let plan = set.plan(source, &RevertOptions::new().reason("ticket 4711")).await?;
///     println!("{}", plan.summary());
///     plan.apply(source).await?;
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct ReversibleSet {
    described: Value,
    pub(super) changes: Vec<Change>,
    pub(super) emptied: HashMap<ChangeId, Emptied>,
}

impl ReversibleSet {
    /// The set of these, the newest first.
    pub(super) fn of(described: Value, changes: Vec<Change>) -> Self {
        Self { described, changes, emptied: HashMap::new() }
    }

    /// The changes, the newest first. Rows of a baseline and commands that changed tables may be among
    /// them: there is nothing to take back.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The tables that it is about.
    pub(super) fn tables(&self) -> Vec<TableName> {
        let mut tables: Vec<TableName> = self
            .changes
            .iter()
            .map(|change| TableName::new(&change.schema, &change.table))
            .collect();
        tables.sort();
        tables.dedup();
        tables
    }

    /// What the context of the revert says under `revert_of`.
    pub(super) fn revert_of(&self) -> Value {
        let ids: Vec<&ChangeId> = self.changes.iter().take(IDS_MAX).map(|c| &c.id).collect();
        json!({"selection": self.described, "count": self.changes.len(), "changes": ids})
    }

    /// Finds out what would have to be done, and what stands in its way, from the rows of the source
    /// as they are now. They are locked until the caller's transaction ends, unless the
    /// [options](RevertOptions::locking) say otherwise. Nothing is written.
    ///
    /// `source` is a connection to the database that the changes are of, with a transaction open.
    ///
    /// # Errors
    /// [`RevertError::NoTransaction`], [`RevertError::Record`] where the source refuses or does not
    /// answer. Conflicts are no error here: the [plan](Plan::conflicts) has them.
    ///
    /// # Cancellation
    /// Dropping the future leaves the transaction in the middle: roll it back.
    pub async fn plan<S: Database>(
        &self,
        source: &mut S,
        options: &RevertOptions,
    ) -> Result<Plan, RevertError<S::Error>> {
        planner::plan(self, source, options).await
    }
}
