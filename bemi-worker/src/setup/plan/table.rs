//! Replica identities, and what there is to say about tables that cannot be tracked in full.

use super::{Action, Plan, Side, names, record};
use crate::setup::inspect::{RecordKind, ReplicaIdentity, Source, Table};
use crate::setup::rules::Rules;

pub(super) fn plan(source: &Source, rules: &Rules, plan: &mut Plan) {
    let selected = rules.selected(&source.tables);
    if rules.is_full {
        for table in selected.values() {
            if table.has_virtual_columns {
                plan.note(format!(
                    "{} keeps its replica identity: FULL would make its UPDATE and DELETE fail, \
                     since its virtual generated columns cannot be published",
                    table.name()
                ));
            } else {
                plan_full(table, plan);
            }
        }
    }
    note_unidentified(&selected.values().copied().collect::<Vec<_>>(), rules, plan);
    note_outside_wal(source, rules, plan);
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

fn note_unidentified(selected: &[&Table], rules: &Rules, plan: &mut Plan) {
    let untracked: Vec<&Table> = selected
        .iter()
        .filter(|table| !table.is_identified() && (!rules.is_full || table.has_virtual_columns))
        .copied()
        .collect();
    if !untracked.is_empty() {
        plan.note(format!(
            "UPDATE and DELETE of {} are untracked: without a primary key or REPLICA IDENTITY FULL \
             rows have no identity, and publishing them would make the application's own \
             statements fail; --replica-identity full mends it",
            names(untracked)
        ));
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
