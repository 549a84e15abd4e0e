//! Replica identities, and what there is to say about tables that cannot be tracked in full.

use super::{Action, Plan, Side, forget, names, record};
use crate::setup::inspect::{Member, RecordKind, ReplicaIdentity, Source, Table};
use crate::setup::rules::Rules;

pub(super) fn plan(source: &Source, rules: &Rules, plan: &mut Plan) {
    let selected = rules.selected(&source.tables);
    for table in selected.values() {
        if rules.makes_whole(table) {
            plan_full(table, plan);
        } else if table.has_virtual_columns {
            plan_former(source, table, plan);
            if table.is_any_of(&rules.full) {
                plan.note(format!(
                    "{} keeps its replica identity: FULL would make its UPDATE and DELETE fail, \
                     since its virtual generated columns cannot be published",
                    table.name()
                ));
            }
        }
    }
    note_unidentified(source, rules, &selected.values().copied().collect::<Vec<_>>(), plan);
    note_outside_wal(source, rules, plan);
}

/// Whether rows have an identity once [`plan`] is done, but for what becomes FULL.
pub(super) fn will_be_identified(source: &Source, table: &Table) -> bool {
    table.members.iter().all(|member| match former(source, table, member) {
        None => member.is_identified,
        Some("DEFAULT") => member.has_key,
        Some(former) => former != "NOTHING",
    })
}

/// What a table or partition had before setup made it FULL, where it cannot stay so: with a virtual
/// column that was added since, UPDATE and DELETE of the application fail.
fn former<'a>(source: &'a Source, table: &Table, member: &Member) -> Option<&'a str> {
    let made = source.installation.as_ref()?;
    let is_in_the_way = table.has_virtual_columns && member.identity == ReplicaIdentity::Full;
    let record = made.record(RecordKind::ReplicaIdentity, &member.quoted());
    record.filter(|_| is_in_the_way)?.former.as_deref()
}

fn plan_former(source: &Source, table: &Table, plan: &mut Plan) {
    for member in &table.members {
        let Some(former) = former(source, table, member) else { continue };
        let quoted = member.quoted();
        plan.step(
            Side::Source,
            format!("set REPLICA IDENTITY {former} on {}, as it was", member.name()),
            Action::Locking {
                sql: vec![
                    format!("ALTER TABLE {quoted} REPLICA IDENTITY {former}"),
                    forget(RecordKind::ReplicaIdentity, &quoted),
                ],
                table: quoted,
            },
        );
    }
}

fn plan_full(table: &Table, plan: &mut Plan) {
    for member in table.members.iter().filter(|m| m.identity != ReplicaIdentity::Full) {
        let quoted = member.quoted();
        plan.step(
            Side::Source,
            format!("set REPLICA IDENTITY FULL on {}", member.name()),
            Action::Locking {
                table: quoted.clone(),
                sql: vec![
                    record(RecordKind::ReplicaIdentity, &quoted, Some(&member.identity.clause())),
                    format!("ALTER TABLE {quoted} REPLICA IDENTITY FULL"),
                ],
            },
        );
    }
}

fn note_unidentified(source: &Source, rules: &Rules, selected: &[&Table], plan: &mut Plan) {
    let untracked: Vec<&Table> = selected
        .iter()
        .filter(|table| !rules.makes_whole(table) && !will_be_identified(source, table))
        .copied()
        .collect();
    let (unmendable, mendable): (Vec<&Table>, Vec<&Table>) =
        untracked.into_iter().partition(|table| table.has_virtual_columns);
    for (tables, lack, mends) in [
        (mendable, "a primary key or REPLICA IDENTITY FULL", "--replica-identity full mends it"),
        (unmendable, "a primary key", "add one, since FULL cannot go with virtual columns"),
    ] {
        if !tables.is_empty() {
            plan.note(format!(
                "UPDATE and DELETE of {} are untracked: without {lack} rows have no identity, and \
                 publishing them would make the application's own statements fail; {mends}",
                names(tables)
            ));
        }
    }
}

fn note_outside_wal(source: &Source, rules: &Rules, plan: &mut Plan) {
    let outside: Vec<&Table> = source
        .tables
        .iter()
        .filter(|table| table.root.is_none() && !table.is_in_wal() && rules.tracks(table))
        .collect();
    if !outside.is_empty() {
        plan.note(format!(
            "{} cannot be tracked: unlogged and foreign tables are not in the WAL",
            names(outside)
        ));
    }
}
