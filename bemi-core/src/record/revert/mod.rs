//! Taking changes back.
//!
//! A revert is a plan: the net inverse of a set of changes, the newest first, that touches only the
//! columns that the set touched. What stands in its way is found before anything is written.
//!
//! ```text
//! Selection ─▶ ReversibleSet ─┐                     ┌─▶ statements: one for each row
//!              (the record)   ├─▶ simulated ─▶ Plan ┤                           ─▶ apply | script
//!               live rows ────┘   on copies         └─▶ conflicts
//!              (the source)
//! ```
//!
//! Invariant: a statement hits the row only if it still is what the plan saw, and all of them hit
//! exactly one row each, or nothing is written.

mod apply;
mod build;
mod cells;
mod conflict;
mod emptied;
mod error;
mod facts;
mod live;
mod options;
mod order;
mod plan;
mod planner;
mod references;
mod rules;
mod script;
mod selection;
mod set;
mod settings;
mod simulate;
mod slots;
mod source;
mod statement;
mod steps;
mod text;
mod unique;
mod values;

pub use apply::Applied;
pub use conflict::{Conflict, ConflictKind, Handling};
pub use error::RevertError;
pub use options::{OnConflict, RevertOptions, UnknownOnConflict};
pub use plan::{Plan, Summary, TableSummary};
pub use selection::{REVERT_CHANGES_MAX, Selection};
pub use set::ReversibleSet;
pub use statement::{Action, ColumnChange, Statement};
