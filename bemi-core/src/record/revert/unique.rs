//! Values that must be unique: who has them, and who has to give them up first.

use serde::Deserialize;

use super::ConflictKind;
use super::RevertError;
use super::cells::Cell;
use super::facts::{Facts, Table, Unique, unreadable};
use super::order::Edge;
use super::simulate::Slot;
use super::steps::Found;
use super::values::{numbered, of_slot};
use super::{Action, slots::Slots};
use crate::record::sql::identifier;
use crate::record::{Database, Key, RecordError, Sql};

#[derive(Deserialize)]
struct Meeting {
    n: usize,
    place: Option<String>,
    key: Option<Vec<String>>,
    other: Option<usize>,
}

/// Finds rows that would have a value that another one has.
pub(super) async fn check<S: Database>(
    source: &mut S,
    facts: &Facts,
    slots: &Slots,
    edges: &mut Vec<Edge>,
) -> Result<Vec<Found>, RevertError<S::Error>> {
    let mut found = Vec::new();
    for (index, table) in facts.tables.iter().enumerate() {
        for unique in &table.uniques {
            let rows: Vec<(usize, Vec<(String, &Cell)>)> = slots
                .of_table(index)
                .filter(|(_, slot)| arrives(unique, slot))
                .filter_map(|(number, slot)| Some((number, values(table, unique, slot)?)))
                .collect();
            if rows.is_empty() {
                continue;
            }
            let sql = meeting(table, unique, numbered(rows));
            let failed = |source| RecordError::Database { doing: "look for unique values", source };
            for row in source.query(&sql).await.map_err(failed)? {
                let meeting: Meeting = serde_json::from_str(&row).map_err(unreadable)?;
                found.extend(judge(table, unique, slots, edges, &meeting));
            }
        }
    }
    Ok(found)
}

/// Whether the row gets a value that it did not have.
fn arrives(unique: &Unique, slot: &Slot) -> bool {
    match slot.action() {
        Some(Action::Insert) => true,
        Some(Action::Update) => leaves(unique, slot),
        _ => false,
    }
}

/// Whether the row gives its value up.
fn leaves(unique: &Unique, slot: &Slot) -> bool {
    match slot.action() {
        Some(Action::Delete) => true,
        Some(Action::Update) => {
            let set = slot.set();
            match &unique.columns {
                Some(columns) => columns.iter().any(|name| set.contains(&name.as_str())),
                None => true,
            }
        }
        _ => false,
    }
}

/// The values that the index is about; none where they are not known.
fn values<'a>(table: &Table, unique: &Unique, slot: &'a Slot) -> Option<Vec<(String, &'a Cell)>> {
    let now = slot.now.as_ref()?;
    match &unique.columns {
        Some(columns) => columns
            .iter()
            .map(|name| {
                let cell = now.get(name).filter(|cell| cell.as_json().is_some())?;
                Some((name.clone(), cell))
            })
            .collect(),
        // What the table itself would fill in is taken for null.
        None => Some(
            now.iter()
                .filter(|(name, cell)| table.column(name).is_some() && cell.as_json().is_some())
                .map(|(name, cell)| (name.clone(), cell))
                .collect(),
        ),
    }
}

fn judge(
    table: &Table,
    unique: &Unique,
    slots: &Slots,
    edges: &mut Vec<Edge>,
    meeting: &Meeting,
) -> Option<Found> {
    let slot = slots.get(meeting.n)?;
    let taken = |by: String| {
        let columns = unique.columns.clone().unwrap_or_default();
        of_slot(ConflictKind::KeyTaken, table, slot)
            .columns(columns)
            .detail(format!("{by} has the same in {}", unique.name))
    };
    if let Some(other) = meeting.other {
        let other = slots.get(other)?;
        let by = other.shown_key().map_or("another row of the plan".to_owned(), |key| {
            format!("{key}, also of the plan,")
        });
        return Some(taken(by).group(other.group));
    }
    let at = slots.at(meeting.place.as_deref()?);
    if at == Some(meeting.n) {
        return None;
    }
    match at.and_then(|number| Some((number, slots.get(number)?))) {
        Some((number, other)) if leaves(unique, other) => {
            edges.push(Edge {
                first: number,
                first_columns: unique.columns.clone().unwrap_or_default(),
                then: meeting.n,
                then_columns: unique.columns.clone().unwrap_or_default(),
                deferrable: unique.deferrable.clone(),
            });
            None
        }
        _ => {
            let key = meeting.key.clone().filter(|key| !key.is_empty()).map(Key::of);
            Some(taken(key.map_or("another row".to_owned(), |key| key.to_string())))
        }
    }
}

/// Which rows of the plan meet which live rows, and each other.
fn meeting(table: &Table, unique: &Unique, rows: String) -> Sql {
    let expressions: Vec<String> = unique
        .expressions
        .iter()
        .enumerate()
        .map(|(place, expression)| format!("({}) AS k{place}", expression.sql))
        .collect();
    let predicate =
        unique.predicate.as_ref().map_or(String::new(), |predicate| format!(" WHERE {predicate}"));
    let equal = |one: &str, other: &str| {
        let all: Vec<String> = unique
            .expressions
            .iter()
            .enumerate()
            .map(|(place, expression)| {
                let equal = format!("{one}.k{place} {} {other}.k{place}", expression.equals);
                if unique.nulls_equal {
                    format!("({equal} OR ({one}.k{place} IS NULL AND {other}.k{place} IS NULL))")
                } else {
                    equal
                }
            })
            .collect();
        all.join(" AND ")
    };
    let typed: Vec<String> = table
        .columns
        .iter()
        .filter(|column| match &unique.columns {
            Some(columns) => columns.contains(&column.name),
            None => true,
        })
        .map(|column| format!("{} {}", identifier(&column.name), column.base))
        .collect();
    let key: Vec<String> =
        table.key.iter().map(|name| format!("t.{}::text", identifier(name))).collect();
    let mut sql = Sql::new(
        "WITH input AS MATERIALIZED (SELECT (e.v ->> 'n')::int AS n, x.* FROM jsonb_array_elements(",
    );
    sql.bind(rows);
    sql.push(&format!(
        "::jsonb) AS e (v) CROSS JOIN LATERAL (SELECT {expressions} \
         FROM jsonb_to_record(e.v -> 'r') AS t ({typed}){predicate}) AS x) \
         SELECT jsonb_build_object('n', c.n, 'place', l.place, 'key', l.key)::text \
         FROM input AS c JOIN (SELECT {expressions}, t.tableoid::text || t.ctid::text AS place, \
         jsonb_build_array({key}) AS key FROM {only} AS t{predicate}) AS l ON {live} \
         UNION ALL \
         SELECT jsonb_build_object('n', a.n, 'other', b.n)::text \
         FROM input AS a JOIN input AS b ON a.n < b.n AND {within}",
        expressions = expressions.join(", "),
        typed = typed.join(", "),
        key = key.join(", "),
        only = table.only(),
        live = equal("c", "l"),
        within = equal("a", "b"),
    ));
    sql
}
