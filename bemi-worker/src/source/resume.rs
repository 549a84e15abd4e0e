//! Whether the stream can go on where the checkpoint ends, or changes were lost in between.
//!
//! The server itself does not tell: asked to start before what was acknowledged, it silently starts
//! there. So everything that it knows is compared with the checkpoint first.

use bemi_core::Lsn;

use super::{SlotState, System};
use crate::sink::Checkpoint;

/// A stretch of WAL that was lost, or that holds something else by now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) reason: String,
    /// Where the stream can go on; `None` where only a new slot can say.
    pub(crate) resume: Option<Lsn>,
    /// From where on what is stored is not what the source has.
    from: Lsn,
}

impl Gap {
    /// What is not known: from where to where. `position` is that of the checkpoint, `resume` where the
    /// stream goes on, or, while nobody knows, where the source is now.
    pub(crate) fn stretch(&self, position: Lsn, resume: Lsn) -> (Lsn, Lsn) {
        (self.from.min(resume), position.max(resume))
    }
}

/// Compares the checkpoint with the slot and the server. `fork` is where the timeline of the
/// checkpoint ended, if the server is on another one by now.
pub(crate) fn check_gap(
    checkpoint: &Checkpoint,
    slot: Option<&SlotState>,
    system: &System,
    fork: Option<Lsn>,
) -> Option<Gap> {
    let position = checkpoint.position;
    let confirmed = slot.filter(|slot| !slot.is_lost).map(|slot| slot.confirmed);
    if checkpoint.system_identifier != system.identifier {
        let reason = format!(
            "the checkpoint is of the cluster with the system identifier {}, and the source is {}",
            checkpoint.system_identifier, system.identifier
        );
        return Some(Gap { reason, resume: confirmed, from: position });
    }
    if let Some(fork) = fork
        && position > fork
    {
        let reason = format!(
            "the source is on timeline {}, which left that of the checkpoint at {fork}, \
             before what is stored up to {position}",
            system.timeline
        );
        let resume = confirmed.map(|confirmed| confirmed.max(fork));
        return Some(Gap { reason, resume, from: fork });
    }
    if position > system.end {
        let reason = format!(
            "the WAL of the source ends at {}, before what is stored up to {position}: the source was \
             restored from a snapshot",
            system.end
        );
        // What the snapshot has behind the slot is stored already, and nobody knows where it ended.
        let from = confirmed.unwrap_or(system.end).min(system.end);
        return Some(Gap { reason, resume: confirmed.map(|_| system.end), from });
    }
    let Some(slot) = slot else {
        let reason = "the replication slot is gone, and with it the WAL behind the checkpoint";
        return Some(Gap { reason: reason.to_owned(), resume: None, from: position });
    };
    if slot.is_lost {
        return Some(Gap { reason: lost(slot), resume: None, from: position });
    }
    if slot.confirmed > position {
        let reason = format!(
            "the slot was acknowledged up to {} while changes are stored up to {position}: somebody \
             else read from it, or the destination was restored from a backup",
            slot.confirmed
        );
        return Some(Gap { reason, resume: Some(slot.confirmed), from: position });
    }
    None
}

/// Why the server has given up a slot, from 17 on in its own words.
fn lost(slot: &SlotState) -> String {
    let told_by = match slot.invalidation.as_deref() {
        None | Some("wal_removed") => "as max_slot_wal_keep_size told it to".to_owned(),
        Some("idle_timeout") => "as idle_replication_slot_timeout told it to".to_owned(),
        Some(other) => format!("for the reason {other}"),
    };
    format!("the server has given up the WAL of the slot (wal_status is lost), {told_by}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(position: u64) -> Checkpoint {
        Checkpoint {
            system_identifier: "7".to_owned(),
            timeline: 1,
            database: "shop".to_owned(),
            publications: Vec::new(),
            position: Lsn::new(position),
        }
    }

    fn slot(confirmed: u64) -> SlotState {
        SlotState {
            plugin: "pgoutput".to_owned(),
            database: "shop".to_owned(),
            active_process: None,
            confirmed: Lsn::new(confirmed),
            is_lost: false,
            invalidation: None,
            is_failover: false,
        }
    }

    fn system(identifier: &str, timeline: u32) -> System {
        System { identifier: identifier.to_owned(), timeline, end: Lsn::new(1000) }
    }

    #[test]
    fn a_slot_at_or_before_the_checkpoint_goes_on() {
        for confirmed in [50, 100] {
            assert_eq!(
                check_gap(&checkpoint(100), Some(&slot(confirmed)), &system("7", 1), None),
                None
            );
        }
    }

    #[test]
    fn a_slot_that_was_acknowledged_beyond_the_checkpoint_is_a_gap() {
        let gap = check_gap(&checkpoint(100), Some(&slot(150)), &system("7", 1), None).unwrap();
        assert_eq!(gap.resume, Some(Lsn::new(150)));
        assert!(gap.reason.contains("0/96") && gap.reason.contains("0/64"), "{}", gap.reason);
    }

    #[test]
    fn a_slot_that_is_missing_or_lost_is_a_gap_that_needs_a_new_one() {
        let lost = SlotState { is_lost: true, ..slot(100) };
        for slot in [None, Some(&lost)] {
            let gap = check_gap(&checkpoint(100), slot, &system("7", 1), None).unwrap();
            assert_eq!(gap.resume, None);
        }
    }

    #[test]
    fn another_cluster_is_a_gap_whatever_its_positions() {
        let other = check_gap(&checkpoint(100), Some(&slot(50)), &system("8", 1), None).unwrap();
        assert_eq!(other.stretch(Lsn::new(100), Lsn::new(50)), (Lsn::new(50), Lsn::new(100)));
        let gone = check_gap(&checkpoint(100), None, &system("8", 1), None).unwrap();
        assert!(gone.reason.contains("system identifier") && gone.resume.is_none(), "{gone:?}");
    }

    #[test]
    fn a_source_that_ends_before_the_checkpoint_was_restored_and_goes_on_behind_what_it_has() {
        let end = Lsn::new(80);
        let system = System { end, ..system("7", 1) };
        let gap = check_gap(&checkpoint(100), Some(&slot(50)), &system, None).unwrap();
        assert_eq!(gap.resume, Some(end));
        assert_eq!(gap.stretch(Lsn::new(100), end), (Lsn::new(50), Lsn::new(100)));
    }

    #[test]
    fn why_the_server_gave_up_a_slot_is_told() {
        let because = |reason: Option<&str>| {
            let lost = SlotState {
                is_lost: true,
                invalidation: reason.map(ToOwned::to_owned),
                ..slot(100)
            };
            check_gap(&checkpoint(100), Some(&lost), &system("7", 1), None).unwrap().reason
        };
        assert!(because(None).contains("max_slot_wal_keep_size"));
        assert!(because(Some("wal_removed")).contains("max_slot_wal_keep_size"));
        assert!(because(Some("idle_timeout")).contains("idle_replication_slot_timeout"));
        assert!(because(Some("rows_removed")).contains("rows_removed"));
    }

    #[test]
    fn a_new_timeline_is_a_gap_only_behind_the_fork() {
        let gap = |fork| {
            check_gap(&checkpoint(100), Some(&slot(50)), &system("7", 2), Some(Lsn::new(fork)))
        };
        assert_eq!(gap(100), None);
        assert_eq!(gap(120), None);
        let gap = gap(80).unwrap();
        assert_eq!(gap.resume, Some(Lsn::new(80)));
        assert_eq!(gap.stretch(Lsn::new(100), Lsn::new(80)), (Lsn::new(80), Lsn::new(100)));
    }
}
