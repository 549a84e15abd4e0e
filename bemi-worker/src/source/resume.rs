//! Whether the stream can go on where the checkpoint ends, or changes were lost in between.
//!
//! The server itself does not tell: asked to start before what was acknowledged, it silently starts
//! there. So everything that it knows is compared with the checkpoint first.

use bemi_core::Lsn;

use super::{SlotState, System};
use crate::sink::Checkpoint;

/// A stretch of WAL that was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) reason: String,
    /// Where the stream can go on; `None` where only a new slot can say.
    pub(crate) resume: Option<Lsn>,
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
    let Some(slot) = slot else {
        let reason = "the replication slot is gone, and with it the WAL behind the checkpoint";
        return Some(Gap { reason: reason.to_owned(), resume: None });
    };
    if slot.is_lost {
        let reason = "the server has given up the WAL of the slot (wal_status is lost), \
                      as max_slot_wal_keep_size told it to";
        return Some(Gap { reason: reason.to_owned(), resume: None });
    }
    if checkpoint.system_identifier != system.identifier {
        let reason = format!(
            "the checkpoint is of the cluster with the system identifier {}, and the source is {}",
            checkpoint.system_identifier, system.identifier
        );
        return Some(Gap { reason, resume: Some(slot.confirmed) });
    }
    if let Some(fork) = fork
        && position > fork
    {
        let reason = format!(
            "the source is on timeline {}, which left that of the checkpoint at {fork}, \
             before what is stored up to {position}",
            system.timeline
        );
        return Some(Gap { reason, resume: Some(slot.confirmed.max(fork)) });
    }
    if slot.confirmed > position {
        let reason = format!(
            "the slot was acknowledged up to {} while changes are stored up to {position}: somebody \
             else read from it, or the destination was restored from a backup",
            slot.confirmed
        );
        return Some(Gap { reason, resume: Some(slot.confirmed) });
    }
    None
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
        }
    }

    fn system(identifier: &str, timeline: u32) -> System {
        System { identifier: identifier.to_owned(), timeline }
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
        assert!(check_gap(&checkpoint(100), Some(&slot(50)), &system("8", 1), None).is_some());
    }

    #[test]
    fn a_new_timeline_is_a_gap_only_behind_the_fork() {
        let gap = |fork| {
            check_gap(&checkpoint(100), Some(&slot(50)), &system("7", 2), Some(Lsn::new(fork)))
        };
        assert_eq!(gap(100), None);
        assert_eq!(gap(120), None);
        assert_eq!(gap(80).unwrap().resume, Some(Lsn::new(80)));
    }
}
