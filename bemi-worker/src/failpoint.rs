//! Places where a test can end the worker, as a power cut would: before and after each durable step.
//!
//! All of them are listed here. With the feature `failpoints`, which the tests of the family turn on
//! and nothing that is published, `BEMI_FAILPOINT` names one and at which pass the process aborts: no
//! destructor runs and nothing is flushed. Without the feature a pass is nothing.

#[cfg(feature = "failpoints")]
use std::sync::LazyLock;
#[cfg(feature = "failpoints")]
use std::sync::atomic::{AtomicU32, Ordering};

macro_rules! failpoints {
    ($($(#[doc = $meaning:literal])+ $point:ident = $name:literal,)+) => {
        /// A place where the process can be ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        #[cfg_attr(
            not(feature = "failpoints"),
            allow(unreachable_pub, reason = "the tests name them")
        )]
        pub enum Failpoint {
            $($(#[doc = $meaning])+ $point,)+
        }

        #[cfg(feature = "failpoints")]
        impl Failpoint {
            /// Every failpoint.
            pub const ALL: &[Self] = &[$(Self::$point,)+];

            /// What [`ENVIRONMENT`] calls it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)+
                }
            }
        }
    };
}

failpoints! {
    /// Nothing of a batch is in the destination's transaction yet.
    BeforeCopy = "before-copy",
    /// The rows of a batch are in the transaction.
    AfterCopy = "after-copy",
    /// A change is about to be put into quarantine.
    BeforeQuarantine = "before-quarantine",
    /// A change is in quarantine, in the transaction.
    AfterQuarantine = "after-quarantine",
    /// What became of a table is about to be written.
    BeforeTableEvent = "before-table-event",
    /// What became of a table is in the transaction.
    AfterTableEvent = "after-table-event",
    /// The rows are in the transaction, the checkpoint is where it was.
    BeforeCheckpoint = "before-checkpoint",
    /// The checkpoint is moved, in the transaction.
    AfterCheckpoint = "after-checkpoint",
    /// Everything is in the transaction, COMMIT is about to be sent.
    BeforeCommit = "before-commit",
    /// The transaction is durable, and nobody has been told.
    AfterCommit = "after-commit",
    /// A durable position is about to be acknowledged to the source.
    BeforeAcknowledge = "before-acknowledge",
    /// It is acknowledged; the answer may still be on its way.
    AfterAcknowledge = "after-acknowledge",
    /// Replication has started, the checkpoint is still the one of the worker before.
    BeforeEpoch = "before-epoch",
    /// The checkpoint is this worker's, nothing is stored yet.
    AfterEpoch = "after-epoch",
    /// A gap was found, and nothing was done about it.
    BeforeGap = "before-gap",
    /// A slot that was gone or lost has been made anew, and nothing says so.
    AfterSlotRenewed = "after-slot-renewed",
    /// The gap is written down, the checkpoint is before it.
    AfterGap = "after-gap",
    /// The checkpoint is behind the gap.
    AfterGapPassed = "after-gap-passed",
    /// The rows of a chunk of a baseline are in the transaction, how far it has come is not.
    BeforeBackfillProgress = "before-backfill-progress",
    /// So is how far it has come; COMMIT is about to be sent.
    AfterBackfillProgress = "after-backfill-progress",
}

/// Which failpoint ends the process, and at which pass, counted from 1: `before-commit:3`.
#[cfg(feature = "failpoints")]
pub const ENVIRONMENT: &str = "BEMI_FAILPOINT";

#[cfg(feature = "failpoints")]
static ARMED: LazyLock<Option<Armed>> = LazyLock::new(|| {
    let value = std::env::var(ENVIRONMENT).ok()?;
    let Some(armed) = Armed::parse(&value) else {
        // A test that waits for it would else wait for ever.
        eprintln!("{ENVIRONMENT} is {value:?}, and no failpoint is called so");
        std::process::abort();
    };
    Some(armed)
});

#[cfg(feature = "failpoints")]
#[derive(Debug)]
struct Armed {
    point: Failpoint,
    passes_left: AtomicU32,
}

impl Failpoint {
    /// Ends the process, if this is the pass that was asked for.
    #[inline]
    pub(crate) fn pass(self) {
        #[cfg(feature = "failpoints")]
        if let Some(armed) = ARMED.as_ref()
            && armed.is_due(self)
        {
            eprintln!("failpoint {} reached", self.name());
            std::process::abort();
        }
    }
}

#[cfg(feature = "failpoints")]
impl Armed {
    fn parse(value: &str) -> Option<Self> {
        let (name, pass) = value.split_once(':')?;
        let point = Failpoint::ALL.iter().copied().find(|point| point.name() == name)?;
        let passes_left = pass.parse().ok().filter(|pass| *pass > 0)?;
        Some(Self { point, passes_left: AtomicU32::new(passes_left) })
    }

    fn is_due(&self, point: Failpoint) -> bool {
        point == self.point && self.passes_left.fetch_sub(1, Ordering::Relaxed) == 1
    }
}

#[cfg(all(test, feature = "failpoints"))]
mod tests {
    use super::*;

    #[test]
    fn the_pass_that_was_asked_for_is_the_one() {
        let armed = Armed::parse("before-commit:2").unwrap();
        assert!(!armed.is_due(Failpoint::BeforeCommit));
        assert!(!armed.is_due(Failpoint::AfterCommit));
        assert!(armed.is_due(Failpoint::BeforeCommit));
        assert!(!armed.is_due(Failpoint::BeforeCommit));
    }

    #[test]
    fn what_is_no_failpoint_is_not_taken_for_one() {
        for value in ["", "before-commit", "before-commit:0", "nowhere:1"] {
            assert!(Armed::parse(value).is_none(), "{value}");
        }
    }
}
