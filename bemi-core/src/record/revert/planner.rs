//! From a set of changes to a plan.
//!
//! ```text
//! facts (catalog) ─▶ steps (set) ─▶ live rows ─▶ simulation ─▶ values, unique, references ─▶ order ─▶ statements
//!                                                  ▲                                          │
//!                                                  └──── without the rows in conflict: skip ◀─┘
//! ```
//!
//! All reading is done for many rows at once: how often the source is asked depends on how many tables
//! and constraints there are, not on how many rows.

use std::collections::{BTreeMap, HashSet};

use super::build::statement;
use super::facts::{DeferrableConstraint, Facts};
use super::live::Live;
use super::order::{Edge, order};
use super::plan::Deferred;
use super::references::{self, Carried};
use super::settings::Frame;
use super::simulate::Simulation;
use super::slots::Slots;
use super::steps::{Found, Steps};
use super::values::of_slot;
use super::{
    Action, Conflict, ConflictKind, Handling, OnConflict, Plan, ReversibleSet, RevertError,
    RevertOptions, Statement, unique, values,
};
use crate::record::{Database, RecordError};

/// Finds out what would have to be done.
pub(super) async fn plan<S: Database>(
    set: &ReversibleSet,
    source: &mut S,
    options: &RevertOptions,
) -> Result<Plan, RevertError<S::Error>> {
    let failed = |source| RecordError::Database { doing: "begin the plan", source };
    let frame = Frame::enter(source).await.map_err(failed)?;
    let frame = frame.ok_or(RevertError::NoTransaction)?;
    match within(set, source, options).await {
        Ok(plan) => {
            let failed = |source| RecordError::Database { doing: "end the plan", source };
            frame.leave(source).await.map_err(failed)?;
            Ok(plan)
        }
        Err(error) => {
            frame.undo(source).await;
            Err(error)
        }
    }
}

async fn within<S: Database>(
    set: &ReversibleSet,
    source: &mut S,
    options: &RevertOptions,
) -> Result<Plan, RevertError<S::Error>> {
    let facts = Facts::read(source, &set.tables()).await?;
    if let Some(table) = facts.tables.iter().find(|table| table.hides_rows) {
        return Err(RevertError::RowsHidden { table: table.name().to_string() });
    }
    let Steps { steps, found } = Steps::of(set, &facts);
    let (live, unseen) = Live::read(source, &facts, &steps, options.locks).await?;
    let mut all: Vec<Found> = found.into_iter().chain(unseen).collect();
    let skips = options.on_conflict == OnConflict::Skip;
    let mut excluded: HashSet<usize> = all
        .iter()
        .filter(|found| skips || found.ends || !found.forcible)
        .flat_map(|found| found.groups.iter().copied())
        .collect();
    let draft = loop {
        let simulation = Simulation::run(&facts, &live, &steps, &excluded, options.on_conflict);
        let mut found = simulation.found;
        let slots = Slots::new(simulation.slots);
        let (draft, more) = draft(source, &facts, &slots).await?;
        found.extend(more);
        let before = excluded.len();
        excluded.extend(found.iter().flat_map(|found| found.groups.iter().copied()));
        all.extend(found);
        // Without a row others may not be able to go back either.
        if !skips || excluded.len() == before {
            break draft;
        }
    };
    let mut context = options.context.clone();
    context.insert("revert_of", set.revert_of());
    Ok(Plan {
        statements: draft.statements,
        conflicts: all.into_iter().map(|found| handled(found, options.on_conflict)).collect(),
        deferred: draft.deferred,
        context,
        changes: set.changes().len(),
    })
}

/// What the plan makes of a conflict.
fn handled(found: Found, way: OnConflict) -> Conflict {
    let mut conflict = found.conflict;
    conflict.handling = match way {
        OnConflict::Abort => Handling::Blocks,
        OnConflict::Skip => Handling::Skipped,
        OnConflict::Force if found.forcible => Handling::Forced,
        OnConflict::Force => Handling::Blocks,
    };
    conflict
}

/// The statements in their order.
struct Draft {
    statements: Vec<Statement>,
    deferred: Vec<Deferred>,
}

/// Checks the end of a simulation, and puts its statements in order.
async fn draft<S: Database>(
    source: &mut S,
    facts: &Facts,
    slots: &Slots,
) -> Result<(Draft, Vec<Found>), RevertError<S::Error>> {
    let mut found = values::check(source, facts, slots.all()).await?;
    let mut references = references::check(source, facts, slots).await?;
    found.append(&mut references.found);
    let mut edges = references.edges;
    found.extend(unique::check(source, facts, slots, &mut edges).await?);
    let edges: Vec<Edge> = edges
        .into_iter()
        .map(|edge| Edge {
            first: mover(&references.carried, edge.first, &edge.first_columns),
            then: mover(&references.carried, edge.then, &edge.then_columns),
            ..edge
        })
        .chain(references.carried.iter().flat_map(|(row, all)| {
            all.iter().map(|carried| Edge {
                first: mover(&references.carried, carried.by, &carried.by_columns),
                first_columns: Vec::new(),
                then: *row,
                then_columns: Vec::new(),
                deferrable: None,
            })
        }))
        .collect();
    let none = Vec::new();
    let mut statements: BTreeMap<usize, Statement> = BTreeMap::new();
    for (number, slot) in slots.all().iter().enumerate() {
        let Some(table) = facts.tables.get(slot.table) else { continue };
        let carried = references.carried.get(&number).unwrap_or(&none);
        statements.extend(statement(table, slot, carried).map(|statement| (number, statement)));
    }
    let rows: BTreeMap<usize, Action> =
        statements.iter().map(|(number, statement)| (*number, statement.action)).collect();
    let ordered = order(&rows, &edges);
    for slot in ordered.circular.iter().filter_map(|number| slots.get(*number)) {
        if let Some(table) = facts.tables.get(slot.table) {
            found.push(
                of_slot(ConflictKind::NotOrderable, table, slot)
                    .detail("it depends on rows that depend on it, and no constraint between them can be deferred"),
            );
        }
    }
    let mut deferred: Vec<DeferrableConstraint> = references.deferred;
    deferred.extend(ordered.deferred);
    let mut deferred: Vec<Deferred> = deferred
        .iter()
        .map(|constraint| Deferred { name: constraint.quoted(), initially: constraint.initially })
        .collect();
    deferred.sort();
    deferred.dedup();
    let statements = ordered.rows.iter().filter_map(|row| statements.remove(row)).collect();
    Ok((Draft { statements, deferred }, found))
}

/// The row with whose statement these columns of a row change.
fn mover(carried: &BTreeMap<usize, Vec<Carried>>, row: usize, columns: &[String]) -> usize {
    let (mut row, mut columns) = (row, columns);
    // A row is carried by its parent, never by itself; the way up ends.
    for _ in 0..carried.len() {
        let by = carried.get(&row).and_then(|all| {
            all.iter().find(|one| {
                !columns.is_empty() && columns.iter().all(|column| one.columns.contains(column))
            })
        });
        match by {
            Some(one) => (row, columns) = (one.by, &one.by_columns),
            None => break,
        }
    }
    row
}
