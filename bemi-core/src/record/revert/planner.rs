//! From a set of changes to a plan.

use super::settings::Frame;
use super::{Plan, ReversibleSet, RevertError, RevertOptions};
use crate::record::{Database, RecordError};

/// Finds out what would have to be done.
pub(super) async fn plan<S: Database>(
    set: &ReversibleSet,
    source: &mut S,
    options: &RevertOptions,
) -> Result<Plan, RevertError<S::Error>> {
    let failed = |source| RecordError::Database { doing: "begin the plan", source };
    let frame = Frame::enter(source).await.map_err(failed)?;
    let frame = frame.ok_or(RevertError::NoTransaction)?;
    let mut context = options.context.clone();
    context.insert("revert_of", set.revert_of());
    let plan = Plan {
        statements: Vec::new(),
        conflicts: Vec::new(),
        deferred: Vec::new(),
        context,
        changes: set.changes.len(),
    };
    let failed = |source| RecordError::Database { doing: "end the plan", source };
    frame.leave(source).await.map_err(failed)?;
    Ok(plan)
}
