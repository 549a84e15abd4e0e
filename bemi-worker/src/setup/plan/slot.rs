//! The replication slot, and the checkpoint that goes with it.
//!
//! A slot that is gone took WAL with it. So it is made silently only where it never was, or where
//! teardown removed it, and then what was lost since is written down as a gap.

use bemi_core::Lsn;

use super::{Action, Plan, Side, Start, forget, record};
use crate::config::Config;
use crate::setup::inspect::{Found, RecordKind};
use crate::setup::options::SetupOptions;
use crate::sink::Checkpoint;
use crate::source::SlotState;

const PLUGIN: &str = "pgoutput";

/// The first version whose slots can survive a failover, as `server_version_num` has it.
const FAILOVER_VERSION_MIN: i32 = 170_000;

/// Why a destination lacks what its slot has given away.
pub(super) const READ_BY_ANOTHER: &str = "read by somebody else before this destination was set up";

pub(super) fn plan(options: &SetupOptions, config: &Config, found: &Found, plan: &mut Plan) {
    let slot_name = config.slot.as_str();
    let source = &found.source;
    let made = source
        .installation
        .as_ref()
        .and_then(|installation| installation.record(RecordKind::Slot, slot_name));
    let began = made
        .and_then(|record| record.former.as_deref())
        .and_then(|position| position.parse::<Lsn>().ok());
    let checkpoint = found.destination.checkpoint.as_ref();
    if let Some(problem) = checkpoint.and_then(|c| other_source(c, config, found, options)) {
        plan.problems.requirement(problem);
        return;
    }
    match &source.slot {
        Some(slot) if made.is_none() || is_foreign(slot, &source.database) => {
            plan.problems.requirement(stranger(slot, slot_name));
        }
        Some(slot) if slot.is_lost && !options.recreates_slot => {
            plan.problems.requirement(format!(
                "replication slot {slot_name} is lost: the server has given up the WAL that it \
                 needs; --recreate-slot makes it again and records what was lost"
            ));
        }
        Some(slot) if slot.is_lost => {
            create(config, found, true, plan);
            let reason = "the slot was lost, and made again by setup".to_owned();
            start(checkpoint.map_or(Start::Fresh, |_| Start::OverGap { reason }), plan);
        }
        Some(slot) => match checkpoint {
            Some(checkpoint) if checkpoint.system_identifier != source.system_identifier => {
                let reason = "the source is another cluster by now".to_owned();
                start(Start::OverGap { reason }, plan);
            }
            Some(_) => {}
            None => {
                let began = began.filter(|began| *began < slot.confirmed);
                if let Some(began) = began {
                    plan.note(format!(
                        "changes from {began} to {} were read by somebody else, and are not in \
                         this destination: recorded as a gap",
                        slot.confirmed
                    ));
                }
                start(
                    began.map_or(Start::Fresh, |began| Start::After {
                        began,
                        reason: READ_BY_ANOTHER,
                    }),
                    plan,
                );
            }
        },
        // It was there, and nobody told us to remove it.
        None if began.is_some() && !options.recreates_slot => {
            plan.problems.requirement(format!(
                "replication slot {slot_name} is gone, and with it the changes since it was last \
                 read; --recreate-slot makes it again and records what was lost"
            ));
        }
        None => {
            create(config, found, false, plan);
            if checkpoint.is_some() {
                plan.note("what changed since tracking ended is not known: recorded as a gap");
            }
            let given_up = checkpoint
                .zip(source.given_up.as_ref())
                .filter(|(checkpoint, given_up)| checkpoint.position <= given_up.position);
            let reason = match (given_up, began) {
                (Some((_, given_up)), _) => format!("{}; made again by setup", given_up.reason),
                (None, Some(_)) => "the slot was gone, and made again by setup".to_owned(),
                (None, None) => "tracking had ended, and was set up again".to_owned(),
            };
            start(checkpoint.map_or(Start::Fresh, |_| Start::OverGap { reason }), plan);
        }
    }
}

fn create(config: &Config, found: &Found, drops_lost: bool, plan: &mut Plan) {
    let source = &found.source;
    if !drops_lost && source.slots_used >= source.slots_max {
        plan.problems.requirement(format!(
            "all {} replication slots of {} are in use; drop one that nobody needs (see \
             pg_replication_slots), or raise max_replication_slots and restart the server",
            source.slots_max, config.source
        ));
    }
    let what = format!("create replication slot {}", config.slot);
    plan.step(Side::Source, what, Action::CreateSlot { drops_lost, failover: false });
}

/// Whether the slot is to survive a failover, which what setup wrote down tells the next one, and the worker
/// that makes it anew.
pub(super) fn plan_failover(
    options: &SetupOptions,
    config: &Config,
    found: &Found,
    plan: &mut Plan,
) {
    let source = &found.source;
    let name = config.slot.as_str();
    let did_survive = source.made(RecordKind::FailoverSlot, name);
    let survives = options.survives_failover.unwrap_or(did_survive);
    if survives && source.version < FAILOVER_VERSION_MIN {
        plan.problems.requirement(format!(
            "PostgreSQL {} has no slots that survive a failover, which came with 17; leave --failover out, and \
             see docs/guide/failover.md for what to do without",
            source.version / 10_000
        ));
        return;
    }
    let (mut is_made, mut is_copied) = (false, false);
    for step in &mut plan.steps {
        match &mut step.action {
            Action::CreateSlot { failover, .. } => {
                *failover = survives;
                is_made = true;
            }
            Action::CopySlot { .. } => is_copied = true,
            _ => {}
        }
    }
    let differs = source.slot.as_ref().is_some_and(|slot| slot.is_failover != survives);
    // What somebody else has set stays, unless it is asked for.
    let is_asked = survives || did_survive || options.survives_failover.is_some();
    if !is_made && (is_copied && survives || differs && is_asked) {
        if source.slot.as_ref().is_some_and(|slot| slot.active_process.is_some()) {
            plan.problems.requirement(format!(
                "a worker streams from replication slot {name}, and whether it survives a failover can be \
                 changed in between alone; stop the worker, and run this again"
            ));
        }
        let what = if survives { "have standbys keep" } else { "no longer have standbys keep" };
        let what = format!("{what} replication slot {name}");
        plan.step(Side::Source, what, Action::AlterSlot { failover: survives });
    }
    match (survives, did_survive) {
        (true, false) => plan.source(
            format!("write down that replication slot {name} survives a failover"),
            vec![record(RecordKind::FailoverSlot, name, None)],
        ),
        (false, true) => plan.source(
            format!("forget that replication slot {name} survives a failover"),
            vec![forget(RecordKind::FailoverSlot, name)],
        ),
        _ => {}
    }
}

fn start(start: Start, plan: &mut Plan) {
    let what = match start {
        Start::Fresh => "start the checkpoint where the slot is",
        Start::After { .. } => "start the checkpoint where the slot is, and record a gap before it",
        Start::OverGap { .. } => "move the checkpoint to where the slot is, and record a gap",
    };
    plan.step(Side::Destination, what, Action::StartCheckpoint(start));
}

/// The checkpoint counts the WAL of another cluster or database: one of this name is somebody else's,
/// unless we are told that it is the same one, restored.
fn other_source(
    checkpoint: &Checkpoint,
    config: &Config,
    found: &Found,
    options: &SetupOptions,
) -> Option<String> {
    let source = &found.source;
    let slot = &config.slot;
    if checkpoint.database != source.database {
        return Some(format!(
            "the destination has a checkpoint of slot {slot} for database {}, not {}; give this one \
             a slot of another name with --slot",
            checkpoint.database, source.database
        ));
    }
    let is_other = checkpoint.system_identifier != source.system_identifier;
    (is_other && !options.recreates_slot).then(|| {
        format!(
            "the destination has a checkpoint of slot {slot} for another cluster (system identifier \
             {}, this one has {}); give this one a slot of another name with --slot, or, if it was \
             restored from the other, say --recreate-slot, which records what was lost",
            checkpoint.system_identifier, source.system_identifier
        )
    })
}

fn is_foreign(slot: &SlotState, database: &str) -> bool {
    slot.plugin != PLUGIN || slot.database != database
}

fn stranger(slot: &SlotState, name: &str) -> String {
    let of = match (slot.plugin.as_str(), slot.database.as_str()) {
        ("", _) => "a physical slot".to_owned(),
        (plugin, database) => format!("of plugin {plugin} in database {database}"),
    };
    format!(
        "replication slot {name} exists already ({of}), and setup did not make it for this \
         database; give another name with --slot, or drop it if nobody needs it: SELECT \
         pg_drop_replication_slot('{name}')"
    )
}
