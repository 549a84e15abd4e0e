//! What must be so before anything is changed. Everything that is not is told at once.

use bemi_core::changes_table::TABLE;

use super::{Plan, adopt, belongs, columns, context, ddl, names, publication};
use crate::config::Config;
use crate::config::identity::IdentityRule;
use crate::config::pattern::{Exclusion, TablePattern};
use crate::error::newer_tables;
use crate::setup::inspect::{Found, RecordKind, Table};
use crate::setup::options::SetupOptions;
use crate::setup::rules::Rules;

/// `before` are the rules of the last setup.
pub(super) fn check(
    options: &SetupOptions,
    config: &Config,
    found: &Found,
    before: &Rules,
    rules: &Rules,
    plan: &mut Plan,
) {
    check_server(config, found, plan);
    check_privileges(config, found, rules, plan);
    check_rules(options, config, found, rules, plan);
    check_forgotten(options, before, rules, plan);
    check_masks(found, before, rules, plan);
    check_strangers(options, config, found, rules, plan);
    adopt::check(options, config, found, plan);
}

fn check_server(config: &Config, found: &Found, plan: &mut Plan) {
    let source = &found.source;
    if source.is_standby {
        plan.problems.requirement(format!(
            "{} is a standby, where nothing can be set up; connect to the primary",
            config.source
        ));
    }
    if found.destination.is_standby && !found.is_one_database() {
        plan.problems.requirement(format!(
            "{} is a standby, where nothing can be stored; connect to the primary",
            config.destination
        ));
    }
    if let Some(found) = found.destination.newer_version {
        plan.problems.requirement(newer_tables(&config.destination.to_string(), found));
    }
    if source.wal_level != "logical" {
        plan.problems.requirement(format!(
            "wal_level is {} in {}, and must be logical; run ALTER SYSTEM SET wal_level = logical \
             and restart the server (managed services have a setting of their own, such as \
             rds.logical_replication)",
            source.wal_level, config.source
        ));
    }
}

fn check_privileges(config: &Config, found: &Found, rules: &Rules, plan: &mut Plan) {
    let (source, role) = (&found.source, &found.source.role);
    if !role.may_replicate {
        plan.problems.not_allowed(format!(
            "role {0} may not replicate; run ALTER ROLE {0} REPLICATION as a superuser (on RDS: \
             GRANT rds_replication TO {0})",
            role.name
        ));
    }
    let makes_publications =
        config.publication.both().iter().any(|name| source.publication(name).is_none());
    if (!source.has_schema || makes_publications) && !role.may_create {
        plan.problems.not_allowed(format!(
            "role {0} may not create a schema and publications in database {1}; run GRANT CREATE \
             ON DATABASE {1} TO {0} as its owner",
            role.name, source.database
        ));
    }
    if source.has_schema && !role.may_use_schema {
        plan.problems.not_allowed(format!(
            "role {0} may not use schema bemi in database {1}; run GRANT ALL ON SCHEMA bemi TO {0}, \
             or run setup as the role that made it",
            role.name, source.database
        ));
    }
    let makes_compatible = rules.takes_requests && !context::is_compatible_made(source);
    if makes_compatible && !role.may_create_in_public {
        plan.problems.not_allowed(format!(
            "role {0} may not create function bemi_set_context in schema public; run GRANT CREATE ON \
             SCHEMA public TO {0} as its owner",
            role.name
        ));
    }
    let selected = rules.selected(&source.tables);
    let not_owned: Vec<&Table> = selected
        .values()
        .filter(|table| !table.is_owned && must_change(config, found, rules, table))
        .copied()
        .collect();
    if !not_owned.is_empty() {
        plan.problems.not_allowed(format!(
            "role {} does not own {}, and only the owner of a table can publish it; make the role a \
             member of the owner's, run setup as the owner, or leave the table out with --exclude",
            role.name,
            names(not_owned)
        ));
    }
    check_destination_privileges(config, found, plan);
}

/// Whether setup has anything to do with the table: not when a second run finds all as it must be.
fn must_change(config: &Config, found: &Found, rules: &Rules, table: &Table) -> bool {
    let belongs = belongs(config, &found.source, rules, table);
    let is_published = found
        .source
        .publication(&belongs)
        .is_some_and(|publication| publication.tables.contains(&table.quoted()));
    let becomes_full = rules.makes_whole(table) && !table.is_full();
    let lacks_trigger = rules.takes_requests && context::lacks_trigger(&found.source, table);
    !is_published || becomes_full || lacks_trigger
}

fn check_destination_privileges(config: &Config, found: &Found, plan: &mut Plan) {
    let destination = &found.destination;
    let (role, database) = (&destination.role, &destination.database);
    let makes_schema = !destination.has_schema && !found.is_one_database();
    if (makes_schema || !destination.has_changes_schema) && !destination.may_create {
        plan.problems.not_allowed(format!(
            "role {role} may not create a schema in the destination {database}; run GRANT CREATE ON \
             DATABASE {database} TO {role} as its owner"
        ));
    }
    if destination.has_schema && !destination.may_use_schema && !found.is_one_database() {
        plan.problems.not_allowed(format!(
            "role {role} may not use schema bemi in the destination {database}; run GRANT ALL ON \
             SCHEMA bemi TO {role}, or run setup as the role that made it"
        ));
    }
    if destination.changes.is_none()
        && destination.has_changes_schema
        && !destination.may_use_changes_schema
    {
        let schema = &config.changes_schema;
        plan.problems.not_allowed(format!(
            "role {role} may not create table changes in schema {schema} of {database}; run GRANT \
             ALL ON SCHEMA {schema} TO {role}, or choose another one with --changes-schema"
        ));
    }
}

fn check_rules(
    options: &SetupOptions,
    config: &Config,
    found: &Found,
    rules: &Rules,
    plan: &mut Plan,
) {
    let source = &found.source;
    if rules.tracked.is_empty() {
        plan.problems.requirement(
            "nothing says which tables to track; give --all-tables or --tables".to_owned(),
        );
    }
    if let Some(before) = source.installation.as_ref().and_then(|made| made.publication.as_ref())
        && before != config.publication.as_str()
    {
        plan.problems.requirement(format!(
            "this database is set up with --publication {before}; give that name, or run \
             `bemi-worker teardown` first"
        ));
    }
    // One table that is named must be there; what a wildcard finds may be nothing yet.
    let full = match &options.identity {
        Some(IdentityRule::Full(patterns)) => patterns.as_slice(),
        Some(IdentityRule::Keep) | None => &[],
    };
    let named = options.tables.iter().chain(full).chain(options.exclusions.iter().filter_map(
        |exclusion| match exclusion {
            Exclusion::Tables(pattern) => Some(pattern),
            Exclusion::Columns(_) => None,
        },
    ));
    for pattern in named.filter(|pattern| !pattern.has_wildcard()) {
        let table = source.tables.iter().find(|table| pattern.matches(&table.schema, &table.name));
        let problem = match table {
            None if pattern.schema.matches("bemi") => {
                format!("{pattern} is in the schema of the worker itself, which is not tracked")
            }
            None => format!("there is no table {pattern} in database {}", source.database),
            Some(Table { root: Some((schema, root)), .. }) => format!(
                "{pattern} is a partition of {}; give the name of that, which stands for all of its \
                 partitions",
                TablePattern::exactly(schema, root)
            ),
            Some(table) if !rules.excludes(table) && !table.is_in_wal() => {
                format!("{pattern} is a {}; its changes cannot be tracked", kind(table))
            }
            Some(table) if !rules.excludes(table) && table.is_of_extension => {
                format!("{pattern} belongs to an extension, and is not tracked")
            }
            Some(table) if full.contains(pattern) && table.has_virtual_columns => format!(
                "REPLICA IDENTITY FULL would make UPDATE and DELETE of {pattern} fail: it has virtual \
                 generated columns, which cannot be published; make them STORED, or leave the table \
                 out of --replica-identity"
            ),
            Some(_) => continue,
        };
        plan.problems.requirement(problem);
    }
}

/// What is forgotten must be there to be forgotten, and not be asked for at the same time.
fn check_forgotten(options: &SetupOptions, before: &Rules, rules: &Rules, plan: &mut Plan) {
    for pattern in &options.forgotten {
        let has = |rules: &Rules| {
            let tables = pattern.tables.as_ref();
            let lists = [&rules.tracked, &rules.excluded];
            tables.is_some_and(|tables| lists.iter().any(|list| list.contains(tables)))
                || rules.columns.ignored.contains(&pattern.columns)
                || rules.columns.masked.contains_key(&pattern.columns)
        };
        if has(rules) {
            plan.problems.requirement(format!(
                "--forget {pattern} takes back what this setup asks for, by a flag or in [tracking] \
                 of the config file; leave out one of them"
            ));
        } else if !has(before) {
            plan.note(format!(
                "no rule was given with the pattern {pattern}, so there is none to forget; \
                 `bemi-worker status` shows those that there are"
            ));
        }
    }
}

/// A masked key must still tell rows apart.
fn check_masks(found: &Found, before: &Rules, rules: &Rules, plan: &mut Plan) {
    let selected = rules.selected(&found.source.tables);
    for (pattern, mask) in columns::new_masks(&before.columns, &rules.columns) {
        let in_keys: Vec<String> = selected
            .values()
            .filter_map(|table| {
                let key = columns::hidden_key(table, pattern, mask)?;
                Some(format!("{key} of {}", table.name()))
            })
            .collect();
        if !in_keys.is_empty() {
            plan.problems.requirement(format!(
                "the rule {pattern}={mask} would hide {}, which identifies the row; mask it by hash, \
                 mask other columns, or exclude the table",
                in_keys.join(", ")
            ));
        }
    }
}

/// What bears the name of something of ours, and is not ours.
fn check_strangers(
    options: &SetupOptions,
    config: &Config,
    found: &Found,
    rules: &Rules,
    plan: &mut Plan,
) {
    for name in config.publication.both() {
        let exists = found.source.publication(&name).is_some();
        if exists && !found.source.made(RecordKind::Publication, &name) {
            plan.problems.requirement(format!(
                "publication {name} exists already, and setup did not make it; give another name \
                 with --publication, or drop it if nobody needs it: DROP PUBLICATION {name}"
            ));
        }
    }
    if let Some(why) = found
        .destination
        .changes
        .as_ref()
        .and_then(super::super::inspect::ChangesTable::unlike_ours)
        // What is to be taken over is checked for that.
        && options.adoption.is_none()
    {
        let schema = &config.changes_schema;
        let (why, remedy) = match found.original.changes {
            Some(_) => ("it is the original worker's".to_owned(), "take it over with --adopt, "),
            None => (why, ""),
        };
        plan.problems.requirement(format!(
            "{schema}.{TABLE} in {} is not the table that the worker stores into: {why}; {remedy}\
             choose another schema with --changes-schema, or rename that table",
            config.destination
        ));
    }
    for signature in context::strangers(&found.source, rules) {
        plan.problems.requirement(format!(
            "function {signature} exists already, and setup did not make it; drop it, with the \
             triggers that go with it, if nobody needs it: DROP FUNCTION {signature}"
        ));
    }
    let tables = publication::strangers(&found.source);
    for name in tables.chain(ddl::strangers(&found.source, rules)) {
        plan.problems.requirement(format!(
            "event trigger {name} exists already, and setup did not make it; drop it if nobody needs \
             it: DROP EVENT TRIGGER {name}"
        ));
    }
}

fn kind(table: &Table) -> &'static str {
    if table.is_foreign { "foreign table" } else { "table that is not in the WAL (UNLOGGED)" }
}
