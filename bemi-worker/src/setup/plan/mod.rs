//! What setup will do: decided from what is asked for and what is there, before anything is changed.
//!
//! ```text
//! requirements ─▶ records and rules ─▶ set_context ─▶ destination ─▶ identities ─▶ publications
//!              ─▶ triggers of requests ─▶ event triggers ─▶ slot ─▶ events of tables
//! ```
//!
//! Where another's installation is to be taken over, its slot and table come in the place of ours.
//!
//! The slot comes late: a publication must be there before the WAL that is decoded for it.
//!
//! Invariants: nothing here does I/O; a plan made of what an applied plan left has no steps; no step
//! touches what setup did not make, but for the replica identities, whose former values it writes
//! down first, and for what is to be taken over.

mod adopt;
mod append_only;
pub(crate) mod columns;
pub(crate) mod context;
pub(crate) mod ddl;
mod destination;
pub(crate) mod mend;
mod partitions;
mod publication;
mod records;
mod requirements;
pub(crate) mod roles;
mod slot;
mod table;
pub(crate) mod table_events;
mod tamper_evidence;

pub(super) use adopt::not_yet;
use bemi_core::Lsn;
use postgres_protocol::escape::escape_literal;

pub(crate) use self::publication::operations_of;
use super::inspect::{Found, RecordKind, Source, Table};
use super::options::SetupOptions;
use super::rules::Rules;
use super::sql_pack;
use crate::WorkerError;
use crate::config::{Config, PartitionBy, SlotName};
use crate::error::Problems;

/// How many names are listed before the rest is counted.
const NAMES_LISTED_MAX: usize = 8;

/// What is to be done, and what there is to say about it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    /// What somebody who reads the output should know.
    pub(crate) notes: Vec<String>,
    /// What must be mended before any step can be taken.
    pub(crate) problems: Problems,
}

/// One thing to do, in a transaction of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// As it is told, as a verb: `create publication bemi`.
    pub(crate) what: String,
    pub(crate) side: Side,
    pub(crate) action: Action,
}

/// Where a step happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Source,
    Destination,
}

/// How a step happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// These statements, together.
    Sql(Vec<String>),
    /// These statements, which take a lock that the application must not wait behind: tried for a
    /// short time, several times.
    Locking { table: String, sql: Vec<String> },
    /// These statements, if the server lets us; what not having them means, if it does not.
    IfAllowed { sql: Vec<String>, otherwise: String },
    /// Makes the slot, dropping the one that is lost first; one that survives a failover, if that is asked
    /// for.
    CreateSlot { drops_lost: bool, failover: bool },
    /// Has the slot survive a failover, or not any more.
    AlterSlot { failover: bool },
    /// Makes the slot as a copy of the original worker's, if that has read what only it can, by its
    /// publication.
    CopySlot { from: SlotName, publication: Option<String> },
    /// Makes partitions of `changes`.
    Partition { by: PartitionBy },
    /// Starts the checkpoint where the slot is, or moves it there.
    StartCheckpoint(Start),
}

/// How a checkpoint starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// With the slot, nothing before it.
    Fresh,
    /// With a slot that was read from before, by nobody who told this destination.
    After { began: Lsn, reason: &'static str },
    /// From where the last slot was, over what was lost since.
    OverGap { reason: String },
}

/// Decides what to do.
pub(crate) fn plan(
    options: &SetupOptions,
    config: &Config,
    found: &Found,
) -> Result<Plan, WorkerError> {
    let before = match &found.source.installation {
        Some(installation) => Rules::of(installation)?,
        None => Rules::default(),
    };
    let rules = Rules::merge(options, config, found)?;
    let mut plan = Plan::default();
    requirements::check(options, config, found, &before, &rules, &mut plan);
    records::plan(config, &found.source, &rules, &mut plan);
    columns::plan(&before.columns, &rules, &mut plan);
    columns::note(&before.columns, &found.source, &rules, &mut plan);
    context::plan_function(&found.source, &mut plan);
    destination::plan(config, found, &mut plan);
    table::plan(&found.source, &rules, &mut plan);
    // Before anything is published: the first change that is stored has its context.
    context::plan_requests(config, &found.source, &rules, &mut plan);
    publication::plan(config, &found.source, &rules, &mut plan);
    publication::plan_event_triggers(&found.source, &mut plan);
    ddl::plan(&found.source, &rules, &mut plan);
    if adopt::takes_slot(options, config, found) {
        adopt::plan_slot(found, &mut plan);
    } else {
        slot::plan(options, config, found, &mut plan);
        adopt::plan_gap(options, found, &mut plan);
    }
    if adopt::takes_table(options, found) {
        adopt::plan_table(config, found, &mut plan);
    }
    partitions::plan(options, config, found, &mut plan);
    append_only::plan(config, found, &mut plan);
    if adopt::takes_slot(options, config, found) {
        adopt::plan_checkpoint(&mut plan);
    }
    slot::plan_failover(options, config, found, &mut plan);
    table_events::plan(config, found, &rules, &mut plan);
    adopt::plan_rest(options, found, &mut plan);
    tamper_evidence::plan(options.tamper_evidence, config, found, &mut plan);
    // It is about all of the above.
    sql_pack::plan(options.sql_pack, config, found, &mut plan);
    roles::plan(options, config, found, &mut plan);
    Ok(plan)
}

/// Decides what to do about tables that were made or changed since the last setup.
pub(crate) fn plan_tables(config: &Config, source: &Source, rules: &Rules) -> Plan {
    let mut plan = Plan::default();
    // What makes them is setup.
    if config.publication.both().iter().all(|name| source.publication(name).is_some()) {
        table::plan(source, rules, &mut plan);
        context::plan_triggers(source, rules, &mut plan);
        publication::plan(config, source, rules, &mut plan);
        table_events::plan_new(config, source, rules, &mut plan);
    }
    plan
}

impl Plan {
    fn step(&mut self, side: Side, what: impl Into<String>, action: Action) {
        self.steps.push(Step { what: what.into(), side, action });
    }

    fn source(&mut self, what: impl Into<String>, sql: Vec<String>) {
        self.step(Side::Source, what, Action::Sql(sql));
    }

    fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }
}

/// Writes down what is made. It is written in the same transaction, where there is one.
pub(crate) fn record(kind: RecordKind, name: &str, former: Option<&str>) -> String {
    let former = former.map_or_else(|| "NULL".to_owned(), escape_literal);
    format!(
        "INSERT INTO bemi.installation (kind, name, former) VALUES ({}, {}, {former}) \
         ON CONFLICT DO NOTHING",
        escape_literal(kind.text()),
        escape_literal(name),
    )
}

/// Forgets what is removed.
pub(crate) fn forget(kind: RecordKind, name: &str) -> String {
    format!(
        "DELETE FROM bemi.installation WHERE kind = {} AND name = {}",
        escape_literal(kind.text()),
        escape_literal(name)
    )
}

/// Names for people, the first few of them.
fn names<'a>(tables: impl IntoIterator<Item = &'a Table>) -> String {
    let all: Vec<String> = tables.into_iter().map(Table::name).collect();
    match all.get(..NAMES_LISTED_MAX) {
        Some(first) if all.len() > NAMES_LISTED_MAX => {
            format!("{} and {} more", first.join(", "), all.len() - NAMES_LISTED_MAX)
        }
        _ => all.join(", "),
    }
}

/// The name of the publication where a table belongs.
pub(crate) fn belongs(config: &Config, source: &Source, rules: &Rules, table: &Table) -> String {
    // Setup makes it identified, unless it cannot be.
    if rules.makes_whole(table) || table::will_be_identified(source, table) {
        config.publication.as_str().to_owned()
    } else {
        config.publication.insert_only()
    }
}

fn is_set_up(source: &Source) -> bool {
    source.installation.is_some()
}

#[cfg(test)]
mod tests;
