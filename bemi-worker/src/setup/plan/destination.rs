//! The worker's own tables in the destination, and `changes`.

use bemi_core::changes_table;
use postgres_protocol::escape::escape_identifier;

use super::{Action, Plan, Side, record};
use crate::config::Config;
use crate::setup::inspect::{Found, RecordKind};
use crate::sink::CREATE_STATEMENTS;

pub(super) fn plan(config: &Config, found: &Found, plan: &mut Plan) {
    let destination = &found.destination;
    if !destination.has_own_tables {
        plan.step(
            Side::Destination,
            "create the tables bemi.checkpoint, bemi.gaps and bemi.quarantine",
            Action::Sql(CREATE_STATEMENTS.iter().map(|&sql| sql.to_owned()).collect()),
        );
    }
    let schema = &config.changes_schema;
    if !destination.has_changes_schema {
        let create = format!("CREATE SCHEMA {}", escape_identifier(schema));
        // Known to setup alone, so that teardown does not drop anybody else's.
        plan.source(
            format!("note that schema {schema} is ours"),
            vec![record(RecordKind::ChangesSchema, schema, None)],
        );
        plan.step(Side::Destination, format!("create schema {schema}"), Action::Sql(vec![create]));
    }
    if destination.changes.is_none() {
        plan.step(
            Side::Destination,
            format!("create table {schema}.changes"),
            Action::Sql(changes_table::create_statements(schema)),
        );
    }
}
