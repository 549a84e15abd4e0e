//! What one transaction of the destination makes durable.

use bemi_core::Lsn;
use jiff::Timestamp;

use crate::batch::Boundary;
use crate::sink::Written;

/// What one transaction of the destination makes durable. Counts are of this transaction alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Up to where everything is stored with it.
    pub(crate) position: Lsn,
    /// Rows of `changes` with a context.
    pub(crate) matched: u64,
    /// Rows of `changes` with the context `{}`.
    pub(crate) missing: u64,
    /// Changes that went to quarantine instead.
    pub(crate) quarantined: u64,
    /// Changes of ignored columns alone, which are not stored.
    pub(crate) ignored: u64,
    /// Context messages that could not be stored as they are.
    pub(crate) unreadable_contexts: u64,
    /// Context messages outside of any transaction, which govern nothing.
    pub(crate) contexts_without_transaction: u64,
    /// The size of the rows, as they were given to COPY.
    pub(crate) bytes: u64,
    /// When each source transaction with changes was committed, in the source's time.
    pub(crate) commits: Vec<Timestamp>,
}

impl Tally {
    /// What is durable once everything up to `boundary` is, of which `written` went to the destination.
    pub(crate) fn of(boundary: &Boundary, written: Written) -> Self {
        let counts = boundary.counts;
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        let refused = written.refused_with_context + written.refused_without_context;
        let missing = boundary.changes - counts.quarantined - counts.with_context;
        Self {
            position: boundary.position,
            matched: count(counts.with_context).saturating_sub(written.refused_with_context),
            missing: count(missing).saturating_sub(written.refused_without_context),
            quarantined: count(counts.quarantined) + refused,
            ignored: count(counts.ignored),
            unreadable_contexts: count(counts.unreadable_contexts),
            contexts_without_transaction: count(counts.contexts_without_transaction),
            bytes: written.bytes,
            commits: boundary.commits.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Counts;

    #[test]
    fn every_change_of_a_transaction_is_counted_once() {
        let counts = Counts { ignored: 4, with_context: 5, quarantined: 2, ..Counts::default() };
        let boundary = Boundary { changes: 10, counts, ..Boundary::default() };
        let written = Written { bytes: 1, refused_with_context: 1, refused_without_context: 2 };
        let tally = Tally::of(&boundary, written);
        assert_eq!((tally.matched, tally.missing, tally.quarantined), (4, 1, 5));
        assert_eq!(tally.matched + tally.missing + tally.quarantined, 10);
        assert_eq!(tally.ignored, 4);
    }
}
