//! The two publications, and the event trigger that keeps them up to date.

use std::collections::BTreeMap;

use postgres_protocol::escape::escape_identifier;

use super::{Action, Plan, Side, belongs, names, record};
use crate::config::Config;
use crate::setup::LOOK_INTERVAL;
use crate::setup::inspect::{Publication, RecordKind, Source, Table};
use crate::setup::rules::Rules;
use crate::setup::source_schema::{EVENT_TRIGGER, create_event_trigger};

/// The first version that publishes stored generated columns, if told to. Untold, and under
/// REPLICA IDENTITY FULL, the application's UPDATE of a table that has one would fail.
const GENERATED_COLUMNS_SINCE: i32 = 180_000;

pub(super) fn plan(config: &Config, source: &Source, rules: &Rules, plan: &mut Plan) {
    let selected = rules.selected(&source.tables);
    let all_operations = config.publication.as_str().to_owned();
    let mut removals = Vec::new();
    for publication in config.publication.both() {
        let wanted: BTreeMap<&String, &Table> = selected
            .iter()
            .filter(|(_, table)| belongs(config, source, rules, table) == publication)
            .map(|(quoted, table)| (quoted, *table))
            .collect();
        let operations =
            if publication == all_operations { None } else { Some("insert, truncate") };
        match source.publication(&publication) {
            None => create(source, &publication, operations, &wanted, plan),
            Some(existing) => {
                publish_generated_columns(source, existing, plan);
                add(existing, &wanted, plan);
                removals.push((existing, wanted));
            }
        }
    }
    // What moves is published all the while.
    for (existing, wanted) in removals {
        remove(existing, &wanted, &selected, source, rules, plan);
    }
}

/// Created also without tables: the worker names both.
fn create(
    source: &Source,
    publication: &str,
    operations: Option<&str>,
    wanted: &BTreeMap<&String, &Table>,
    plan: &mut Plan,
) {
    let mut parameters = vec!["publish_via_partition_root = true".to_owned()];
    parameters.extend(operations.map(|operations| format!("publish = '{operations}'")));
    if source.version >= GENERATED_COLUMNS_SINCE {
        parameters.push("publish_generated_columns = stored".to_owned());
    }
    let tables: Vec<String> = wanted.keys().map(|quoted| format!("ONLY {quoted}")).collect();
    let list =
        if tables.is_empty() { String::new() } else { format!(" FOR TABLE {}", tables.join(", ")) };
    let create = format!(
        "CREATE PUBLICATION {}{list} WITH ({})",
        escape_identifier(publication),
        parameters.join(", ")
    );
    let what = match (operations, wanted.is_empty()) {
        (_, true) => format!("create publication {publication}, with no table so far"),
        (None, _) => {
            format!("create publication {publication}: {}", names(wanted.values().copied()))
        }
        (Some(operations), _) => format!(
            "create publication {publication}, {operations} only: {}",
            names(wanted.values().copied())
        ),
    };
    plan.source(what, vec![create, record(RecordKind::Publication, publication, None)]);
}

/// A publication that an older server made has them not; see [`GENERATED_COLUMNS_SINCE`].
fn publish_generated_columns(source: &Source, existing: &Publication, plan: &mut Plan) {
    if source.version >= GENERATED_COLUMNS_SINCE && !existing.has_generated_columns {
        let name = &existing.name;
        let alter = format!(
            "ALTER PUBLICATION {} SET (publish_generated_columns = stored)",
            escape_identifier(name)
        );
        plan.source(format!("add stored generated columns to publication {name}"), vec![alter]);
    }
}

/// Adds what is missing.
fn add(existing: &Publication, wanted: &BTreeMap<&String, &Table>, plan: &mut Plan) {
    let added: BTreeMap<&String, &Table> = wanted
        .iter()
        .filter(|(quoted, _)| !existing.tables.contains(**quoted))
        .map(|(quoted, table)| (*quoted, *table))
        .collect();
    if !added.is_empty() {
        let name = &existing.name;
        let list: Vec<String> = added.keys().map(|quoted| format!("ONLY {quoted}")).collect();
        plan.source(
            format!("add to publication {name}: {}", names(added.values().copied())),
            vec![format!(
                "ALTER PUBLICATION {} ADD TABLE {}",
                escape_identifier(name),
                list.join(", ")
            )],
        );
    }
}

/// Removes what is left out now or belongs to the other publication. Tables that somebody else has
/// added stay.
fn remove(
    existing: &Publication,
    wanted: &BTreeMap<&String, &Table>,
    selected: &BTreeMap<String, &Table>,
    source: &Source,
    rules: &Rules,
    plan: &mut Plan,
) {
    let misplaced = |quoted: &&String| {
        let is_left_out = || {
            source.tables.iter().any(|table| table.quoted() == **quoted && rules.unpublishes(table))
        };
        !wanted.contains_key(quoted) && (selected.contains_key(*quoted) || is_left_out())
    };
    let removed: Vec<&String> = existing.tables.iter().filter(misplaced).collect();
    if !removed.is_empty() {
        let name = &existing.name;
        let list: Vec<String> = removed.iter().map(|quoted| format!("ONLY {quoted}")).collect();
        let tables = source.tables.iter().filter(|table| removed.contains(&&table.quoted()));
        plan.source(
            format!("remove from publication {name}: {}", names(tables)),
            vec![format!(
                "ALTER PUBLICATION {} DROP TABLE {}",
                escape_identifier(name),
                list.join(", ")
            )],
        );
    }
}

pub(super) fn plan_event_trigger(source: &Source, plan: &mut Plan) {
    if source.has_event_trigger && source.has_current_functions {
        return;
    }
    let looked_for = format!(
        "a running worker looks for them every {} s, as far as its role owns them; to lose nothing, run \
         `bemi-worker setup` after making them",
        LOOK_INTERVAL.as_secs()
    );
    if let Some(owner) = &source.untrusted_owner {
        plan.note(format!(
            "new tables are not tracked as they are made: schema bemi belongs to role {owner}, which \
             an event trigger with our rights must not rely on; {looked_for}, or tear down and set up \
             as a superuser"
        ));
        return;
    }
    let mut sql = create_event_trigger();
    sql.push(record(RecordKind::EventTrigger, EVENT_TRIGGER, None));
    plan.step(
        Side::Source,
        format!("create event trigger {EVENT_TRIGGER}, which tracks new tables"),
        Action::IfAllowed {
            sql,
            otherwise: format!(
                "new tables are not tracked as they are made: role {} may not create event triggers, \
                 which takes a superuser; {looked_for}, or once as a superuser",
                source.role.name
            ),
        },
    );
}
