//! The worker's own tables in the destination, and `changes`.

use bemi_core::changes_table;
use postgres_protocol::escape::escape_identifier;

use super::{Action, Plan, Side};
use crate::config::Config;
use crate::setup::inspect::{ChangesTable, Found};
use crate::setup::source_schema::create_schema;
use crate::sink::CREATE_STATEMENTS;

pub(super) fn plan(config: &Config, found: &Found, plan: &mut Plan) {
    plan_own_tables(found, plan);
    plan_changes(config, found, plan);
    if let Some(changes) = found.destination.changes.as_ref().filter(|c| c.unlike_ours().is_none())
    {
        plan_indexes(config, changes, plan);
    }
}

/// The worker's own tables, where they are missing or of a version before.
pub(super) fn plan_own_tables(found: &Found, plan: &mut Plan) {
    let destination = &found.destination;
    if !destination.has_own_tables {
        let makes_schema = !destination.has_schema && !found.is_one_database();
        let mut sql = if makes_schema { create_schema("bemi") } else { Vec::new() };
        sql.extend(CREATE_STATEMENTS.iter().map(|&sql| sql.to_owned()));
        plan.step(
            Side::Destination,
            "create the tables bemi.checkpoint, bemi.gaps, bemi.quarantine, bemi.backfill, bemi.table_events and bemi.retention",
            Action::Sql(sql),
        );
    }
}

/// The table `changes`, where there is none.
pub(super) fn plan_changes(config: &Config, found: &Found, plan: &mut Plan) {
    let destination = &found.destination;
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

/// Indexes that are of a later version than the table. The worker waits while one is made; readers do not.
fn plan_indexes(config: &Config, changes: &ChangesTable, plan: &mut Plan) {
    let schema = &config.changes_schema;
    for index in changes.missing_indexes() {
        let mut sql = Vec::new();
        // Of that name, it is the one of a version before.
        if changes.indexes.iter().any(|(name, _)| name == index.name) {
            sql.push(format!("DROP INDEX {}.{}", escape_identifier(schema), index.name));
        }
        sql.push(index.create_statement(schema));
        plan.step(
            Side::Destination,
            format!("create index {} on {schema}.changes", index.name),
            Action::Sql(sql),
        );
    }
}
