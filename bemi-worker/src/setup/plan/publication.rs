//! The two publications, and the event triggers that keep them up to date.

use std::collections::BTreeMap;

use postgres_protocol::escape::escape_identifier;

use super::{Action, Plan, Side, belongs, names, record, table_events};
use crate::config::Config;
use crate::setup::LOOK_INTERVAL;
use crate::setup::inspect::{Publication, RecordKind, Source, Table};
use crate::setup::rules::Rules;
use crate::setup::source_schema::create_event_triggers;
use crate::setup::table_events::TABLE_TRIGGERS;

/// The first version that publishes stored generated columns, if told to. Untold, and under
/// REPLICA IDENTITY FULL, the application's UPDATE of a table that has one would fail.
const GENERATED_COLUMNS_SINCE: i32 = 180_000;

/// What the first publication publishes.
const ALL_OPERATIONS: [&str; 4] = ["insert", "update", "delete", "truncate"];

/// What the second one publishes, for tables whose UPDATE and DELETE would fail.
const INSERT_ONLY: [&str; 2] = ["insert", "truncate"];

pub(super) fn plan(config: &Config, source: &Source, rules: &Rules, plan: &mut Plan) {
    let selected = rules.selected(&source.tables);
    let mut removals = Vec::new();
    for publication in config.publication.both() {
        let wanted: BTreeMap<&String, &Table> = selected
            .iter()
            .filter(|(_, table)| belongs(config, source, rules, table) == publication)
            .map(|(quoted, table)| (quoted, *table))
            .collect();
        let operations = operations_of(config, &publication);
        match source.publication(&publication) {
            None => create(source, &publication, operations, &wanted, plan),
            Some(existing) => {
                mend(source, existing, operations, plan);
                widen(existing, &wanted, plan);
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

/// What one of our publications is to publish.
pub(crate) fn operations_of(config: &Config, publication: &str) -> &'static [&'static str] {
    if publication == config.publication.as_str() { &ALL_OPERATIONS } else { &INSERT_ONLY }
}

/// Created also without tables: the worker names both.
fn create(
    source: &Source,
    publication: &str,
    operations: &[&str],
    wanted: &BTreeMap<&String, &Table>,
    plan: &mut Plan,
) {
    let parameters = parameters(source, operations);
    let publishes_all = operations == ALL_OPERATIONS;
    let operations = operations.join(", ");
    let tables: Vec<String> = wanted.keys().map(|quoted| format!("ONLY {quoted}")).collect();
    let list =
        if tables.is_empty() { String::new() } else { format!(" FOR TABLE {}", tables.join(", ")) };
    let create = format!(
        "CREATE PUBLICATION {}{list} WITH ({})",
        escape_identifier(publication),
        parameters
    );
    let what = match (publishes_all, wanted.is_empty()) {
        (_, true) => format!("create publication {publication}, with no table so far"),
        (true, _) => {
            format!("create publication {publication}: {}", names(wanted.values().copied()))
        }
        (false, _) => format!(
            "create publication {publication}, {operations} only: {}",
            names(wanted.values().copied())
        ),
    };
    plan.source(what, vec![create, record(RecordKind::Publication, publication, None)]);
}

fn parameters(source: &Source, operations: &[&str]) -> String {
    let mut parameters =
        format!("publish = '{}', publish_via_partition_root = true", operations.join(", "));
    if source.version >= GENERATED_COLUMNS_SINCE {
        parameters.push_str(", publish_generated_columns = stored");
    }
    parameters
}

/// Sets what somebody else has set otherwise, or an older server has not known.
fn mend(source: &Source, existing: &Publication, operations: &[&str], plan: &mut Plan) {
    let lacks_columns =
        source.version >= GENERATED_COLUMNS_SINCE && !existing.has_generated_columns;
    if lacks_columns || existing.operations != operations || !existing.is_via_root {
        let name = &existing.name;
        let alter = format!(
            "ALTER PUBLICATION {} SET ({})",
            escape_identifier(name),
            parameters(source, operations)
        );
        plan.source(format!("have publication {name} publish all that it is for"), vec![alter]);
    }
}

/// Takes row filters and column lists away, which leave things out that nobody would miss.
fn widen(existing: &Publication, wanted: &BTreeMap<&String, &Table>, plan: &mut Plan) {
    let narrowed: BTreeMap<&String, &Table> = wanted
        .iter()
        .filter(|(quoted, _)| existing.narrowed.contains(**quoted))
        .map(|(quoted, table)| (*quoted, *table))
        .collect();
    if narrowed.is_empty() {
        return;
    }
    let name = &existing.name;
    let list: Vec<String> = narrowed.keys().map(|quoted| format!("ONLY {quoted}")).collect();
    let list = list.join(", ");
    let publication = escape_identifier(name);
    plan.source(
        format!(
            "remove row filters and column lists from publication {name}: {}",
            names(narrowed.values().copied())
        ),
        vec![
            format!("ALTER PUBLICATION {publication} DROP TABLE {list}"),
            format!("ALTER PUBLICATION {publication} ADD TABLE {list}"),
        ],
    );
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
        let drop =
            format!("ALTER PUBLICATION {} DROP TABLE {}", escape_identifier(name), list.join(", "));
        // The others are in the other publication.
        let left_out: Vec<String> = removed
            .iter()
            .filter(|quoted| !selected.contains_key(**quoted))
            .map(|q| (*q).clone())
            .collect();
        plan.source(
            format!("remove from publication {name}: {}", names(tables)),
            [vec![drop], table_events::untracked(&left_out)].concat(),
        );
    }
}

pub(super) fn plan_event_triggers(source: &Source, plan: &mut Plan) {
    if source.has_event_triggers() && source.has_current_functions {
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
    let mut sql = create_event_triggers();
    sql.extend(TABLE_TRIGGERS.iter().map(|t| record(RecordKind::EventTrigger, t.name, None)));
    plan.step(
        Side::Source,
        "create the event triggers that track new tables, and tell what becomes of tables",
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

/// The event triggers that bear the names of ours, and are not.
pub(super) fn strangers(source: &Source) -> impl Iterator<Item = &'static str> + '_ {
    TABLE_TRIGGERS
        .iter()
        .map(|trigger| trigger.name)
        .filter(|name| source.table_triggers.contains_key(*name))
        .filter(|name| !source.made(RecordKind::EventTrigger, name))
}
