//! The steps back, carried out on copies of the live rows.
//!
//! It knows nothing of foreign keys and unique values: those are of the end, and checked there.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::cells::Cells;
use super::facts::{Facts, Table};
use super::live::{Live, LiveRow};
use super::steps::{Act, Found, Step, all};
use super::{Action, ConflictKind, OnConflict};
use crate::ChangeId;
use crate::record::Key;

/// A row, as it is in the source and as it will be.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) table: usize,
    pub(super) group: usize,
    /// The change that it was last about.
    pub(super) change: ChangeId,
    pub(super) live: Option<LiveRow>,
    pub(super) now: Option<Cells>,
    pub(super) key: Option<Key>,
    /// Columns that the set touched.
    pub(super) touched: BTreeSet<String>,
}

impl Slot {
    /// What becomes of it; none where all is as it was.
    pub(super) fn action(&self) -> Option<Action> {
        match (&self.live, &self.now) {
            (None, None) => None,
            (None, Some(_)) => Some(Action::Insert),
            (Some(_), None) => Some(Action::Delete),
            (Some(_), Some(_)) => (!self.set().is_empty()).then_some(Action::Update),
        }
    }

    /// The columns that get other values.
    pub(super) fn set(&self) -> Vec<&str> {
        let (Some(live), Some(now)) = (&self.live, &self.now) else { return Vec::new() };
        now.iter()
            .filter(|(name, cell)| live.cells.get(*name).is_some_and(|was| was != *cell))
            .map(|(name, _)| name.as_str())
            .collect()
    }

    /// The key by which the source has it, or will have it.
    pub(super) fn shown_key(&self) -> Option<&Key> {
        self.live.as_ref().map_or(self.key.as_ref(), |live| live.key.as_ref())
    }
}

/// What comes of the steps.
#[derive(Debug, Default)]
pub(super) struct Simulation {
    pub(super) slots: Vec<Slot>,
    pub(super) found: Vec<Found>,
    /// Rows that are there. Several may have one key for a while: keys trade places, where the
    /// constraint waits.
    by_key: HashMap<(usize, Key), Vec<usize>>,
    /// Rows that are gone, by the key that they had last.
    left: HashMap<(usize, Key), usize>,
    by_row: HashMap<(usize, String), Vec<usize>>,
}

impl Simulation {
    /// Carries the steps out, but those of the `excluded` groups.
    pub(super) fn run(
        facts: &Facts,
        live: &Live,
        steps: &[Step],
        excluded: &HashSet<usize>,
        on_conflict: OnConflict,
    ) -> Self {
        let mut simulation = Self::default();
        let mut ended: HashSet<usize> = excluded.clone();
        simulation.take_in(facts, live, steps, excluded);
        for step in steps {
            if ended.contains(&step.group) {
                continue;
            }
            let Some(table) = facts.tables.get(step.table) else { continue };
            let force = on_conflict == OnConflict::Force;
            if let Some(found) = simulation.step(table, step, force) {
                if found.ends && !(force && found.forcible) {
                    ended.insert(step.group);
                }
                simulation.found.push(found);
            }
        }
        let taken = simulation.settle(facts, on_conflict == OnConflict::Force);
        ended.extend(taken);
        // Of those nothing more can be said.
        simulation.slots.retain(|slot| !ended.contains(&slot.group));
        simulation
    }

    /// The live rows, each in its slot, in the order in which the steps are about them.
    fn take_in(&mut self, facts: &Facts, live: &Live, steps: &[Step], excluded: &HashSet<usize>) {
        let mut first: HashMap<(usize, String), usize> = HashMap::new();
        for (number, step) in steps.iter().enumerate() {
            for key in [&step.key, &step.previous].into_iter().flatten() {
                first.entry((step.table, key.as_str().to_owned())).or_insert(number);
            }
            if step.key.is_none()
                && let Act::Created { after } | Act::Updated { after, .. } = &step.act
            {
                first.entry((step.table, all(after))).or_insert(number);
            }
        }
        let mut rows: Vec<(usize, usize, String, &LiveRow)> = Vec::new();
        for (table, _) in facts.tables.iter().enumerate() {
            for row in live.rows.get(&table).into_iter().flatten() {
                let name = row.key.as_ref().map_or_else(|| all(&row.cells), Key::to_string);
                if let Some(number) = first.get(&(table, name.clone())) {
                    rows.push((*number, table, name, row));
                }
            }
        }
        rows.sort_by_key(|(number, ..)| *number);
        for (number, table, name, row) in rows {
            let Some(step) = steps.get(number).filter(|step| !excluded.contains(&step.group))
            else {
                continue;
            };
            let place = self.slots.len();
            match &row.key {
                Some(key) => self.by_key.entry((table, key.clone())).or_default().push(place),
                None => self.by_row.entry((table, name)).or_default().push(place),
            }
            self.slots.push(Slot {
                table,
                group: step.group,
                change: step.change,
                now: Some(row.cells.clone()),
                key: row.key.clone(),
                live: Some(row.clone()),
                touched: BTreeSet::new(),
            });
        }
    }

    fn step(&mut self, table: &Table, step: &Step, force: bool) -> Option<Found> {
        let place = match &step.act {
            Act::Created { after } | Act::Updated { after, .. } => self.find(table, step, after),
            Act::Deleted { before } => {
                self.put_back(table, step, before);
                return None;
            }
        };
        let Some(place) = place else {
            let missing = || {
                Found::new(ConflictKind::RowMissing, table.name())
                    .of(step)
                    .detail("the row that the change left is gone")
            };
            return Some(match &step.act {
                Act::Updated { before, whole: true, .. }
                    if force && step.key.is_some() && is_whole(table, before) =>
                {
                    // All of the row of before is known.
                    self.put_back(table, &step.before(), before);
                    missing().forcible()
                }
                // It is gone already.
                Act::Created { .. } => missing().forcible().ends(),
                _ => missing().ends(),
            });
        };
        let (expected, touched): (&Cells, Vec<&String>) = match &step.act {
            Act::Created { after } => (after, after.keys().collect()),
            Act::Updated { after, touched, .. } => (after, touched.iter().collect()),
            Act::Deleted { .. } => return None,
        };
        let slot = self.slots.get_mut(place)?;
        slot.change = step.change;
        slot.touched.extend(touched.iter().map(|name| (*name).clone()));
        let mut differing = differing(table, slot, expected, &touched);
        if matches!(step.act, Act::Created { .. }) {
            differing.extend(columns_since(table, slot, expected));
        }
        let found = (!differing.is_empty()).then(|| {
            Found::new(ConflictKind::RowChanged, table.name())
                .of(step)
                .columns(differing)
                .detail("something that is not to be reverted changed it")
                .forcible()
        });
        let text = slot.now.as_ref().map(all);
        let key = slot.key.clone();
        match &step.act {
            Act::Updated { before, touched, .. } => {
                if let Some(now) = &mut slot.now {
                    for name in touched {
                        let known = table.column(name).is_some_and(|column| !column.ignored);
                        if let Some(cell) = before.get(name).filter(|_| known) {
                            now.insert(name.clone(), cell.clone());
                        }
                    }
                }
                match &step.previous {
                    Some(previous) => {
                        slot.key = Some(previous.clone());
                        self.vacate(step.table, key, place);
                        self.by_key.entry((step.table, previous.clone())).or_default().push(place);
                    }
                    None if key.is_none() => {
                        let text_now = self.slots.get(place)?.now.as_ref().map(all);
                        self.forget(step.table, text, place);
                        if let Some(text) = text_now {
                            self.by_row.entry((step.table, text)).or_default().push(place);
                        }
                    }
                    None => {}
                }
            }
            Act::Created { .. } | Act::Deleted { .. } => {
                slot.now = None;
                match key {
                    Some(key) => {
                        self.vacate(step.table, Some(key.clone()), place);
                        self.left.insert((step.table, key), place);
                    }
                    None => self.forget(step.table, text, place),
                }
            }
        }
        found
    }

    /// The row that a change left.
    fn find(&self, table: &Table, step: &Step, after: &Cells) -> Option<usize> {
        let Some(key) = &step.key else {
            // Rows that are the same in all columns cannot be told apart: any of them is it.
            return self.by_row.get(&(step.table, all(after)))?.last().copied();
        };
        let places = self.by_key.get(&(step.table, key.clone()))?;
        let names: Vec<&String> = after.keys().collect();
        let same = |place: &&usize| {
            let slot = self.slots.get(**place);
            slot.is_some_and(|slot| differing(table, slot, after, &names).is_empty())
        };
        match places.as_slice() {
            [only] => Some(*only),
            several => several.iter().find(same).or(several.last()).copied(),
        }
    }

    fn vacate(&mut self, table: usize, key: Option<Key>, place: usize) {
        if let Some(places) = key.and_then(|key| self.by_key.get_mut(&(table, key))) {
            places.retain(|other| *other != place);
        }
    }

    /// Of several rows that have one key in the end, one has to go back otherwise, or not at all. Gives
    /// the groups of which nothing more can be said.
    fn settle(&mut self, facts: &Facts, force: bool) -> Vec<usize> {
        let mut ended = Vec::new();
        let taken = self.by_key.iter().filter(|(_, places)| places.len() > 1);
        let mut taken: Vec<_> = taken.map(|(at, places)| (at.clone(), places.clone())).collect();
        taken.sort();
        for ((index, key), places) in taken {
            let Some(table) = facts.tables.get(index) else { continue };
            let stays = |place: &usize| {
                let live = self.slots.get(*place).and_then(|slot| slot.live.as_ref());
                live.is_some_and(|live| live.key.as_ref() == Some(&key))
            };
            let there = places.iter().copied().find(stays);
            for place in places.iter().copied().filter(|place| Some(*place) != there) {
                let Some(slot) = self.slots.get_mut(place) else { continue };
                let mut found = Found::new(ConflictKind::KeyTaken, table.name())
                    .key(Some(key.clone()))
                    .change(slot.change)
                    .group(slot.group)
                    .columns(table.key.iter().cloned())
                    .detail("another row has the key that the row had before");
                // The row that is there becomes the one of before.
                let back = if slot.live.is_none() { slot.now.clone() } else { None };
                match (back, there) {
                    (Some(row), Some(there)) => {
                        found = found.forcible();
                        if force {
                            slot.now = None;
                            if let Some(slot) = self.slots.get_mut(there) {
                                slot.touched.extend(row.keys().cloned());
                                overwrite(table, slot, row);
                            }
                        } else {
                            ended.extend(&found.groups);
                        }
                    }
                    _ => ended.extend(&found.groups),
                }
                self.found.push(found);
            }
        }
        ended
    }

    fn forget(&mut self, table: usize, text: Option<String>, place: usize) {
        if let Some(places) = text.and_then(|text| self.by_row.get_mut(&(table, text))) {
            places.retain(|other| *other != place);
        }
    }

    /// A row comes back.
    fn put_back(&mut self, table: &Table, step: &Step, before: &Cells) {
        let mut row = before.clone();
        // What has no place any more is left out, where that was wanted.
        row.retain(|name, _| table.column(name).is_some());
        let place = self.slots.len();
        let Some(key) = &step.key else {
            self.by_row.entry((step.table, all(&row))).or_default().push(place);
            self.slots.push(inserted(step, row));
            return;
        };
        let at = (step.table, key.clone());
        // The row that is there under that key is given up by the set: it becomes the one of before.
        let left = self.left.remove(&at).filter(|place| {
            let live = self.slots.get(*place).and_then(|slot| slot.live.as_ref());
            live.is_none_or(|live| {
                live.key.as_ref() == Some(key) && can_become(table, &live.cells, &row)
            })
        });
        if let Some(slot) = left.and_then(|place| self.slots.get_mut(place)) {
            slot.change = step.change;
            slot.key = Some(key.clone());
            slot.touched.extend(row.keys().cloned());
            slot.now = slot.live.as_ref().map(|live| live.cells.clone());
            overwrite(table, slot, row);
            self.by_key.entry(at).or_default().extend(left);
            return;
        }
        self.by_key.entry(at).or_default().push(place);
        self.slots.push(inserted(step, row));
    }
}

impl Step {
    /// The same row under the key that it had before.
    fn before(&self) -> Self {
        Self {
            change: self.change,
            table: self.table,
            group: self.group,
            key: self.previous.clone().or_else(|| self.key.clone()),
            previous: None,
            act: Act::Deleted { before: Cells::new() },
        }
    }
}

fn inserted(step: &Step, row: Cells) -> Slot {
    Slot {
        table: step.table,
        group: step.group,
        change: step.change,
        live: None,
        now: Some(row),
        key: step.key.clone(),
        touched: BTreeSet::new(),
    }
}

/// Whether a row can get the values of another one by an UPDATE.
fn can_become(table: &Table, live: &Cells, row: &Cells) -> bool {
    let mut always = table.columns.iter().filter(|column| column.always);
    always.all(|column| live.get(&column.name) == row.get(&column.name))
}

/// Gives a row that is there the values of another one. Ignored columns keep theirs.
fn overwrite(table: &Table, slot: &mut Slot, row: Cells) {
    match &mut slot.now {
        Some(now) if slot.live.is_some() => now.extend(row.into_iter().filter(|(name, _)| {
            table.column(name).is_some_and(|column| !column.ignored && !column.masked)
        })),
        now => *now = Some(row),
    }
}

/// Whether a row could be inserted from these values.
fn is_whole(table: &Table, row: &Cells) -> bool {
    table.columns.iter().all(|column| {
        column.generated
            || (!column.masked
                && (row.contains_key(&column.name) || !column.not_null || column.fills_itself))
    })
}

/// The columns that are not as they are expected to be.
fn differing(table: &Table, slot: &Slot, expected: &Cells, touched: &[&String]) -> Vec<String> {
    let compared = |name: &&&String| {
        table.column(name).is_some_and(|column| !column.ignored && !column.masked)
    };
    touched
        .iter()
        .filter(compared)
        .filter(|name| {
            let now = slot.now.as_ref().and_then(|now| now.get(**name));
            now != expected.get(**name)
        })
        .map(|name| (*name).clone())
        .collect()
}

/// The columns that came after the row, and that somebody has filled since.
fn columns_since(table: &Table, slot: &Slot, after: &Cells) -> Vec<String> {
    let Some(live) = &slot.live else { return Vec::new() };
    table
        .columns
        .iter()
        .filter(|column| !column.ignored && !column.masked && !column.generated)
        .filter(|column| !after.contains_key(&column.name))
        .filter(|column| {
            let is_null = live.cells.get(&column.name).is_none_or(super::cells::Cell::is_null);
            let text = live.texts.get(&column.name).cloned().flatten();
            !is_null && (column.missing.is_none() || column.missing != text)
        })
        .map(|column| column.name.clone())
        .collect()
}
