//! What roles are given, so that the worker and its readers need not be who set up.

use postgres_protocol::escape::{escape_identifier, escape_literal};

use super::{Action, Plan, Side, forget, record};
use crate::config::Config;
use crate::setup::inspect::{Found, FoundRole, Record, RecordKind};
use crate::setup::options::SetupOptions;
use crate::setup::roles::{Duty, Object};

/// Behind everything that they are given something of.
pub(super) fn plan(options: &SetupOptions, config: &Config, found: &Found, plan: &mut Plan) {
    for name in &options.revoked {
        revoke(name, config, found, plan);
    }
    for ((name, duty), role) in &found.roles.0 {
        if options.revoked.contains(name) {
            continue;
        }
        let asked = options.granted.contains(&(name.clone(), *duty));
        if role.lacks_in_source.is_none() && role.lacks_in_destination.is_none() {
            missing(name, *duty, asked, plan);
            continue;
        }
        grant(name, *duty, role, found, plan);
        if asked && *duty == Duty::Worker {
            note(name, role, config, plan);
        }
    }
}

fn missing(name: &str, duty: Duty, asked: bool, plan: &mut Plan) {
    if asked {
        let attributes = match duty {
            Duty::Worker => "LOGIN REPLICATION",
            Duty::Reader => "LOGIN",
        };
        plan.problems.requirement(format!(
            "there is no role {name}; an administrator makes one by CREATE ROLE {} {attributes}",
            escape_identifier(name)
        ));
    } else {
        let what = format!("forget role {name}, which is gone");
        plan.source(what, vec![forget(RecordKind::of_duty(duty), name)]);
    }
}

fn grant(name: &str, duty: Duty, role: &FoundRole, found: &Found, plan: &mut Plan) {
    let kind = RecordKind::of_duty(duty);
    if !found.source.made(kind, name) {
        // Schemas and databases are not ours: what was given of them is to be taken back.
        let given: Vec<&str> = [Side::Source, Side::Destination]
            .into_iter()
            .flat_map(|side| role.lacks(side).into_iter().flatten().map(move |need| (side, need)))
            .filter_map(|(side, need)| mark(side, &need.on))
            .collect();
        let what = format!("write down that role {name} may {}", duty.text());
        plan.source(what, vec![record(kind, name, Some(&given.join(" ")))]);
    }
    for side in [Side::Source, Side::Destination] {
        let lacks = role.lacks(side).map(Vec::as_slice).unwrap_or_default();
        if lacks.is_empty() {
            continue;
        }
        let database = database(side, found);
        let sql = lacks.iter().map(|need| need.grant(database, name)).collect();
        let place = place(side, found);
        plan.step(side, format!("let role {name} {}{place}", duty.text()), Action::Sql(sql));
    }
}

/// What the worker needs that is no privilege.
fn note(name: &str, role: &FoundRole, config: &Config, plan: &mut Plan) {
    if role.lacks_in_source.is_some() && !role.may_stream {
        plan.note(format!(
            "role {name} may not log in, or not replicate, in {}; run ALTER ROLE {} LOGIN REPLICATION \
             as a superuser (on RDS: GRANT rds_replication)",
            config.source,
            escape_identifier(name)
        ));
    }
}

fn revoke(name: &str, config: &Config, found: &Found, plan: &mut Plan) {
    let records = found.source.installation.iter().flat_map(|made| &made.records);
    let records: Vec<&Record> =
        records.filter(|record| record.name == *name && record.kind.duty().is_some()).collect();
    if records.is_empty() {
        plan.note(format!(
            "role {name} was given nothing by setup, so there is nothing to take back"
        ));
    }
    for record in records {
        let Some(duty) = record.kind.duty() else { continue };
        for side in [Side::Destination, Side::Source] {
            let exists = found.roles.0.get(&(name.to_owned(), duty));
            if exists.is_none_or(|role| role.lacks(side).is_none()) {
                continue;
            }
            let sql = taken_back(record, duty, side, config, found);
            if !sql.is_empty() {
                let place = place(side, found);
                let what = format!("no longer let role {name} {}{place}", duty.text());
                plan.step(side, what, Action::Sql(sql));
            }
        }
        plan.source(format!("forget role {name}"), vec![forget(record.kind, &record.name)]);
    }
}

fn taken_back(
    record: &Record,
    duty: Duty,
    side: Side,
    config: &Config,
    found: &Found,
) -> Vec<String> {
    let given: Vec<&str> = record.former.as_deref().unwrap_or_default().split(' ').collect();
    duty.needs(side, &config.changes_schema)
        .iter()
        .filter(|need| mark(side, &need.on).is_none_or(|mark| given.contains(&mark)))
        .map(|need| need.revoke(database(side, found), &record.name))
        .collect()
}

/// Takes back what roles were given of what stays when all of ours is dropped.
pub(crate) fn teardown(side: Side, config: &Config, found: &Found) -> Vec<String> {
    let records = found.source.installation.iter().flat_map(|made| &made.records);
    records
        .filter_map(|record| Some((record, record.kind.duty()?)))
        .flat_map(|(record, duty)| {
            let given = record.former.as_deref().unwrap_or_default();
            let needs = duty.needs(side, &config.changes_schema).into_iter();
            needs
                .filter(|need| {
                    mark(side, &need.on).is_some_and(|mark| given.split(' ').any(|g| g == mark))
                })
                .map(|need| if_both_exist(&need.revoke(database(side, found), &record.name)))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// The role may be gone by now, and so may what it was given rights on.
fn if_both_exist(revoke: &str) -> String {
    let body = format!(
        "BEGIN {revoke}; EXCEPTION WHEN undefined_object OR invalid_schema_name THEN NULL; END"
    );
    format!("DO {}", escape_literal(&body))
}

/// How it is written down that something was given of what is not ours.
fn mark(side: Side, on: &Object) -> Option<&'static str> {
    match (side, on) {
        (Side::Source, Object::Database) => Some("source"),
        (Side::Source, Object::Schema(_)) => Some("source.bemi"),
        (Side::Destination, Object::Database) => Some("destination"),
        (Side::Destination, Object::Schema(name)) if name == "bemi" => Some("destination.bemi"),
        (Side::Destination, Object::Schema(_)) => Some("destination.changes"),
        (_, Object::Table(_) | Object::Columns(..)) => None,
    }
}

fn database(side: Side, found: &Found) -> &str {
    match side {
        Side::Source => &found.source.database,
        Side::Destination => &found.destination.database,
    }
}

fn place(side: Side, found: &Found) -> &'static str {
    match side {
        _ if found.is_one_database() => "",
        Side::Source => " in the source",
        Side::Destination => " in the destination",
    }
}
