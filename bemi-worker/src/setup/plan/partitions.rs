//! Partitions of `changes`, where they are asked for.

use super::{Action, Plan, Side};
use crate::config::Config;
use crate::partitions::{Shape, comment, parent};
use crate::setup::inspect::Found;
use crate::setup::options::SetupOptions;

/// Behind what brings the table into shape.
pub(super) fn plan(options: &SetupOptions, config: &Config, found: &Found, plan: &mut Plan) {
    let Some(by) = options.partition_by else { return };
    let schema = &config.changes_schema;
    match &found.destination.shape {
        Shape::Missing | Shape::Plain { .. } => plan.step(
            Side::Destination,
            format!("make partitions of {schema}.changes, by {by}"),
            Action::Partition { by },
        ),
        Shape::Partitioned(layout) if layout.by != Some(by) => plan.step(
            Side::Destination,
            format!("make the next partitions of {schema}.changes by {by}"),
            Action::Sql(vec![comment(&parent(schema), &layout.comment, by)]),
        ),
        Shape::Partitioned(_) => {}
    }
}
