//! What a backfill can be asked for, and what it tells.

use std::time::Duration;

use bemi_core::Lsn;

use crate::config::ConfigError;
use crate::config::pattern::{TablePattern, list};

/// What a backfill is asked for: all tables that are tracked, unless some are named.
///
/// ```
/// use bemi_worker::backfill::BackfillOptions;
///
/// let options = BackfillOptions::new().tables("todo,sales.*")?.rows_per_second_max(5_000);
/// # Ok::<(), bemi_worker::config::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BackfillOptions {
    pub(super) tables: Vec<TablePattern>,
    /// How many rows are stored in one transaction, at most.
    pub chunk_rows: u32,
    /// How many rows are stored in a second, at most; 0 for as many as can be.
    pub rows_per_second_max: u32,
    /// For how long one snapshot is held, at most. While it is, the source keeps what was deleted since.
    /// [`Duration::MAX`] for one snapshot from beginning to end.
    pub snapshot_max: Duration,
    /// Whether to store tables again that were finished before.
    pub again: bool,
}

impl BackfillOptions {
    /// All tables that are tracked: 10,000 rows in a transaction, 20,000 in a second, and a new
    /// snapshot every ten minutes.
    #[must_use]
    pub fn new() -> Self {
        Self {
            tables: Vec::new(),
            chunk_rows: 10_000,
            rows_per_second_max: 20_000,
            snapshot_max: Duration::from_secs(600),
            again: false,
        }
    }

    /// These tables alone: a list of `[schema.]table` with commas, `*` for any characters. Lists add up.
    ///
    /// # Errors
    /// [`ConfigError::Pattern`] when one of them is not a pattern.
    pub fn tables(mut self, patterns: &str) -> Result<Self, ConfigError> {
        self.tables.extend(list::<TablePattern>(patterns)?);
        Ok(self)
    }

    /// How many rows are stored in one transaction, at most. Fewer where rows are wide.
    #[must_use]
    pub fn chunk_rows(mut self, rows: u32) -> Self {
        self.chunk_rows = rows;
        self
    }

    /// How many rows are stored in a second, at most; 0 for as many as can be.
    #[must_use]
    pub fn rows_per_second_max(mut self, rows: u32) -> Self {
        self.rows_per_second_max = rows;
        self
    }

    /// For how long one snapshot is held, at most.
    #[must_use]
    pub fn snapshot_max(mut self, time: Duration) -> Self {
        self.snapshot_max = time;
        self
    }

    /// Whether to store tables again that were finished before.
    #[must_use]
    pub fn again(mut self, again: bool) -> Self {
        self.again = again;
        self
    }
}

impl Default for BackfillOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// What a backfill would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackfillPreview {
    /// The tables that were asked for.
    pub tables: Vec<PlannedTable>,
}

/// A table that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlannedTable {
    /// `schema.table`, in quotes where SQL needs them.
    pub name: String,
    /// How many rows the server thinks that there are.
    pub estimated_rows: u64,
    /// The key by which it is read in chunks; empty where it is stored in one transaction.
    pub key: Vec<String>,
    /// How many of its rows are stored already.
    pub rows: u64,
    /// Whether it was finished before.
    pub is_finished: bool,
}

/// What a backfill has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackfillReport {
    /// The tables that were asked for.
    pub tables: Vec<StoredTable>,
    /// How many rows were stored now.
    pub rows: u64,
    /// Whether it was told to stop before the end.
    pub is_interrupted: bool,
}

/// A table that was asked for, and what is stored of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredTable {
    /// `schema.table`, in quotes where SQL needs them.
    pub name: String,
    /// How many of its rows are stored, now and before.
    pub rows: u64,
    /// The `commit_position` of the last of them; none where nothing is stored.
    pub position: Option<Lsn>,
    /// Whether all of it is stored.
    pub is_finished: bool,
}

/// What happens, as it happens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackfillEvent {
    /// What there is to do.
    Planned {
        /// Tables that are not finished.
        tables: u64,
        /// How many rows of them are left, as far as the server knows.
        estimated_rows: u64,
    },
    /// A snapshot is waited for: every transaction of the cluster that runs must end.
    Waiting,
    /// Rows are stored as they were at this position.
    SnapshotTaken {
        /// The end of the WAL that is in it.
        position: Lsn,
    },
    /// Rows of a table are stored.
    Stored {
        /// `schema.table`.
        table: String,
        /// How many in this transaction.
        rows: u64,
        /// How many of the table in all.
        rows_of_table: u64,
    },
    /// A table is stored to its end.
    Finished {
        /// `schema.table`.
        table: String,
        /// How many rows it has.
        rows: u64,
    },
}
