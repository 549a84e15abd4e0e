//! How SQL itself says its context: the function that everybody may call, and, where it is asked for,
//! the triggers that take it from the requests of PostgREST.

use std::collections::{BTreeMap, BTreeSet};

use super::{Action, Plan, Side, forget, record};
use crate::config::Config;
use crate::setup::functions::{CONTEXT_FUNCTIONS, Function, REQUEST_FUNCTIONS};
use crate::setup::inspect::{Member, RecordKind, RequestTrigger, Source, Table};
use crate::setup::request_triggers;
use crate::setup::rules::Rules;

/// The record of the schema's being open to every role.
const OPEN_SCHEMA: &str = "bemi";

/// `bemi.set_context`, in every setup. Without it the worker does all the rest.
pub(super) fn plan_function(source: &Source, plan: &mut Plan) {
    let mut sql = create(source, &CONTEXT_FUNCTIONS);
    let was_opened = source.made(RecordKind::SchemaUsage, OPEN_SCHEMA);
    // Somebody who has closed it since meant to.
    if !source.context.is_schema_open && !was_opened {
        sql.push("GRANT USAGE ON SCHEMA bemi TO PUBLIC".to_owned());
        sql.push(record(RecordKind::SchemaUsage, OPEN_SCHEMA, None));
    }
    if sql.is_empty() {
        return;
    }
    plan.step(
        Side::Source,
        "create function bemi.set_context, by which SQL says its context",
        Action::IfAllowed {
            sql,
            otherwise: format!(
                "function bemi.set_context is missing, or of another version: role {} may not \
                 create it; run `bemi-worker setup` once as the role that set up first",
                source.role.name
            ),
        },
    );
}

/// What takes the context of a request, or its removal.
pub(super) fn plan_requests(config: &Config, source: &Source, rules: &Rules, plan: &mut Plan) {
    if rules.takes_requests {
        plan_request_functions(source, plan);
    }
    plan_triggers(source, rules, plan);
    for trigger in unwanted(config, source, rules) {
        drop_trigger(trigger, plan);
    }
    if !rules.takes_requests {
        drop_functions(source, plan);
    }
}

/// The functions behind the triggers.
pub(super) fn plan_request_functions(source: &Source, plan: &mut Plan) {
    let sql = create(source, &REQUEST_FUNCTIONS);
    if !sql.is_empty() {
        plan.source("create the functions that take the context of PostgREST's requests", sql);
    }
}

/// The triggers that are missing.
pub(super) fn plan_triggers(source: &Source, rules: &Rules, plan: &mut Plan) {
    if !rules.takes_requests {
        return;
    }
    for (table, member) in missing(source, rules) {
        plan.step(
            Side::Source,
            format!("take the context of PostgREST's requests on {}", member.name()),
            Action::Locking { sql: vec![request_triggers::create(&table)], table },
        );
    }
}

/// Whether the table, or a partition of it, has no trigger.
pub(super) fn lacks_trigger(source: &Source, table: &Table) -> bool {
    table.members.iter().any(|member| !source.context.triggers.contains_key(&member.quoted()))
}

/// Whether the function outside of our schema is there.
pub(super) fn is_compatible_made(source: &Source) -> bool {
    REQUEST_FUNCTIONS.iter().filter(|f| f.schema == "public").all(|f| source.context.has(f))
}

/// The tables and partitions that are tracked without the trigger, by their names in SQL.
pub(crate) fn missing(source: &Source, rules: &Rules) -> BTreeMap<String, Member> {
    rules
        .selected(&source.tables)
        .values()
        .flat_map(|table| &table.members)
        .map(|member| (member.quoted(), member.clone()))
        .filter(|(quoted, _)| !source.context.triggers.contains_key(quoted))
        .collect()
}

pub(crate) fn drop_trigger(trigger: &RequestTrigger, plan: &mut Plan) {
    plan.step(
        Side::Source,
        format!("no longer take the context of PostgREST's requests on {}", trigger.table_name),
        Action::Locking {
            table: trigger.table.clone(),
            sql: vec![request_triggers::drop(&trigger.name, &trigger.table)],
        },
    );
}

/// Drops what [`plan_requests`] creates, as far as setup made it.
pub(crate) fn drop_functions(source: &Source, plan: &mut Plan) {
    let sql = drop(source, &REQUEST_FUNCTIONS);
    if !sql.is_empty() {
        plan.source("drop the functions that take the context of PostgREST's requests", sql);
    }
}

/// Drops what [`plan_function`] creates, as far as setup made it.
pub(crate) fn drop_function(source: &Source, plan: &mut Plan) {
    let mut sql = drop(source, &CONTEXT_FUNCTIONS);
    if source.made(RecordKind::SchemaUsage, OPEN_SCHEMA) {
        sql.push("REVOKE USAGE ON SCHEMA bemi FROM PUBLIC".to_owned());
        sql.push(forget(RecordKind::SchemaUsage, OPEN_SCHEMA));
    }
    if !sql.is_empty() {
        plan.source("drop function bemi.set_context", sql);
    }
}

/// What bears the name of a function of ours, and is not ours.
pub(super) fn strangers<'a>(
    source: &'a Source,
    rules: &'a Rules,
) -> impl Iterator<Item = String> + 'a {
    let requested = REQUEST_FUNCTIONS.iter().filter(|_| rules.takes_requests);
    CONTEXT_FUNCTIONS
        .iter()
        .chain(requested)
        .filter(|function| source.context.has(function))
        .map(Function::signature)
        .filter(|signature| !source.made(RecordKind::Function, signature))
}

fn create(source: &Source, functions: &[Function]) -> Vec<String> {
    let mut sql = Vec::new();
    for function in functions.iter().filter(|function| !source.context.is_current(function)) {
        sql.push(function.create());
        if !source.context.has(function) {
            sql.push(function.grant());
        }
        sql.push(record(RecordKind::Function, &function.signature(), None));
    }
    sql
}

/// What calls another function goes first.
fn drop(source: &Source, functions: &[Function]) -> Vec<String> {
    functions
        .iter()
        .rev()
        .filter(|function| source.made(RecordKind::Function, &function.signature()))
        .flat_map(|f| [f.drop(), forget(RecordKind::Function, &f.signature())])
        .collect()
}

/// The triggers of tables that are not tracked any more. What is published stays as it is, so that a
/// renamed table is not lost, unless it was excluded.
fn unwanted<'a>(
    config: &Config,
    source: &'a Source,
    rules: &Rules,
) -> impl Iterator<Item = &'a RequestTrigger> {
    let both = config.publication.both();
    let is_published = |quoted: &String| {
        both.iter()
            .filter_map(|name| source.publication(name))
            .any(|publication| publication.tables.contains(quoted))
    };
    let wanted: BTreeSet<String> = source
        .tables
        .iter()
        .filter(|table| rules.takes_requests && table.root.is_none() && !rules.excludes(table))
        .filter(|table| rules.tracks(table) || is_published(&table.quoted()))
        .flat_map(|table| &table.members)
        .map(Member::quoted)
        .collect();
    source.context.triggers.values().filter(move |trigger| !wanted.contains(&trigger.table))
}
