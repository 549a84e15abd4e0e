//! The statement for a row.
//!
//! It finds the row by its key, and hits it only if every column that the revert is about still is
//! what the plan saw. Where a key does not tell rows apart, since there is none or its constraint can
//! wait, a row is found by all its columns: of rows that are the same, any is it.

use std::collections::BTreeSet;

use super::cells::{Cell, Cells, object};
use super::facts::{Form, Table};
use super::live::{LiveRow, by_text, parts, readable, written};
use super::references::Carried;
use super::simulate::Slot;
use super::text::Text;
use super::{Action, ColumnChange, Statement};
use crate::record::sql::identifier;

/// The statement for a row that changes.
pub(super) fn statement(table: &Table, slot: &Slot, carried: &[Carried]) -> Option<Statement> {
    let statement = |action, columns, text| {
        let key = slot.shown_key().cloned();
        Some(Statement { table: table.name(), key, action, columns, text })
    };
    match (slot.action()?, &slot.live, &slot.now) {
        (Action::Insert, _, Some(now)) => {
            let columns = now.iter().map(|(name, cell)| change(name, None, Some(cell))).collect();
            statement(Action::Insert, columns, insert(table, now))
        }
        (Action::Delete, Some(live), _) => {
            let seen = Seen::of(live);
            let all: BTreeSet<&str> = compared(table).collect();
            let mut text = Text::new(format!("DELETE FROM {} AS t WHERE ", table.only()));
            seen.find(table, &all, &mut text);
            let columns =
                live.cells.iter().map(|(name, cell)| change(name, Some(cell), None)).collect();
            statement(Action::Delete, columns, text)
        }
        (_, Some(live), Some(now)) => {
            let carried: BTreeSet<&str> = carried
                .iter()
                .flat_map(|carried| carried.columns.iter().map(String::as_str))
                .collect();
            let seen = Seen::after(table, live, slot, now, &carried);
            let (followed, set): (Vec<&str>, Vec<&str>) =
                slot.set().into_iter().partition(|name| carried.contains(name));
            let action = if set.is_empty() { Action::Follow } else { Action::Update };
            let mut text = match action {
                Action::Follow => Text::new(format!("SELECT 1 FROM {} AS t", table.only())),
                _ => update(table, &set, now),
            };
            text.push(" WHERE ");
            let mut guarded: BTreeSet<&str> = compared(table)
                .filter(|name| slot.touched.contains(*name) || slot.set().contains(name))
                .collect();
            guarded.extend(&followed);
            seen.find(table, &guarded, &mut text);
            let shown = if set.is_empty() { followed } else { set };
            let columns = shown
                .into_iter()
                .map(|name| change(name, live.cells.get(name), now.get(name)))
                .collect();
            statement(action, columns, text)
        }
        _ => None,
    }
}

fn change(name: &str, from: Option<&Cell>, to: Option<&Cell>) -> ColumnChange {
    ColumnChange { column: name.to_owned(), from: from.map(Cell::to_raw), to: to.map(Cell::to_raw) }
}

/// The columns that say whether a row is what it was.
fn compared(table: &Table) -> impl Iterator<Item = &str> {
    readable(table).filter(|column| !column.ignored).map(|column| column.name.as_str())
}

/// How a column gets its value.
enum Source {
    /// From the row that `jsonb_populate_record` makes.
    Row,
    /// From an object, by the functions of hstore.
    Hstore,
    /// From the server's text.
    Text,
}

fn source(table: &Table, name: &str, cell: &Cell) -> Source {
    let form = table.column(name).map(|column| column.form);
    match form {
        _ if cell.as_text().is_some() => Source::Text,
        Some(Form::Hstore) => Source::Hstore,
        _ => Source::Row,
    }
}

/// Adds the value of a column that is not from the row.
fn value(table: &Table, name: &str, cell: &Cell, text: &mut Text) {
    let cast = table.column(name).map_or("text", |column| &column.cast);
    if let Some(value) = cell.as_text() {
        text.value(value.to_owned()).push(&format!("::{cast}"));
    } else if cell.is_null() {
        text.push("NULL");
    } else {
        text.push(&format!(
            "(SELECT coalesce({cast}(array_agg(e.key), array_agg(e.value)), '') FROM jsonb_each_text("
        ));
        text.value(cell.as_json().map(str::to_owned)).push("::jsonb) AS e)");
    }
}

/// The columns that come from the row, as an object.
fn from_row<'a>(
    table: &Table,
    cells: impl Iterator<Item = (&'a str, &'a Cell)>,
) -> Vec<(&'a str, &'a Cell)> {
    cells.filter(|(name, cell)| matches!(source(table, name, cell), Source::Row)).collect()
}

fn insert(table: &Table, now: &Cells) -> Text {
    let columns: Vec<String> = now.keys().map(|name| identifier(name)).collect();
    // An identity keeps the value that it had; sequences stay where they are.
    let mut text = Text::new(format!(
        "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT ",
        table.quoted(),
        columns.join(", ")
    ));
    for (place, (name, cell)) in now.iter().enumerate() {
        if place > 0 {
            text.push(", ");
        }
        match source(table, name, cell) {
            Source::Row => {
                text.push(&format!("v.{}", identifier(name)));
            }
            Source::Hstore | Source::Text => value(table, name, cell, &mut text),
        }
    }
    let row = from_row(table, now.iter().map(|(name, cell)| (name.as_str(), cell)));
    text.push(&format!(" FROM jsonb_populate_record(NULL::{}, ", table.quoted()));
    text.value(object(row)).push("::jsonb) AS v");
    text
}

fn update(table: &Table, set: &[&str], now: &Cells) -> Text {
    let mut text = Text::new(format!("UPDATE {} AS t SET ", table.only()));
    let cells = set.iter().filter_map(|name| Some((*name, now.get(*name)?)));
    let row = from_row(table, cells.clone());
    let mut separator = "";
    if !row.is_empty() {
        let list = |prefix: &str| {
            let names: Vec<String> =
                row.iter().map(|(name, _)| format!("{prefix}{}", identifier(name))).collect();
            names.join(", ")
        };
        // The row that is there lends its other columns, which a domain may not want null.
        text.push(&format!(
            "({}) = (SELECT {} FROM jsonb_populate_record(t.*, ",
            list(""),
            list("v.")
        ));
        text.value(object(row)).push("::jsonb) AS v)");
        separator = ", ";
    }
    for (name, cell) in cells {
        if !matches!(source(table, name, cell), Source::Row) {
            text.push(&format!("{separator}{} = ", identifier(name)));
            value(table, name, cell, &mut text);
            separator = ", ";
        }
    }
    text
}

/// A row as its statement will find it.
struct Seen<'a> {
    live: &'a LiveRow,
    key: Vec<String>,
    /// Columns that another statement has changed by then, with their values.
    carried: Vec<(&'a str, &'a Cell)>,
}

impl<'a> Seen<'a> {
    fn of(live: &'a LiveRow) -> Self {
        Self { live, key: live.key_texts.clone(), carried: Vec::new() }
    }

    fn after(
        table: &Table,
        live: &'a LiveRow,
        slot: &Slot,
        now: &'a Cells,
        carried: &BTreeSet<&'a str>,
    ) -> Self {
        let mut seen = Self::of(live);
        seen.carried = carried.iter().filter_map(|name| Some((*name, now.get(*name)?))).collect();
        let new = slot.key.as_ref().and_then(|key| parts(key, table.key.len()));
        for (place, name) in table.key.iter().enumerate() {
            if carried.contains(name.as_str())
                && let (Some(old), Some(new)) =
                    (seen.key.get_mut(place), new.as_ref().and_then(|new| new.get(place)))
            {
                old.clone_from(new);
            }
        }
        seen
    }

    /// Adds the condition that finds the row, if these columns of it are what they were.
    fn find(&self, table: &Table, guarded: &BTreeSet<&str>, text: &mut Text) {
        if table.key_is_certain() {
            self.has_key(table, "t", text);
            self.guard(table, guarded, "t", text);
            return;
        }
        // Another row may be the same, or have the same key for a moment: then one of them is taken.
        text.push(&format!(
            "(t.tableoid, t.ctid) = (SELECT x.tableoid, x.ctid FROM {} AS x WHERE ",
            table.only()
        ));
        self.has_key(table, "x", text);
        let all = readable(table).map(|column| column.name.as_str()).collect();
        self.guard(table, &all, "x", text);
        text.push(" LIMIT 1)");
    }

    fn has_key(&self, table: &Table, alias: &str, text: &mut Text) {
        for (name, key) in table.key.iter().zip(&self.key) {
            let cast = table.column(name).map_or("text", |column| &column.cast);
            text.push(&format!("{alias}.{} = ", identifier(name)));
            text.value(key.clone()).push(&format!("::{cast} AND "));
        }
    }

    fn guard(&self, table: &Table, columns: &BTreeSet<&str>, alias: &str, text: &mut Text) {
        let (mut selected, mut expected) = (Vec::new(), Vec::new());
        for column in readable(table).filter(|column| columns.contains(column.name.as_str())) {
            let name = column.name.as_str();
            let carried = self.carried.iter().find(|(carried, _)| *carried == name);
            let Some(cell) = carried.map(|(_, cell)| *cell).or(self.live.cells.get(name)) else {
                continue;
            };
            let quoted = identifier(name);
            // Of json the text itself tells: jsonb may not be able to hold it.
            if by_text(column) || cell.as_text().is_some() {
                let text = written(&format!("{alias}.{quoted}"));
                selected.push(format!("{text} AS {quoted}"));
                let text = self.live.texts.get(name).and_then(Option::as_deref);
                let text = text.or(cell.as_text());
                expected.push((name, text.map_or_else(|| Cell::json("null"), Cell::text)));
            } else {
                selected.push(format!("{alias}.{quoted}"));
                expected.push((name, cell.clone()));
            }
        }
        text.push(&format!(
            "(SELECT to_jsonb(g.*) FROM (SELECT {}) AS g)::text = ",
            selected.join(", ")
        ));
        text.value(object(expected.iter().map(|(name, cell)| (*name, cell))));
        text.push("::jsonb::text");
    }
}
