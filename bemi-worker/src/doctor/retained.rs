//! What a worker needs to give a slot up, and whether one has; and whether the slot is as setup was told.

use super::checks::{SETUP, Subject};
use super::finding::Diagnosis;
use crate::setup::inspect::RecordKind;

/// Whether the slot was given up, and nobody has gone on behind it yet.
pub(super) fn given_up(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let found = &subject.facts.found;
    let Some(given_up) = &found.source.given_up else { return };
    // Behind it, it is of an earlier time.
    let is_behind = found
        .destination
        .checkpoint
        .as_ref()
        .is_some_and(|checkpoint| checkpoint.position > given_up.position);
    if found.source.slot.is_none() && !is_behind {
        diagnosis.fail(
            "B080",
            format!("the slot was given up: {}", given_up.reason),
            "what was not stored by then is lost, and what happens since then is not stored",
            "find out what kept the worker from storing; then `bemi-worker run --on-gap continue`, which \
             records what was lost and goes on",
        );
    }
}

/// Whether there is a place to write down that a slot is given up.
pub(super) fn place(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let installation = &subject.facts.found.source.installation;
    if installation.as_ref().is_some_and(|installation| !installation.has_given_up) {
        diagnosis.note(
            "B081",
            "the source has no table bemi.given_up, as an older version has set it up",
            "--on-max-retained-wal give-up is refused without it",
            SETUP,
        );
    }
}

/// Whether the slot survives a failover, where setup was told so.
pub(super) fn failover(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let source = &subject.facts.found.source;
    let name = subject.config.slot.as_str();
    let Some(slot) = &source.slot else { return };
    if source.made(RecordKind::FailoverSlot, name) && !slot.is_failover {
        diagnosis.warn(
            "B082",
            format!("slot {name} does not survive a failover, and setup was told that it should"),
            "somebody has altered it or made it anew: standbys keep no copy of it",
            "stop the worker, and run `bemi-worker setup`",
        );
    }
}
