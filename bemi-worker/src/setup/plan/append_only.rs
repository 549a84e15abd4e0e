//! The guard of `changes`, which refuses to change what is stored.

use super::{Action, Plan, Side};
use crate::config::Config;
use crate::setup::append_only::create;
use crate::setup::inspect::Found;

/// Behind what brings the table into shape.
pub(super) fn plan(config: &Config, found: &Found, plan: &mut Plan) {
    if !found.destination.is_append_only {
        let schema = &config.changes_schema;
        let what = format!("refuse UPDATE, DELETE and TRUNCATE of {schema}.changes");
        plan.step(Side::Destination, what, Action::Sql(create(schema)));
    }
}
