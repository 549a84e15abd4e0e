//! What setup and teardown can be asked for.

use std::collections::BTreeSet;

use super::roles::Duty;
use crate::config::identity::IdentityRule;
use crate::config::mask::Masking;
use crate::config::pattern::{AnyPattern, ColumnPattern, Exclusion, TablePattern, list};
use crate::config::{ConfigError, PartitionBy, SlotName};

/// What setup is asked for. What is not said stays as the last setup left it.
///
/// ```
/// use bemi_worker::setup::{IdentityPolicy, SetupOptions};
///
/// let options = SetupOptions::new()
///     .all_tables()
///     .exclude("sessions,*.*.password_hash")?
///     .ignore("updated_at")?
///     .mask("users.email=hash")?
///     .replica_identity(IdentityPolicy::Full);
/// # Ok::<(), bemi_worker::config::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct SetupOptions {
    pub(super) tables: Vec<TablePattern>,
    pub(super) exclusions: Vec<Exclusion>,
    pub(super) ignored: Vec<ColumnPattern>,
    pub(super) maskings: Vec<Masking>,
    pub(super) forgotten: Vec<AnyPattern>,
    pub(super) identity: Option<IdentityRule>,
    pub(super) recreates_slot: bool,
    pub(super) survives_failover: Option<bool>,
    pub(super) adoption: Option<Adoption>,
    pub(super) takes_requests: Option<bool>,
    pub(super) records_ddl: Option<bool>,
    pub(super) sql_pack: Option<bool>,
    pub(super) partition_by: Option<PartitionBy>,
    pub(super) tamper_evidence: Option<bool>,
    pub(super) granted: BTreeSet<(String, Duty)>,
    pub(super) revoked: BTreeSet<String>,
}

/// How another's installation is to be taken over.
#[derive(Clone, Debug, Default)]
pub(super) struct Adoption {
    /// The name of its slot, where it is not the usual one.
    pub(super) slot: Option<SlotName>,
    /// Whether what it leaves behind is to be removed.
    pub(super) drops_rest: bool,
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

    /// Keeps `changes` in partitions that are this long; a table that is there and has rows becomes the
    /// first one. Partitions that are there stay as they are.
    #[must_use]
    pub fn partition_by(mut self, by: PartitionBy) -> Self {
        self.partition_by = Some(by);
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
    /// commas, `*` for any characters. For columns it is the mask `drop`.
    ///
    /// # Errors
    /// [`ConfigError::Pattern`] when one of them is not a pattern.
    pub fn exclude(mut self, patterns: &str) -> Result<Self, ConfigError> {
        self.exclusions.extend(list::<Exclusion>(patterns)?);
        Ok(self)
    }

    /// Does not store an UPDATE that changes nothing but these columns: a list of
    /// `[[schema.]table.]column` with commas, `*` for any characters. What is left out stands for any:
    /// `updated_at` is that of every table.
    ///
    /// # Errors
    /// [`ConfigError::Pattern`] when one of them is not a pattern.
    pub fn ignore(mut self, patterns: &str) -> Result<Self, ConfigError> {
        self.ignored.extend(list::<ColumnPattern>(patterns)?);
        Ok(self)
    }

    /// Masks values of columns before anything is stored: patterns as for [`Self::ignore`], `=`, and
    /// one of `drop`, which leaves the columns out, `hash`, a keyed hash, and `text:…`, a fixed text.
    ///
    /// # Errors
    /// [`ConfigError::Pattern`] when one of them is not a pattern, [`ConfigError::Mask`] when it is no
    /// mask.
    pub fn mask(mut self, masking: &str) -> Result<Self, ConfigError> {
        self.maskings.push(masking.parse()?);
        Ok(self)
    }

    /// Takes back the rules that were given with these very patterns, before any that is asked for
    /// now: those of tables that are tracked or left out, and of columns that are ignored or masked. A
    /// table that no other rule tracks is not published any more.
    ///
    /// # Errors
    /// [`ConfigError::Pattern`] when one of them is not a pattern.
    pub fn forget(mut self, patterns: &str) -> Result<Self, ConfigError> {
        self.forgotten.extend(list::<AnyPattern>(patterns)?);
        Ok(self)
    }

    /// What to do about tables whose old rows are not whole in the WAL; `Keep` unless said. For some
    /// tables alone, see [`Self::full_identity`].
    #[must_use]
    pub fn replica_identity(self, policy: IdentityPolicy) -> Self {
        self.identity_rule(match policy {
            IdentityPolicy::Keep => IdentityRule::Keep,
            IdentityPolicy::Full => IdentityRule::Full(vec![TablePattern::everything()]),
        })
    }

    /// Sets REPLICA IDENTITY FULL on these tables too: a list of `[schema.]table` with commas, `*` for
    /// any characters.
    ///
    /// # Errors
    /// [`ConfigError::Pattern`] when one of them is not a pattern.
    pub fn full_identity(mut self, patterns: &str) -> Result<Self, ConfigError> {
        let mut patterns = list::<TablePattern>(patterns)?;
        if let Some(IdentityRule::Full(before)) = &mut self.identity {
            before.append(&mut patterns);
        } else {
            self.identity = Some(IdentityRule::Full(patterns));
        }
        Ok(self)
    }

    pub(crate) fn identity_rule(mut self, rule: IdentityRule) -> Self {
        self.identity = Some(rule);
        self
    }

    /// Whether triggers take the context of a request from what PostgREST, which is Supabase's API
    /// too, says of it; not unless said.
    #[must_use]
    pub fn postgrest(mut self, takes: bool) -> Self {
        self.takes_requests = Some(takes);
        self
    }

    /// Whether commands that change the shape of tracked tables are stored as changes of operation
    /// `DDL`; not unless said. It takes event triggers, which a superuser may create.
    #[must_use]
    pub fn ddl(mut self, records: bool) -> Self {
        self.records_ddl = Some(records);
        self
    }

    /// Whether the destination has the SQL pack: functions and views in schema `bemi`, by which anybody
    /// with psql asks the record; not unless said. One that is there is brought up to date.
    #[must_use]
    pub fn sql_pack(mut self, installs: bool) -> Self {
        self.sql_pack = Some(installs);
        self
    }

    /// Lets this role run the worker, and do nothing else; a later setup gives it what is new by then. It
    /// is there already, and named as the catalog has it.
    #[must_use]
    pub fn grant_worker(mut self, role: impl Into<String>) -> Self {
        self.granted.insert((role.into(), Duty::Worker));
        self
    }

    /// Lets this role read what is stored: `changes`, and what tells how whole it is. As
    /// [`Self::grant_worker`].
    #[must_use]
    pub fn grant_reader(mut self, role: impl Into<String>) -> Self {
        self.granted.insert((role.into(), Duty::Reader));
        self
    }

    /// Takes back what this role was given by [`Self::grant_worker`] and [`Self::grant_reader`].
    #[must_use]
    pub fn revoke_role(mut self, role: impl Into<String>) -> Self {
        self.revoked.insert(role.into());
        self
    }

    /// Whether what is stored is covered by a chain of hashes, so that `bemi-worker verify` finds what was
    /// altered since; not unless said.
    #[must_use]
    pub fn tamper_evidence(mut self, covers: bool) -> Self {
        self.tamper_evidence = Some(covers);
        self
    }

    /// Takes the installation of the family's original worker over: goes on from its slot, `None` for
    /// the one with which it comes, and keeps the rows of its table.
    #[must_use]
    pub fn adopt(mut self, slot: Option<SlotName>) -> Self {
        self.adoption.get_or_insert_default().slot = slot;
        self
    }

    /// Takes it over, and drops its slot and its publication.
    #[must_use]
    pub fn drop_adopted_rest(mut self) -> Self {
        self.adoption.get_or_insert_default().drops_rest = true;
        self
    }

    /// Makes a replication slot that is gone or lost again, and records what was lost with it.
    #[must_use]
    pub fn recreate_slot(mut self, recreate: bool) -> Self {
        self.recreates_slot = recreate;
        self
    }

    /// Whether standbys keep a copy of the slot, so that it survives a failover, from PostgreSQL 17 on; not
    /// unless said.
    #[must_use]
    pub fn failover(mut self, survives: bool) -> Self {
        self.survives_failover = Some(survives);
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
