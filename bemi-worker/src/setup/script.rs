//! A plan as a script for psql, for an administrator who would rather read it first.

use std::fmt::Write as _;

use postgres_protocol::escape::escape_literal;

use super::apply::LOCK_TIMEOUT_SHORT;
use super::inspect::{Found, RecordKind};
use super::plan::{Action, Plan, Side, Start};
use super::source_schema::QUIET;
use crate::config::{Config, SlotName};
use crate::source::FAILOVER_OPTION;

/// The script. Where source and destination differ it says which part belongs where.
pub(super) fn script(plan: &Plan, config: &Config, found: &Found) -> String {
    let mut out = String::new();
    if plan.steps.iter().any(|step| matches!(step.action, Action::CopySlot { .. })) {
        let _ = writeln!(
            out,
            "-- Run the steps up to \"go on from replication slot\" while the original worker runs, and \
             the others,\n-- those in {}.{} among them, when it has stored all that it read, and has \
             stopped.\n",
            config.changes_schema,
            bemi_core::changes_table::TABLE
        );
    }
    if found.is_one_database() {
        part(&mut out, plan, config, found, None);
        return out;
    }
    for (side, connection) in
        [(Side::Destination, &config.destination), (Side::Source, &config.source)]
    {
        if plan.steps.iter().any(|step| step.side == side) {
            let name = match side {
                Side::Source => "source",
                Side::Destination => "destination",
            };
            // Writing to a string cannot fail.
            let heading = format!("-- In the {name}, {connection}:").replace(['\n', '\r'], " ");
            let _ = writeln!(out, "{heading}\n");
            part(&mut out, plan, config, found, Some(side));
        }
    }
    out
}

fn part(out: &mut String, plan: &Plan, config: &Config, found: &Found, only: Option<Side>) {
    let steps = plan.steps.iter().filter(|step| only.is_none_or(|side| step.side == side));
    let mut is_first = true;
    for step in steps {
        let statements = match &step.action {
            Action::Sql(sql) => transaction(sql),
            Action::IfAllowed { sql, .. } => transaction(sql),
            Action::Locking { sql, .. } => {
                let mut quick = vec![format!("SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SHORT}'")];
                quick.extend(sql.iter().cloned());
                transaction(&quick)
            }
            Action::CreateSlot { drops_lost, failover } => slot(config, *drops_lost, *failover),
            Action::CopySlot { from, .. } => copied_slot(config, from),
            // A command of the replication protocol alone.
            Action::AlterSlot { .. } => {
                vec!["-- left to `bemi-worker setup`, to be run as the worker's role".to_owned()]
            }
            Action::Partition { .. } => {
                vec![
                    "-- left to `bemi-worker setup`, which waits for nobody, and has nobody wait"
                        .to_owned(),
                ]
            }
            Action::StartCheckpoint(start) => checkpoint(config, found, start),
        };
        if is_first && step.side == Side::Source {
            let _ = writeln!(out, "SET {QUIET} = 'on';\n");
            is_first = false;
        }
        // A name may hold a line break, which would end the comment.
        let _ = writeln!(out, "-- {}", step.what.replace(['\n', '\r'], " "));
        for statement in statements {
            let _ = writeln!(out, "{statement};");
        }
        out.push('\n');
    }
}

fn transaction(sql: &[String]) -> Vec<String> {
    let mut statements = vec!["BEGIN".to_owned()];
    statements.extend(sql.iter().cloned());
    statements.push("COMMIT".to_owned());
    statements
}

/// The slot cannot be made in a transaction that has written.
fn slot(config: &Config, drops_lost: bool, failover: bool) -> Vec<String> {
    let slot = &config.slot;
    let kind = RecordKind::Slot.text();
    let mut statements = Vec::new();
    if drops_lost {
        statements.push(format!("SELECT pg_drop_replication_slot('{slot}')"));
    }
    let options = if failover { FAILOVER_OPTION } else { "" };
    statements
        .push(format!("SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput'{options})"));
    statements.push(format!(
        "INSERT INTO bemi.installation (kind, name, former) \
         SELECT '{kind}', slot_name, confirmed_flush_lsn::text FROM pg_replication_slots \
         WHERE slot_name = '{slot}' ON CONFLICT (kind, name) DO UPDATE SET former = excluded.former"
    ));
    statements
}

/// A script cannot look into the original worker's slot: it goes on only where that is acknowledged
/// beyond the mark.
fn copied_slot(config: &Config, from: &SlotName) -> Vec<String> {
    let (slot, kind) = (&config.slot, RecordKind::Slot.text());
    let mark = RecordKind::OriginalSlot.text();
    vec![
        "-- the original worker must have stopped, and all that it read must be stored".to_owned(),
        format!(
            "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_replication_slots s \
             JOIN bemi.installation i ON i.kind = '{mark}' AND i.name = s.slot_name \
             WHERE s.slot_name = '{from}' AND NOT s.active \
             AND s.confirmed_flush_lsn >= i.former::pg_lsn) THEN \
             RAISE EXCEPTION 'the original worker still streams from {from}, or has not caught up'; \
             END IF; END $$"
        ),
        format!("SELECT pg_copy_logical_replication_slot('{from}', '{slot}', false, 'pgoutput')"),
        format!(
            "INSERT INTO bemi.installation (kind, name, former) \
             SELECT '{kind}', slot_name, confirmed_flush_lsn::text FROM pg_replication_slots \
             WHERE slot_name = '{slot}'"
        ),
    ]
}

/// Where the slot is known in the source alone, the checkpoint is for `bemi-worker setup` to write,
/// which has nothing else to do then. So it is where there is a gap to write down.
fn checkpoint(config: &Config, found: &Found, start: &Start) -> Vec<String> {
    if !found.is_one_database() || *start != Start::Fresh {
        return vec!["-- left to `bemi-worker setup`, to be run as the worker's role".to_owned()];
    }
    let source = &found.source;
    let publications: Vec<String> =
        config.publication.both().iter().map(|name| escape_literal(name)).collect();
    vec![format!(
        "INSERT INTO bemi.checkpoint \
         (slot, system_identifier, timeline, database, publications, position, epoch) \
         SELECT slot_name, {}, {}, {}, ARRAY[{}], (confirmed_flush_lsn - '0/0')::bigint, 0 \
         FROM pg_replication_slots WHERE slot_name = '{}' ON CONFLICT (slot) DO NOTHING",
        escape_literal(&source.system_identifier),
        source.timeline,
        escape_literal(&source.database),
        publications.join(", "),
        config.slot
    )]
}
