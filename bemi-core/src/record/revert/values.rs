//! Whether the table can still take the values that are to be written: the server reads them, and says
//! what it has read.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::cells::{Cell, object};
use super::facts::{Facts, Form, Table, unreadable};
use super::simulate::Slot;
use super::source::attempt;
use super::steps::Found;
use super::{Action, ConflictKind, RevertError};
use crate::record::sql::identifier;
use crate::record::{Database, Sql};

/// The columns whose values are written, and whether each is JSON or text.
type Shape = Vec<(String, bool)>;

/// A row, and the values that are written of it.
type Written<'a> = (&'a Slot, Vec<(&'a str, &'a Cell)>);

#[derive(Deserialize)]
struct Bad {
    n: usize,
    columns: Vec<String>,
}

/// Asks for all rows that are written, those of one shape at once.
pub(super) async fn check<S: Database>(
    source: &mut S,
    facts: &Facts,
    slots: &[Slot],
) -> Result<Vec<Found>, RevertError<S::Error>> {
    let mut found = Vec::new();
    let mut shapes: BTreeMap<(usize, Shape), Vec<Written<'_>>> = BTreeMap::new();
    for slot in slots {
        let Some(table) = facts.tables.get(slot.table) else { continue };
        let (Some(action), Some(now)) = (slot.action(), &slot.now) else { continue };
        let set = slot.set();
        let written: Vec<(&str, &Cell)> = now
            .iter()
            .map(|(name, cell)| (name.as_str(), cell))
            .filter(|(name, _)| action == Action::Insert || set.contains(name))
            .collect();
        if action == Action::Update {
            found.extend(forbidden(table, slot, &set));
        }
        let read =
            |name: &str| table.column(name).is_some_and(|column| column.form != Form::Hstore);
        let written: Vec<_> = written.into_iter().filter(|(name, _)| read(name)).collect();
        let shape = written
            .iter()
            .map(|(name, cell)| ((*name).to_owned(), cell.as_json().is_some()))
            .collect();
        shapes.entry((slot.table, shape)).or_default().push((slot, written));
    }
    for ((index, shape), rows) in &shapes {
        let Some(table) = facts.tables.get(*index) else { continue };
        found.extend(read_back(source, table, shape, rows).await?);
    }
    Ok(found)
}

/// Columns that an UPDATE cannot set, or not to this.
fn forbidden(table: &Table, slot: &Slot, set: &[&str]) -> Option<Found> {
    let (mut always, mut empty) = (Vec::new(), Vec::new());
    for column in table.columns.iter().filter(|column| set.contains(&column.name.as_str())) {
        let is_null =
            slot.now.as_ref().and_then(|now| now.get(&column.name)).is_some_and(Cell::is_null);
        if column.always {
            always.push(column.name.clone());
        } else if column.not_null && is_null {
            empty.push(column.name.clone());
        }
    }
    let found = || of_slot(ConflictKind::SchemaChanged, table, slot);
    if !always.is_empty() {
        let why = "the column is GENERATED ALWAYS AS IDENTITY, and no UPDATE can set it";
        return Some(found().columns(always).detail(why));
    }
    (!empty.is_empty()).then(|| found().columns(empty).detail("the column must not be null now"))
}

/// A conflict of a row.
pub(super) fn of_slot(kind: ConflictKind, table: &Table, slot: &Slot) -> Found {
    Found::new(kind, table.name())
        .key(slot.shown_key().cloned())
        .change(slot.change)
        .group(slot.group)
}

/// Has the server read the values of rows of one shape. Where it refuses them, they are halved until it
/// is known which row it is.
async fn read_back<S: Database>(
    source: &mut S,
    table: &Table,
    shape: &Shape,
    rows: &[Written<'_>],
) -> Result<Vec<Found>, RevertError<S::Error>> {
    let mut found = Vec::new();
    let changed = |slot: &Slot, columns: Vec<String>| {
        of_slot(ConflictKind::SchemaChanged, table, slot)
            .columns(columns)
            .detail("the column does not take the value that the record has")
    };
    let mut parts = vec![rows];
    while let Some(part) = parts.pop() {
        let sql = reading(table, shape, part);
        let Some(answers) = attempt(source, "read values back", &sql).await? else {
            match part {
                [(slot, _)] => {
                    let columns = shape.iter().map(|(name, _)| name.clone()).collect();
                    found.push(changed(slot, columns));
                }
                _ => {
                    let (one, other) = part.split_at(part.len() / 2);
                    parts.extend([other, one]);
                }
            }
            continue;
        };
        for answer in answers {
            let bad: Bad = serde_json::from_str(&answer).map_err(unreadable)?;
            if let Some((slot, _)) = part.get(bad.n) {
                found.push(changed(slot, bad.columns));
            }
        }
    }
    Ok(found)
}

/// Gives the rows that come back as something else.
fn reading(table: &Table, shape: &Shape, rows: &[Written<'_>]) -> Sql {
    let column = |name: &str| table.column(name);
    let (mut typed, mut differing) = (Vec::new(), Vec::new());
    for (name, is_json) in shape {
        let Some(column) = column(name) else { continue };
        if *is_json {
            typed.push(format!("{} {}", identifier(name), column.declared));
        } else {
            let text = format!("(e.v -> 'x' ->> {})", super::text::quoted(name));
            differing.push(format!(
                "CASE WHEN concat({text}::{}) IS DISTINCT FROM {text} THEN ARRAY[{}] END",
                column.cast,
                super::text::quoted(name)
            ));
        }
    }
    let mut sql = Sql::new(
        "SELECT jsonb_build_object('n', e.n - 1, 'columns', bad.columns)::text \
         FROM jsonb_array_elements(",
    );
    let rows: Vec<String> = rows
        .iter()
        .map(|(_, written)| {
            let part = |json: bool| {
                object(written.iter().copied().filter(|(_, cell)| cell.as_json().is_some() == json))
            };
            format!("{{\"r\":{},\"x\":{}}}", part(true), part(false))
        })
        .collect();
    sql.bind(format!("[{}]", rows.join(",")));
    sql.push("::jsonb) WITH ORDINALITY AS e (v, n) ");
    if !typed.is_empty() {
        sql.push(&format!(
            "CROSS JOIN LATERAL (SELECT to_jsonb(bemi_row) AS r \
             FROM jsonb_to_record(e.v -> 'r') AS bemi_row ({})) AS got ",
            typed.join(", ")
        ));
        differing.push(
            "(SELECT array_agg(k) FROM jsonb_object_keys(e.v -> 'r') AS k \
             WHERE (got.r -> k)::text IS DISTINCT FROM (e.v -> 'r' -> k)::text)"
                .to_owned(),
        );
    }
    let differing = if differing.is_empty() { "NULL".to_owned() } else { differing.join(" || ") };
    sql.push(&format!(
        "CROSS JOIN LATERAL (SELECT {differing} AS columns) AS bad WHERE bad.columns IS NOT NULL"
    ));
    sql
}

/// Rows as parameters: their numbers, and these values of each.
pub(super) fn numbered<'a>(
    rows: impl IntoIterator<Item = (usize, Vec<(String, &'a Cell)>)>,
) -> String {
    let rows: Vec<String> = rows
        .into_iter()
        .map(|(number, cells)| {
            let row = object(cells.iter().map(|(name, cell)| (name.as_str(), *cell)));
            format!("{{\"n\":{},\"r\":{row}}}", json!(number))
        })
        .collect();
    format!("[{}]", rows.join(","))
}
