//! Foreign keys: what refers to what, before and after.
//!
//! Rows of the plan that depend on each other become edges for their [order](super::order); rows outside
//! that would be left alone, or taken along, are conflicts.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::Deserialize;

use super::cells::{Cell, Cells};
use super::facts::{DeferrableConstraint, Facts, ForeignKey, Link, unreadable};
use super::order::Edge;
use super::simulate::Slot;
use super::slots::Slots;
use super::steps::Found;
use super::values::{numbered, of_slot};
use super::{Action, ConflictKind, RevertError};
use crate::record::sql::identifier;
use crate::record::{Database, Key, RecordError, Sql};

/// What foreign keys say about a plan.
#[derive(Debug, Default)]
pub(super) struct References {
    pub(super) found: Vec<Found>,
    pub(super) edges: Vec<Edge>,
    /// Columns that are set by `ON UPDATE CASCADE` when another row of the plan is written: by row,
    /// that other row, its columns, and the columns that are carried.
    pub(super) carried: BTreeMap<usize, Vec<Carried>>,
    /// What has to be deferred whatever the order.
    pub(super) deferred: Vec<DeferrableConstraint>,
}

/// Columns that follow those of another row.
#[derive(Clone, Debug)]
pub(super) struct Carried {
    pub(super) by: usize,
    pub(super) by_columns: Vec<String>,
    pub(super) columns: Vec<String>,
}

#[derive(Deserialize)]
struct Pair {
    n: usize,
    place: Option<String>,
    key: Option<Vec<String>>,
    other: Option<usize>,
}

/// Which end of a foreign key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Child,
    Parent,
}

impl Link {
    fn column(&self, end: End) -> &str {
        match end {
            End::Child => &self.child,
            End::Parent => &self.parent,
        }
    }
}

/// Asks who refers to whom, for each foreign key of the tables.
pub(super) async fn check<S: Database>(
    source: &mut S,
    facts: &Facts,
    slots: &Slots,
) -> Result<References, RevertError<S::Error>> {
    let mut references = References::default();
    for foreign_key in &facts.foreign_keys {
        leaving(source, facts, slots, foreign_key, &mut references).await?;
        arriving(source, facts, slots, foreign_key, &mut references).await?;
    }
    Ok(references)
}

/// Rows that others may refer to, and that go or get another key.
async fn leaving<S: Database>(
    source: &mut S,
    facts: &Facts,
    slots: &Slots,
    of: &ForeignKey,
    references: &mut References,
) -> Result<(), RevertError<S::Error>> {
    let Some(index) = facts.of_oid(of.parent.oid) else { return Ok(()) };
    let Some(table) = facts.tables.get(index) else { return Ok(()) };
    let parents: Vec<(usize, Vec<(String, &Cell)>)> = slots
        .of_table(index)
        .filter(|(_, slot)| {
            matches!(slot.action(), Some(Action::Delete)) || changes(of, End::Parent, slot)
        })
        .filter_map(|(number, slot)| {
            Some((number, tuple(of, End::Parent, &slot.live.as_ref()?.cells)?))
        })
        .collect();
    if parents.is_empty() {
        return Ok(());
    }
    let columns =
        |end| of.columns.iter().map(|link| link.column(end).to_owned()).collect::<Vec<_>>();
    let mut provided = None;
    for row in ask(source, &referring(of, numbered(parents))).await? {
        let pair: Pair = serde_json::from_str(&row).map_err(unreadable)?;
        let Some(parent) = slots.get(pair.n) else { continue };
        let child = pair.place.as_deref().and_then(|place| slots.at(place));
        if child == Some(pair.n) {
            continue;
        }
        let old = parent.live.as_ref().and_then(|live| tuple(of, End::Parent, &live.cells));
        let new = parent.now.as_ref().and_then(|now| tuple(of, End::Parent, now));
        if let Some((number, slot)) = child.and_then(|number| Some((number, slots.get(number)?))) {
            let refers = slot.now.as_ref().and_then(|now| tuple(of, End::Child, now));
            let refers = refers.as_deref().map(only_cells);
            if refers.is_some() && refers == new.as_deref().map(only_cells) && of.cascades_on_update
            {
                references.carried.entry(number).or_default().push(Carried {
                    by: pair.n,
                    by_columns: columns(End::Parent),
                    columns: columns(End::Child),
                });
                continue;
            }
            let acts = slot.action().is_some();
            if acts && (slot.now.is_none() || refers != old.as_deref().map(only_cells)) {
                let no_action = match parent.action() {
                    Some(Action::Delete) => of.no_action_on_delete,
                    _ => of.no_action_on_update,
                };
                references.edges.push(Edge {
                    first: number,
                    first_columns: columns(End::Child),
                    then: pair.n,
                    then_columns: columns(End::Parent),
                    deferrable: of.deferrable.clone().filter(|_| no_action),
                });
                continue;
            }
        }
        // Another row of the plan may come in its place, if the foreign key waits for it.
        if let Some(constraint) =
            of.deferrable.as_ref().filter(|_| of.no_action_on_delete && of.no_action_on_update)
        {
            let provided = provided.get_or_insert_with(|| provided_by(slots, index, of));
            if old.as_deref().is_some_and(|old| provided.contains(&only_cells(old))) {
                if !references.deferred.contains(constraint) {
                    references.deferred.push(constraint.clone());
                }
                continue;
            }
        }
        let key = pair.key.filter(|key| !key.is_empty()).map(Key::of);
        let by = key.map_or_else(
            || format!("a row of {}", of.child.name()),
            |key| format!("{} {key}", of.child.name()),
        );
        references.found.push(
            of_slot(ConflictKind::StillReferenced, table, parent)
                .columns(columns(End::Parent))
                .detail(format!("{by} refers to it ({})", of.name)),
        );
    }
    Ok(())
}

/// What rows of the plan will have for others to refer to.
fn provided_by<'a>(slots: &'a Slots, table: usize, of: &ForeignKey) -> HashSet<Vec<&'a Cell>> {
    slots
        .of_table(table)
        .filter(|(_, slot)| slot.live.is_none() || changes(of, End::Parent, slot))
        .filter_map(|(_, slot)| Some(only_cells(&tuple(of, End::Parent, slot.now.as_ref()?)?)))
        .collect()
}

/// Rows that will refer to another one, and do not yet.
async fn arriving<S: Database>(
    source: &mut S,
    facts: &Facts,
    slots: &Slots,
    of: &ForeignKey,
    references: &mut References,
) -> Result<(), RevertError<S::Error>> {
    let Some(index) = facts.of_oid(of.child.oid) else { return Ok(()) };
    let Some(table) = facts.tables.get(index) else { return Ok(()) };
    let arrives =
        |end, slot: &Slot| matches!(slot.action(), Some(Action::Insert)) || changes(of, end, slot);
    let of_end = |end, index| -> Vec<(usize, Vec<(String, &Cell)>)> {
        slots
            .of_table(index)
            .filter(|(_, slot)| arrives(end, slot))
            .filter_map(|(number, slot)| Some((number, tuple(of, end, slot.now.as_ref()?)?)))
            .collect()
    };
    let children = of_end(End::Child, index);
    if children.is_empty() {
        return Ok(());
    }
    let mut lacking: BTreeSet<usize> = children.iter().map(|(number, _)| *number).collect();
    let parents =
        facts.of_oid(of.parent.oid).map_or_else(Vec::new, |index| of_end(End::Parent, index));
    let columns =
        |end| of.columns.iter().map(|link| link.column(end).to_owned()).collect::<Vec<_>>();
    for row in ask(source, &referred(of, numbered(children), numbered(parents))).await? {
        let pair: Pair = serde_json::from_str(&row).map_err(unreadable)?;
        if let Some(parent) = pair.other {
            lacking.remove(&pair.n);
            references.edges.push(Edge {
                first: parent,
                first_columns: columns(End::Parent),
                then: pair.n,
                then_columns: columns(End::Child),
                deferrable: of.deferrable.clone(),
            });
            continue;
        }
        let parent = pair.place.as_deref().and_then(|place| slots.at(place));
        let goes = parent.and_then(|number| slots.get(number)).is_some_and(|slot| {
            matches!(slot.action(), Some(Action::Delete)) || changes(of, End::Parent, slot)
        });
        if !goes {
            lacking.remove(&pair.n);
        }
    }
    for slot in lacking.iter().filter_map(|number| slots.get(*number)) {
        references.found.push(
            of_slot(ConflictKind::ParentMissing, table, slot)
                .columns(columns(End::Child))
                .detail(format!("there is no such row in {} ({})", of.parent.name(), of.name)),
        );
    }
    Ok(())
}

/// Whether the row is updated in columns of the foreign key.
fn changes(of: &ForeignKey, end: End, slot: &Slot) -> bool {
    let set = slot.set();
    of.columns.iter().any(|link| set.contains(&link.column(end)))
}

/// The values of the foreign key; none where one is null, or is not known.
fn tuple<'a>(of: &ForeignKey, end: End, cells: &'a Cells) -> Option<Vec<(String, &'a Cell)>> {
    of.columns
        .iter()
        .enumerate()
        .map(|(place, link)| {
            let cell = cells.get(link.column(end))?;
            let known = cell.as_json().is_some() && !cell.is_null();
            known.then(|| (format!("k{place}"), cell))
        })
        .collect()
}

fn only_cells<'a>(tuple: &[(String, &'a Cell)]) -> Vec<&'a Cell> {
    tuple.iter().map(|(_, cell)| *cell).collect()
}

async fn ask<S: Database>(source: &mut S, sql: &Sql) -> Result<Vec<String>, RevertError<S::Error>> {
    let failed = |source| RecordError::Database { doing: "look for references", source };
    Ok(source.query(sql).await.map_err(failed)?)
}

/// `FROM (…) AS alias (n, k0, k1)`, of rows as parameters.
fn input(sql: &mut Sql, of: &ForeignKey, end: End, rows: String, alias: &str) {
    let typed: Vec<String> = of
        .columns
        .iter()
        .enumerate()
        .map(|(place, link)| {
            let declared = match end {
                End::Child => &link.child_type,
                End::Parent => &link.parent_type,
            };
            format!("k{place} {declared}")
        })
        .collect();
    sql.push("(SELECT (e.v ->> 'n')::int AS n, x.* FROM jsonb_array_elements(");
    sql.bind(rows);
    sql.push(&format!(
        "::jsonb) AS e (v) CROSS JOIN LATERAL jsonb_to_record(e.v -> 'r') AS x ({})) AS {alias}",
        typed.join(", ")
    ));
}

/// `parent = child` for all columns.
fn joined(
    of: &ForeignKey,
    parent: impl Fn(usize, &Link) -> String,
    child: impl Fn(usize, &Link) -> String,
) -> String {
    let all: Vec<String> = of
        .columns
        .iter()
        .enumerate()
        .map(|(place, link)| {
            format!("{} {} {}", parent(place, link), link.equals, child(place, link))
        })
        .collect();
    all.join(" AND ")
}

/// The live rows that refer to these.
fn referring(of: &ForeignKey, parents: String) -> Sql {
    let key: Vec<String> =
        of.child.key.iter().map(|name| format!("t.{}::text", identifier(name))).collect();
    let mut sql = Sql::new(format!(
        "SELECT jsonb_build_object('n', p.n, 'place', t.tableoid::text || t.ctid::text, \
         'key', jsonb_build_array({}))::text FROM ",
        key.join(", ")
    ));
    input(&mut sql, of, End::Parent, parents, "p");
    let on = joined(
        of,
        |place, _| format!("p.k{place}"),
        |_, link| format!("t.{}", identifier(&link.child)),
    );
    sql.push(&format!(" JOIN {} AS t ON {on}", of.child.only()));
    sql
}

/// The live rows, and those of the plan, that these refer to.
fn referred(of: &ForeignKey, children: String, parents: String) -> Sql {
    let mut sql = Sql::new(
        "SELECT jsonb_build_object('n', c.n, 'place', t.tableoid::text || t.ctid::text)::text FROM ",
    );
    input(&mut sql, of, End::Child, children.clone(), "c");
    let child = |place: usize, _: &Link| format!("c.k{place}");
    let on = joined(of, |_, link| format!("t.{}", identifier(&link.parent)), child);
    sql.push(&format!(
        " JOIN {} AS t ON {on} UNION ALL \
         SELECT jsonb_build_object('n', c.n, 'other', p.n)::text FROM ",
        of.parent.only()
    ));
    input(&mut sql, of, End::Child, children, "c");
    sql.push(" JOIN ");
    input(&mut sql, of, End::Parent, parents, "p");
    let on = joined(of, |place, _| format!("p.k{place}"), child);
    sql.push(&format!(" ON {on}"));
    sql
}
