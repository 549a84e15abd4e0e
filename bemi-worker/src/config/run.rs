//! How `run` runs.

use super::{RetainedWal, Retention};

/// What to do about a stretch of WAL that was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnGap {
    /// Record it and stop, with exit code 3.
    #[default]
    Stop,
    /// Record it and go on behind it.
    Continue,
}

/// How `run` runs.
///
/// ```
/// use bemi_worker::config::RunOptions;
///
/// let options = RunOptions::new().once(true);
/// assert!(options.once);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunOptions {
    /// Store what was committed before the start, then end.
    pub once: bool,
    /// What to do about a stretch of WAL that was lost.
    pub on_gap: OnGap,
    /// How much WAL the source may keep for the slot, and what happens then.
    pub retained_wal: RetainedWal,
    /// For how long changes are kept; `None` for ever.
    pub retention: Option<Retention>,
}

impl RunOptions {
    /// Runs until told to stop, and stops at a gap.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether to end once what was committed before the start is stored.
    #[must_use]
    pub fn once(mut self, once: bool) -> Self {
        self.once = once;
        self
    }

    /// What to do about a stretch of WAL that was lost.
    #[must_use]
    pub fn on_gap(mut self, on_gap: OnGap) -> Self {
        self.on_gap = on_gap;
        self
    }

    /// How much WAL the source may keep for the slot, and what happens then; 10 GB unless said, which are
    /// kept, and told of in the log.
    #[must_use]
    pub fn retained_wal(mut self, limit: RetainedWal) -> Self {
        self.retained_wal = limit;
        self
    }

    /// For how long changes are kept; for ever unless said.
    #[must_use]
    pub fn retention(mut self, retention: Option<Retention>) -> Self {
        self.retention = retention;
        self
    }
}
