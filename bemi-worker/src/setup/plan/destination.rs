//! The worker's own tables in the destination, and `changes`.

use bemi_core::changes_table;

use super::{Action, Plan, Side};
use crate::config::Config;
use crate::setup::inspect::Found;
use crate::setup::source_schema::create_schema;
use crate::sink::CREATE_STATEMENTS;

pub(super) fn plan(config: &Config, found: &Found, plan: &mut Plan) {
    let destination = &found.destination;
    if !destination.has_own_tables {
        let makes_schema = !destination.has_schema && !found.is_one_database();
        let mut sql = if makes_schema { create_schema("bemi") } else { Vec::new() };
        sql.extend(CREATE_STATEMENTS.iter().map(|&sql| sql.to_owned()));
        plan.step(
            Side::Destination,
            "create the tables bemi.checkpoint, bemi.gaps, bemi.quarantine, bemi.backfill and bemi.table_events",
            Action::Sql(sql),
        );
    }
    let schema = &config.changes_schema;
    if !destination.has_changes_schema {
        plan.step(
            Side::Destination,
            format!("create schema {schema}"),
            Action::Sql(create_schema(schema)),
        );
    }
    if destination.changes.is_none() {
        plan.step(
            Side::Destination,
            format!("create table {schema}.changes"),
            Action::Sql(changes_table::create_statements(schema)),
        );
    }
}
