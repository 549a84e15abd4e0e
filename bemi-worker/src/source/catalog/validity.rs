//! Where in the WAL something holds that was read from the catalog: decided from values, without I/O.
//!
//! The catalog is read as it is at one moment, and rows are rendered that were written at others. So
//! for each thing that can change under a table, two questions are answered.
//!
//! ```text
//!        x                  before   S   after
//! ───────┼───────────────────────┼───┼─────┼───────────────▶ WAL
//!        ├─ as S sees it ────────┤
//!        ├─ known: if x is settled         ├─ known: once it is read again, and still made by x
//! ```
//!
//! *Until when?* The snapshot `S` of the reading sees whatever committed before the position `before`,
//! which was asked for first, with one exception: a transaction whose commit is in the WAL while others
//! do not see it yet. Whoever alters something has it locked until they do, so a lock says that there
//! may be such a one.
//!
//! *Since when?* A row of the catalog tells by its `xmin` which transaction, `x`, made its version. Where
//! in the WAL that committed, nobody knows, but it is before the position `after`. Before that, what was
//! read holds only if `x` is *settled*: older than all that the slot still has to send, or the
//! transaction that created the thing. And what a later reading finds unchanged, by the same `x`, has
//! not changed in between.
//!
//! Invariant: an answer may be too short, never too long.

use std::collections::HashMap;

use bemi_core::{Lsn, TransactionId};

use crate::render::Stretch;

/// Ids below are of no transaction: rows with them are as old as the cluster.
const FIRST_NORMAL_ID: u32 = 3;

/// When the catalog was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Moment {
    /// How far the WAL was before.
    pub(super) before: Lsn,
    /// How far it was after.
    pub(super) after: Lsn,
    /// Transactions with older ids had ended, for the stream as well, before the first row that it still
    /// has to send: the slot's `catalog_xmin`.
    pub(super) horizon: Option<TransactionId>,
    /// The id that comes next.
    pub(super) next: TransactionId,
    /// Those that had not ended.
    pub(super) running: Vec<TransactionId>,
    /// Which relations were locked against everybody else, by which transactions.
    pub(super) locks: Vec<(u32, TransactionId)>,
}

impl Moment {
    /// Whether a transaction, whose work the reading saw, ended before anything that the stream still has
    /// to send. Ids are a circle: rows that are very old may have one that looks like a new one, which is
    /// no harm, or like one that is still to come.
    pub(super) fn is_settled(&self, id: TransactionId) -> bool {
        let age = self.next.0.wrapping_sub(id.0);
        // The server lets no row that the slot needs become older than half the circle.
        let oldest = self.horizon.map_or(1 << 31, |horizon| self.next.0.wrapping_sub(horizon.0));
        id.0 < FIRST_NORMAL_ID || age == 0 || age > oldest
    }

    /// Whether somebody may have altered a relation, with a commit that nobody sees yet.
    pub(super) fn is_being_altered(&self, relation: u32) -> bool {
        let has_not_ended = |id: &TransactionId| {
            self.running.contains(id) || id.0.wrapping_sub(self.next.0) < 1 << 31
        };
        self.locks.iter().any(|(locked, id)| *locked == relation && has_not_ended(id))
    }
}

/// The versions of the rows in the catalog that something is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Versions {
    /// Which transactions made them, in a fixed order.
    pub(super) made_by: Vec<TransactionId>,
    /// Whether what they say holds since before anything that the stream still has to send.
    pub(super) are_settled: bool,
}

/// Since when things hold that have been read before, by oid.
#[derive(Debug, Default)]
pub(super) struct Readings {
    known: HashMap<u32, (Vec<TransactionId>, Lsn)>,
}

/// What a reading found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// Since when it is known to hold.
    pub(super) since: Lsn,
    /// It was altered, nobody knows where in the WAL, and that was not known before.
    pub(super) is_alteration: bool,
}

impl Readings {
    /// Since when a thing holds that was just read.
    pub(super) fn note(&mut self, oid: u32, versions: Versions, moment: &Moment) -> Finding {
        let unchanged = self
            .known
            .get(&oid)
            .filter(|(made_by, _)| *made_by == versions.made_by)
            .map(|(_, since)| *since);
        let since = if versions.are_settled { Lsn::ZERO } else { moment.after };
        let since = unchanged.map_or(since, |known| known.min(since));
        let is_alteration = unchanged.is_none() && since > Lsn::ZERO;
        self.known.insert(oid, (versions.made_by, since));
        Finding { since, is_alteration }
    }
}

/// Where a thing holds that can be altered at any time.
pub(super) fn stretch(finding: Finding, is_being_altered: bool, moment: &Moment) -> Stretch {
    if is_being_altered {
        Stretch::nowhere_up_to(moment.before)
    } else {
        Stretch::new(finding.since, moment.before)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HORIZON: u32 = 1_000;
    const NEXT: u32 = 2_000;

    fn id(id: u32) -> TransactionId {
        TransactionId(id)
    }

    fn moment(before: u64) -> Moment {
        Moment {
            before: Lsn::new(before),
            after: Lsn::new(before + 10),
            horizon: Some(id(HORIZON)),
            next: id(NEXT),
            ..Moment::default()
        }
    }

    fn versions(ids: &[u32], are_settled: bool) -> Versions {
        Versions { made_by: ids.iter().copied().map(id).collect(), are_settled }
    }

    #[test]
    fn what_is_older_than_all_that_the_slot_has_to_send_is_settled() {
        for (by, is_settled) in [
            (1, true),
            (2, true),
            (HORIZON - 1, true),
            (HORIZON, false),
            (NEXT - 1, false),
            // They seem to be still to come: they are of the last time round.
            (NEXT, true),
            (NEXT + 1, true),
            (u32::MAX, true),
        ] {
            assert_eq!(moment(0).is_settled(id(by)), is_settled, "{by}");
        }
    }

    #[test]
    fn ids_that_have_come_round_are_told_by_their_age() {
        let round = Moment { horizon: Some(id(u32::MAX - 10)), next: id(100), ..moment(0) };
        for (by, is_settled) in [
            (u32::MAX - 11, true),
            (u32::MAX - 10, false),
            (u32::MAX, false),
            (99, false),
            (100, true),
        ] {
            assert_eq!(round.is_settled(id(by)), is_settled, "{by}");
        }
    }

    #[test]
    fn without_a_horizon_only_what_is_no_transaction_is_settled() {
        let unknown = Moment { horizon: None, ..moment(0) };
        assert!(unknown.is_settled(id(2)) && !unknown.is_settled(id(3)));
    }

    #[test]
    fn a_lock_counts_while_its_owner_has_not_ended() {
        let moment = Moment {
            running: vec![id(1_500)],
            locks: vec![(7, id(1_500)), (8, id(1_499)), (9, id(NEXT))],
            ..moment(0)
        };
        assert!(moment.is_being_altered(7), "it runs");
        assert!(!moment.is_being_altered(8), "it ended before the reading, and lets go just now");
        assert!(moment.is_being_altered(9), "it began after");
        assert!(!moment.is_being_altered(10), "nobody has it");
    }

    #[test]
    fn what_is_not_settled_holds_from_the_end_of_the_reading_on() {
        let mut readings = Readings::default();
        let settled = readings.note(1, versions(&[5], true), &moment(100));
        assert_eq!(settled, Finding { since: Lsn::ZERO, is_alteration: false });
        let altered = readings.note(1, versions(&[1_500], false), &moment(200));
        assert_eq!(altered, Finding { since: Lsn::new(210), is_alteration: true });
        let again = readings.note(1, versions(&[1_500], false), &moment(300));
        assert_eq!(again, Finding { since: Lsn::new(210), is_alteration: false }, "unchanged");
        let another = readings.note(2, versions(&[1_500], false), &moment(300));
        assert_eq!(another.since, Lsn::new(310));
    }

    #[test]
    fn once_the_slot_has_passed_it_what_was_altered_is_settled() {
        let mut readings = Readings::default();
        let _ = readings.note(1, versions(&[1_500], false), &moment(200));
        let settled = readings.note(1, versions(&[1_500], true), &moment(300));
        assert_eq!(settled, Finding { since: Lsn::ZERO, is_alteration: false });
    }

    proptest! {
        /// A history of alterations, each committed at a place in the WAL, and readings that see some of
        /// them: whatever a reading says of a row is what the type was at the row.
        #[test]
        fn nothing_is_said_of_a_row_that_was_not_so(
            gaps in proptest::collection::vec(1_u64..50, 1..8),
            reads in proptest::collection::vec((0_u64..400, 0_u64..30), 1..8),
            rows in proptest::collection::vec(0_u64..500, 1..20),
        ) {
            // The version that is in force behind each alteration is the id that made it.
            let mut at = 0;
            let alterations: Vec<(u64, u32)> = gaps
                .iter()
                .zip(HORIZON..)
                .map(|(gap, id)| {
                    at += gap;
                    (at, id)
                })
                .collect();
            let version_at = |position: u64| {
                let made = alterations.iter().rev().find(|(at, _)| *at < position);
                made.map_or(5, |(_, id)| *id)
            };
            let mut readings = Readings::default();
            let mut reads = reads;
            reads.sort_unstable();
            for (before, took) in reads {
                // It sees what committed before a moment in the course of it.
                let version = version_at(before + took / 2);
                let moment = Moment { after: Lsn::new(before + took), ..moment(before) };
                let is_settled = moment.is_settled(id(version));
                let finding = readings.note(1, versions(&[version], is_settled), &moment);
                let holds = crate::render::Dated::new((), stretch(finding, false, &moment));
                for row in &rows {
                    if holds.at(Lsn::new(*row)).is_some() {
                        prop_assert_eq!(version_at(*row), version, "row {} read {}", row, before);
                    }
                }
            }
        }
    }
}
