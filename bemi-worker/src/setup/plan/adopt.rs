//! Takes an installation of the family's original worker over, with the rows that it has stored.
//!
//! ```text
//! ours, beside theirs ─▶ mark ─▶ the original worker has read so far, and stopped
//!                             ─▶ copy its slot ─▶ its table becomes ours ─▶ checkpoint
//! ```
//!
//! A publication is known to the WAL from its own creation on. So what was written before that, the
//! mark, can only be read by the original worker; from there on a copy of its slot goes on where it
//! has stopped.
//!
//! Invariants: its slot, its publication and its triggers stay, unless their end is asked for; its
//! table is touched only when its slot is ours, and every row in it stays.

use bemi_core::changes_table::{self, TABLE};
use postgres_protocol::escape::{escape_identifier, escape_literal};

use super::{Action, Plan, Side, Start};
use crate::config::{Config, SlotName};
use crate::setup::inspect::{ADOPTED, Found, OriginalChanges, RecordKind, unlike_original};
use crate::setup::options::{Adoption, SetupOptions};

/// What can be taken over, and why not.
pub(super) fn check(options: &SetupOptions, config: &Config, found: &Found, plan: &mut Plan) {
    let Some(adoption) = &options.adoption else { return };
    check_changes(config, found, plan);
    if has_slot(config, found) {
        return;
    }
    match found.original.slots.as_slice() {
        // A new one is made, and what was missed is written down.
        _ if makes_slot(options, found) => {}
        [] => {
            let name = match &adoption.slot {
                Some(name) => format!("slot {name} of plugin pgoutput"),
                None => "slot bemi_local or bemi of plugin pgoutput".to_owned(),
            };
            plan.problems.requirement(format!(
                "there is no {name} in database {}, so what changed since the original worker \
                 stopped is not known; name its slot with --adopt=SLOT, or, if it is gone, say \
                 --recreate-slot, which makes one and records what was missed",
                found.source.database
            ));
        }
        [(name, slot)] => {
            if slot.is_lost {
                plan.problems.requirement(format!(
                    "replication slot {name} of the original worker is lost: the server has given \
                     up the WAL that it needs, so it cannot be gone on from; --recreate-slot makes a \
                     new one and records what was missed"
                ));
            }
            if *name == config.slot {
                plan.problems.requirement(format!(
                    "the original worker's replication slot is named {name}, as this worker's \
                     would be; give this one another name with --slot"
                ));
            }
        }
        [(one, _), (other, _), ..] => plan.problems.requirement(format!(
            "both {one} and {other} may be the replication slot of the original worker; say which \
             with --adopt=SLOT"
        )),
    }
}

fn check_changes(config: &Config, found: &Found, plan: &mut Plan) {
    let (schema, destination) = (&config.changes_schema, &found.destination);
    match (&destination.changes, &found.original.changes) {
        (None, _) => plan.problems.requirement(format!(
            "there is no table {schema}.{TABLE} in {}; if the original worker stores elsewhere, \
             give that database with DESTINATION_DATABASE_URL, or its schema with --changes-schema",
            config.destination
        )),
        (Some(_), Some(original)) if !original.is_owned => plan.problems.not_allowed(format!(
            "role {0} does not own {schema}.{TABLE} in {1}, and only its owner can alter it; run \
             ALTER TABLE {schema}.{TABLE} OWNER TO {0}, or setup as the owner",
            destination.role, destination.database
        )),
        (Some(_), Some(_)) => {}
        (Some(changes), None) if changes.unlike_ours().is_none() => {}
        (Some(changes), None) => {
            let why = unlike_original(changes).unwrap_or_default();
            plan.problems.requirement(format!(
                "{schema}.{TABLE} in {} cannot be taken over: {why}",
                config.destination
            ));
        }
    }
}

/// Whether the table that is there is to be taken over.
pub(super) fn takes_table(options: &SetupOptions, found: &Found) -> bool {
    options.adoption.is_some() && found.original.changes.is_some()
}

/// Whether the slot that is there is to be gone on from.
pub(super) fn takes_slot(options: &SetupOptions, config: &Config, found: &Found) -> bool {
    options.adoption.is_some() && !has_slot(config, found) && !makes_slot(options, found)
}

/// Whether there is none to go on from, and a new one is asked for.
fn makes_slot(options: &SetupOptions, found: &Found) -> bool {
    options.recreates_slot && found.original.slots.iter().all(|(_, slot)| slot.is_lost)
}

fn has_slot(config: &Config, found: &Found) -> bool {
    found.source.made(RecordKind::Slot, config.slot.as_str()) && found.source.slot.is_some()
}

/// Marks from where on ours can read, copies the slot, and starts the checkpoint there.
pub(super) fn plan_slot(found: &Found, plan: &mut Plan) {
    let Some((slot, state)) = found.original.slots.first() else { return };
    // What was published before stays readable; what this run publishes is, from now on.
    if !plan.steps.is_empty() || !found.source.made(RecordKind::OriginalSlot, slot.as_str()) {
        let mark = format!(
            "INSERT INTO bemi.installation (kind, name, former) \
             VALUES ({}, '{slot}', pg_current_wal_insert_lsn()::text) \
             ON CONFLICT (kind, name) DO UPDATE SET former = excluded.former",
            escape_literal(RecordKind::OriginalSlot.text())
        );
        // The original worker acknowledges what it reads only when something comes behind it.
        let heartbeat = "SELECT pg_logical_emit_message(true, '_bemi_heartbeat', '')".to_owned();
        plan.source("mark from where on the publications can be read", vec![mark, heartbeat]);
    }
    if let Some(process) = state.active_process {
        plan.note(format!(
            "the original worker still streams from {slot} (process {process}): it is to read on \
             until it has caught up, and to be stopped; then run this again"
        ));
    }
    let publication = found.original.publication.clone();
    let action = Action::CopySlot { from: slot.clone(), publication };
    plan.step(Side::Source, format!("go on from replication slot {slot}"), action);
}

/// Writes down what was missed between the last row that is stored and a slot that is new.
pub(super) fn plan_gap(options: &SetupOptions, found: &Found, plan: &mut Plan) {
    let last = found.original.changes.as_ref().and_then(|changes| changes.last);
    let Some(began) = last.filter(|_| options.adoption.is_some()) else { return };
    // A slot that we have copied begins where the original worker stopped.
    let is_made = plan.steps.iter().any(|step| matches!(step.action, Action::CreateSlot { .. }));
    let is_marked = found.source.installation.as_ref().is_some_and(|made| {
        made.records.iter().any(|record| record.kind == RecordKind::OriginalSlot)
    });
    if is_marked && !is_made {
        return;
    }
    for step in &mut plan.steps {
        if step.action == Action::StartCheckpoint(Start::Fresh) {
            let reason = "nobody read between the original worker's last change and this setup";
            step.action = Action::StartCheckpoint(Start::After { began, reason });
            step.what.push_str(", and record a gap before it");
        }
    }
}

/// Makes the table ours.
pub(super) fn plan_table(config: &Config, found: &Found, plan: &mut Plan) {
    let Some(original) = &found.original.changes else { return };
    let schema = &config.changes_schema;
    plan.step(
        Side::Destination,
        format!("bring {schema}.{TABLE} into shape, with all its rows"),
        Action::Sql(statements(schema, original)),
    );
    plan.note(format!(
        "rows that the original worker stored are as it stored them; their commit_position is \
         their position. Its indexes on {schema}.{TABLE} stay, and each of them makes storing \
         slower: drop those that no query of yours uses"
    ));
}

/// Starts the checkpoint at the copied slot.
pub(super) fn plan_checkpoint(plan: &mut Plan) {
    let what = "start the checkpoint where the slot is";
    plan.step(Side::Destination, what, Action::StartCheckpoint(Start::Fresh));
}

/// Removes what the original worker has left, if that is asked for, or says how to.
pub(super) fn plan_rest(options: &SetupOptions, found: &Found, plan: &mut Plan) {
    let Some(Adoption { drops_rest, .. }) = &options.adoption else { return };
    let mut by_hand = Vec::new();
    for (slot, state) in &found.original.slots {
        let drop = format!("SELECT pg_drop_replication_slot('{slot}')");
        if *drops_rest && state.active_process.is_none() {
            plan.source(format!("drop replication slot {slot}"), vec![drop]);
        } else {
            by_hand.push(drop);
        }
    }
    if let Some(name) = &found.original.publication {
        let drop = format!("DROP PUBLICATION {}", escape_identifier(name));
        if *drops_rest {
            plan.source(format!("drop publication {name}"), vec![drop]);
        } else {
            by_hand.push(drop);
        }
    }
    if !by_hand.is_empty() {
        plan.note(format!(
            "what the original worker leaves stays, and its slot keeps the server from removing \
             WAL; --adopt --drop-old removes it, or: {}",
            by_hand.join("; ")
        ));
    }
}

/// The rows are written once more as a whole, with the columns that they lack. In which transaction
/// an old row was committed is not known: each counts as one of its own, at its own position, which
/// is the order in which each single record changed.
fn statements(schema: &str, original: &OriginalChanges) -> Vec<String> {
    let table = format!("{}.{}", escape_identifier(schema), escape_identifier(TABLE));
    let drops = original
        .constraints
        .iter()
        .map(|name| format!("DROP CONSTRAINT {}", escape_identifier(name)));
    let texts = ["primary_key", "database", "schema", "table"]
        .map(|column| format!("ALTER COLUMN \"{column}\" TYPE text"));
    let more = [
        "ALTER COLUMN created_at SET DEFAULT now()",
        "ADD COLUMN previous_key text",
        "ADD COLUMN commit_position bigint NOT NULL GENERATED ALWAYS AS (position) STORED",
        "ADD COLUMN sequence bigint NOT NULL DEFAULT 1",
        // Whether an old row is whole the original worker does not say; there is none to these.
        "ADD COLUMN before_complete boolean NOT NULL \
             GENERATED ALWAYS AS (operation IN ('CREATE', 'TRUNCATE')) STORED",
        "ADD COLUMN unavailable text[]",
        "ADD COLUMN encoded text[]",
        "ADD PRIMARY KEY (committed_at, id)",
    ];
    let changes: Vec<String> = drops.chain(texts).chain(more.map(ToOwned::to_owned)).collect();
    let mut sql: Vec<String> =
        original.unique_indexes.iter().map(|index| format!("DROP INDEX {index}")).collect();
    sql.push(format!("ALTER TABLE {table} {}", changes.join(", ")));
    sql.push(format!(
        "ALTER TABLE {table} ALTER COLUMN commit_position DROP EXPRESSION, \
         ALTER COLUMN before_complete DROP EXPRESSION, ALTER COLUMN sequence DROP DEFAULT"
    ));
    // All but the table itself, which is there.
    sql.extend(changes_table::create_statements(schema).into_iter().skip(1));
    sql.push(format!(
        "COMMENT ON TABLE {table} IS 'Row changes with their context, stored by bemi-worker, \
         {ADOPTED}. Append-only; order by commit_position, sequence.'"
    ));
    sql
}

/// The reason why a slot that is there cannot be gone on from yet.
pub(crate) fn not_yet(slot: &SlotName, why: &str) -> String {
    format!(
        "the original worker's changes are not all stored yet: {why}; start it again, let it catch \
         up with slot {slot}, stop it, and run this again, which finds everything else prepared"
    )
}
