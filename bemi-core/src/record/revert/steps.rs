//! The changes of a set as steps back, the newest first.
//!
//! What the record or the catalog alone forbids is found here.

use std::collections::{BTreeSet, HashMap};

use super::cells::{Cell, Cells, object, recorded};
use super::emptied::{Emptied, Gone};
use super::facts::{Facts, Form, Table};
use super::{Conflict, ConflictKind, Handling, ReversibleSet};
use crate::record::{Key, TableName};
use crate::{Change, ChangeId, Operation};

/// A step back.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) change: ChangeId,
    /// Its place in [`Facts::tables`].
    pub(super) table: usize,
    /// The rows that one row was meanwhile; all of them stay as they are, or none.
    pub(super) group: usize,
    pub(super) key: Option<Key>,
    pub(super) previous: Option<Key>,
    pub(super) act: Act,
}

/// What happened, and is to be taken back.
#[derive(Debug)]
pub(super) enum Act {
    Created { after: Cells },
    Updated { before: Cells, after: Cells, touched: Vec<String>, whole: bool },
    Deleted { before: Cells },
}

/// A conflict, and the rows that cannot go back because of it.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) conflict: Conflict,
    pub(super) groups: Vec<usize>,
    /// Whether the plan can go on in spite of it, where that is wanted.
    pub(super) forcible: bool,
    /// Whether nothing more can be said of these rows.
    pub(super) ends: bool,
}

impl Found {
    pub(super) fn new(kind: ConflictKind, table: TableName) -> Self {
        Self {
            conflict: Conflict {
                kind,
                table,
                key: None,
                change: None,
                columns: Vec::new(),
                detail: String::new(),
                handling: Handling::Blocks,
            },
            groups: Vec::new(),
            forcible: false,
            ends: false,
        }
    }

    pub(super) fn of(mut self, step: &Step) -> Self {
        self.conflict.key.clone_from(&step.key);
        self.conflict.change = Some(step.change);
        self.groups.push(step.group);
        self
    }

    pub(super) fn key(mut self, key: Option<Key>) -> Self {
        self.conflict.key = key;
        self
    }

    pub(super) fn change(mut self, change: ChangeId) -> Self {
        self.conflict.change = Some(change);
        self
    }

    pub(super) fn group(mut self, group: usize) -> Self {
        self.groups.push(group);
        self
    }

    pub(super) fn columns<T: Into<String>>(mut self, columns: impl IntoIterator<Item = T>) -> Self {
        self.conflict.columns = columns.into_iter().map(Into::into).collect();
        self
    }

    pub(super) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.conflict.detail = detail.into();
        self
    }

    pub(super) fn forcible(mut self) -> Self {
        self.forcible = true;
        self
    }

    pub(super) fn ends(mut self) -> Self {
        self.ends = true;
        self
    }
}

/// All steps of a set, and what forbids them.
#[derive(Debug, Default)]
pub(super) struct Steps {
    pub(super) steps: Vec<Step>,
    pub(super) found: Vec<Found>,
}

impl Steps {
    /// Of the set, against the tables as they are.
    pub(super) fn of(set: &ReversibleSet, facts: &Facts) -> Self {
        let mut groups = Groups::default();
        let mut steps = Self::default();
        let mut told = BTreeSet::new();
        for change in &set.changes {
            if matches!(change.operation, Operation::Snapshot | Operation::Ddl) {
                continue;
            }
            let name = TableName::new(&change.schema, &change.table);
            let Some(index) = facts.index(&name) else {
                if told.insert(name.clone()) {
                    steps.found.push(
                        Found::new(ConflictKind::SchemaChanged, name)
                            .detail("there is no such table"),
                    );
                }
                continue;
            };
            let Some(table) = facts.tables.get(index) else { continue };
            // Without a key, a row is known by all its columns.
            let masked: Vec<&str> = masked(table)
                .filter(|column| table.key.is_empty() || table.key.iter().any(|key| key == column))
                .collect();
            if !masked.is_empty() {
                if told.insert(name.clone()) {
                    steps.found.push(
                        Found::new(ConflictKind::IncompleteRecord, name)
                            .columns(masked)
                            .detail("what tells rows apart is masked: the record does not say which rows these are"),
                    );
                }
                continue;
            }
            let empty = Vec::new();
            let encoded = change.encoded.as_ref().unwrap_or(&empty);
            match set.emptied.get(&change.id) {
                Some(emptied) => steps.put_back(change, index, table, emptied, &mut groups),
                None => {
                    let after = cells(table, recorded(&change.after, encoded));
                    let before = cells(table, recorded(&change.before, encoded));
                    let act = match change.operation {
                        Operation::Create => Act::Created { after },
                        Operation::Delete => Act::Deleted { before },
                        _ => {
                            let touched = before
                                .iter()
                                .filter(|(name, was)| after.get(*name).is_some_and(|is| is != *was))
                                .map(|(name, _)| name.clone())
                                .collect();
                            let whole = change.unavailable.is_none();
                            Act::Updated { before, after, touched, whole }
                        }
                    };
                    let keys = (
                        change.primary_key.clone().map(Key::from),
                        change.previous_key.clone().map(Key::from),
                    );
                    steps.add(change, index, table, keys, act, &mut groups);
                }
            }
        }
        for step in &mut steps.steps {
            step.group = groups.root(step.group);
        }
        for found in &mut steps.found {
            for group in &mut found.groups {
                *group = groups.root(*group);
            }
        }
        steps
    }

    /// The rows that a TRUNCATE took away come back.
    fn put_back(
        &mut self,
        change: &Change,
        index: usize,
        table: &Table,
        emptied: &Emptied,
        groups: &mut Groups,
    ) {
        let lacks = |detail: String| {
            Found::new(ConflictKind::IncompleteRecord, table.name())
                .change(change.id)
                .detail(format!("of the rows that TRUNCATE took away: {detail}"))
        };
        self.found.extend(emptied.lacks.clone().map(lacks));
        for Gone { key, row } in &emptied.rows {
            match row {
                Ok(row) => {
                    let encoded = texts(table);
                    let before = cells(table, recorded(row, &encoded));
                    let unsure = ambiguous(table, &before);
                    if !unsure.is_empty() {
                        let why = "the value may be its text".to_owned();
                        self.found.push(lacks(why).key(key.clone()).columns(unsure));
                        continue;
                    }
                    let keys = (key.clone(), None);
                    self.add(change, index, table, keys, Act::Deleted { before }, groups);
                }
                Err(why) => self.found.push(lacks(why.clone()).key(key.clone())),
            }
        }
    }

    fn add(
        &mut self,
        change: &Change,
        index: usize,
        table: &Table,
        (key, previous): (Option<Key>, Option<Key>),
        act: Act,
        groups: &mut Groups,
    ) {
        let group = match (&key, &act) {
            (Some(key), _) => {
                groups.of(index, [Some(key.as_str()), previous.as_ref().map(Key::as_str)])
            }
            (None, Act::Created { after: row } | Act::Deleted { before: row }) => {
                groups.of(index, [Some(&all(row)), None])
            }
            (None, Act::Updated { before, after, .. }) => {
                groups.of(index, [Some(&all(after)), Some(&all(before))])
            }
        };
        let step = Step { change: change.id, table: index, group, key, previous, act };
        let truncated = change.operation == Operation::Truncate;
        self.found.extend(incomplete(&step, table, change.before_complete || truncated));
        self.steps.push(step);
    }
}

/// The row, as what a row without a key is known by.
pub(super) fn all(row: &Cells) -> String {
    object(row.iter().map(|(name, cell)| (name.as_str(), cell)))
}

fn masked(table: &Table) -> impl Iterator<Item = &str> {
    table.columns.iter().filter(|column| column.masked).map(|column| column.name.as_str())
}

/// Columns whose values the record always has as text.
fn texts(table: &Table) -> Vec<String> {
    let texts = table.columns.iter().filter(|column| column.form == Form::Text);
    texts.map(|column| column.name.clone()).collect()
}

/// Columns of json whose value is a string that may be the text of one that `jsonb` cannot hold: where
/// it is not said which.
fn ambiguous<'a>(table: &'a Table, before: &Cells) -> Vec<&'a str> {
    table
        .columns
        .iter()
        .filter(|column| column.form == Form::Json)
        .filter(|column| {
            let json = before.get(&column.name).and_then(Cell::as_json);
            let text = json.and_then(|json| serde_json::from_str::<String>(json).ok());
            text.is_some_and(|text| {
                serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok()
            })
        })
        .map(|column| column.name.as_str())
        .collect()
}

/// Without generated columns, which nobody writes.
fn cells(table: &Table, mut cells: Cells) -> Cells {
    cells.retain(|name, _| !table.column(name).is_some_and(|column| column.generated));
    cells
}

/// What the record lacks for a step, or the table for the record.
fn incomplete(step: &Step, table: &Table, whole: bool) -> Vec<Found> {
    let mut found = Vec::new();
    let lacks = || Found::new(ConflictKind::IncompleteRecord, table.name()).of(step).ends();
    let changed = || Found::new(ConflictKind::SchemaChanged, table.name()).of(step);
    match (&step.key, table.key.is_empty()) {
        (None, false) => found.push(lacks().detail("the record has no key for this row")),
        (Some(_), true) => {
            found.push(changed().detail("the table has no key any more").ends());
        }
        _ => {}
    }
    let (needed, written): (Vec<&String>, &Cells) = match &step.act {
        Act::Created { after } => {
            if table.key.is_empty() {
                found.extend(other_shape(step, table, after));
            }
            return found;
        }
        Act::Updated { before, touched, .. } => (touched.iter().collect(), before),
        Act::Deleted { before } => (before.keys().collect(), before),
    };
    if !whole {
        found.push(lacks().detail(
            "the table's replica identity did not tell the row before; see `setup --replica-identity full`",
        ));
        return found;
    }
    let gone: Vec<&str> = needed
        .iter()
        .filter(|name| table.column(name).is_none())
        .map(|name| name.as_str())
        .collect();
    if !gone.is_empty() {
        found.push(changed().columns(gone).detail("the column is gone").forcible());
    }
    let hidden: Vec<&str> = match &step.act {
        Act::Deleted { .. } => masked(table).collect(),
        _ => masked(table).filter(|name| needed.iter().any(|needed| needed == name)).collect(),
    };
    if !hidden.is_empty() {
        found.push(lacks().columns(hidden).detail("the column is masked or left out"));
    }
    let unreadable: Vec<&str> = needed
        .iter()
        .filter(|name| {
            let nested = table.column(name).is_some_and(|column| column.form == Form::Nested);
            nested && written.get(**name).is_some_and(|cell| cell.as_text().is_some())
        })
        .map(|name| name.as_str())
        .collect();
    if !unreadable.is_empty() {
        found.push(
            lacks()
                .columns(unreadable)
                .detail("the record has its text, which cannot be read back for certain"),
        );
    }
    if table.key.is_empty() {
        found.extend(other_shape(step, table, written));
    }
    if let Act::Deleted { before } = &step.act {
        let empty: Vec<&str> = table
            .columns
            .iter()
            .filter(|column| column.not_null && !column.generated && !column.masked)
            .filter(|column| match before.get(&column.name) {
                Some(cell) => cell.is_null(),
                None => !column.fills_itself,
            })
            .map(|column| column.name.as_str())
            .collect();
        if !empty.is_empty() {
            found.push(changed().columns(empty).detail("the column must not be null now").ends());
        }
    }
    found
}

/// Rows without a key are known by all their columns: those must be the same.
fn other_shape(step: &Step, table: &Table, row: &Cells) -> Option<Found> {
    let columns: BTreeSet<&str> = table
        .columns
        .iter()
        .filter(|column| !column.generated)
        .map(|column| column.name.as_str())
        .collect();
    let recorded: BTreeSet<&str> = row.keys().map(String::as_str).collect();
    let differing: Vec<&str> = columns.symmetric_difference(&recorded).copied().collect();
    (!differing.is_empty()).then(|| {
        Found::new(ConflictKind::SchemaChanged, table.name())
            .of(step)
            .columns(differing)
            .detail("the table has no key, and other columns than then")
            .ends()
    })
}

/// Which keys belonged to one row, or to several that followed each other.
#[derive(Debug, Default)]
struct Groups {
    by_name: HashMap<(usize, String), usize>,
    parents: Vec<usize>,
}

impl Groups {
    fn of(&mut self, table: usize, names: [Option<&str>; 2]) -> usize {
        let mut group = None;
        for name in names.into_iter().flatten() {
            let next = self.parents.len();
            let known = *self.by_name.entry((table, name.to_owned())).or_insert(next);
            if known == next {
                self.parents.push(next);
            }
            let root = self.root(known);
            match group {
                None => group = Some(root),
                Some(first) => {
                    if let Some(parent) = self.parents.get_mut(root) {
                        *parent = first;
                    }
                }
            }
        }
        group.unwrap_or_default()
    }

    fn root(&mut self, of: usize) -> usize {
        let mut root = of;
        while let Some(parent) = self.parents.get(root).copied().filter(|parent| *parent != root) {
            root = parent;
        }
        // The way is shorter the next time.
        if let Some(parent) = self.parents.get_mut(of) {
            *parent = root;
        }
        root
    }
}

/// Columns that some change of a table has as text.
pub(super) fn encoded_columns(steps: &[Step], table: usize) -> BTreeSet<String> {
    let mut encoded = BTreeSet::new();
    let mut add = |cells: &Cells| {
        let texts = cells.iter().filter(|(_, cell): &(&String, &Cell)| cell.as_text().is_some());
        encoded.extend(texts.map(|(name, _)| name.clone()));
    };
    for step in steps.iter().filter(|step| step.table == table) {
        match &step.act {
            Act::Created { after: row } | Act::Deleted { before: row } => add(row),
            Act::Updated { before, after, .. } => {
                add(before);
                add(after);
            }
        }
    }
    encoded
}
