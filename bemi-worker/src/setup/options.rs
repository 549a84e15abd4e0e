//! What setup and teardown can be asked for.

use crate::config::ConfigError;
use crate::config::pattern::{Exclusion, TablePattern, list};

/// What setup is asked for. What is not said stays as the last setup left it.
///
/// ```
/// use bemi_worker::setup::{IdentityPolicy, SetupOptions};
///
/// let options = SetupOptions::new()
///     .all_tables()
///     .exclude("sessions,*.*.password_hash")?
///     .replica_identity(IdentityPolicy::Full);
/// # Ok::<(), bemi_worker::config::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct SetupOptions {
    pub(super) tables: Vec<TablePattern>,
    pub(super) exclusions: Vec<Exclusion>,
    pub(super) identity: Option<IdentityPolicy>,
    pub(super) recreates_slot: bool,
    pub(super) takes_requests: Option<bool>,
}

/// What to do about tables whose old rows are not whole in the WAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdentityPolicy {
    /// Leave the replica identity as it is.
    Keep,
    /// Set REPLICA IDENTITY FULL, so that `before` is the whole row.
    Full,
}

/// What teardown is asked for.
///
/// ```
/// use bemi_worker::setup::TeardownOptions;
///
/// let options = TeardownOptions::new().drop_changes(true);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct TeardownOptions {
    pub(super) drops_changes: bool,
}

impl SetupOptions {
    /// Asks for nothing beyond what the last setup left: mends what is missing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Tracks all tables of all schemas, also those that are made later.
    #[must_use]
    pub fn all_tables(mut self) -> Self {
        self.tables.push(TablePattern::everything());
        self
    }

    /// Tracks these tables too: a list of `[schema.]table` with commas, `*` for any characters.
    ///
    /// # Errors
    /// [`ConfigError::Pattern`] when one of them is not a pattern.
    pub fn tables(mut self, patterns: &str) -> Result<Self, ConfigError> {
        self.tables.extend(list::<TablePattern>(patterns)?);
        Ok(self)
    }

    /// Leaves these tables or columns out: a list of `[schema.]table` or `schema.table.column` with
    /// commas, `*` for any characters.
    ///
    /// # Errors
    /// [`ConfigError::Pattern`] when one of them is not a pattern.
    pub fn exclude(mut self, patterns: &str) -> Result<Self, ConfigError> {
        self.exclusions.extend(list::<Exclusion>(patterns)?);
        Ok(self)
    }

    /// What to do about tables whose old rows are not whole in the WAL; `Keep` unless said.
    #[must_use]
    pub fn replica_identity(mut self, policy: IdentityPolicy) -> Self {
        self.identity = Some(policy);
        self
    }

    /// Whether triggers take the context of a request from what PostgREST, which is Supabase's API
    /// too, says of it; not unless said.
    #[must_use]
    pub fn postgrest(mut self, takes: bool) -> Self {
        self.takes_requests = Some(takes);
        self
    }

    /// Makes a replication slot that is gone or lost again, and records what was lost with it.
    #[must_use]
    pub fn recreate_slot(mut self, recreate: bool) -> Self {
        self.recreates_slot = recreate;
        self
    }
}

impl TeardownOptions {
    /// Removes what setup made, but keeps `changes` and what the worker knows of it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether to drop `changes`, and all that the worker stored.
    #[must_use]
    pub fn drop_changes(mut self, drop: bool) -> Self {
        self.drops_changes = drop;
        self
    }
}
