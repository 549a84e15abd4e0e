//! The rows of the source as they are now, all of a table by one statement.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Deserialize;

use super::ConflictKind;
use super::RevertError;
use super::cells::{Cell, Cells};
use super::facts::{Facts, Form, Table, unreadable};
use super::source::attempt;
use super::steps::{Act, Found, Step, all, encoded_columns};
use crate::record::sql::identifier;
use crate::record::{Database, Key, Row, Sql};

/// A row of the source.
#[derive(Clone, Debug)]
pub(super) struct LiveRow {
    /// Where it lies: no two rows lie there.
    pub(super) place: String,
    pub(super) key: Option<Key>,
    /// The texts of the key's columns.
    pub(super) key_texts: Vec<String>,
    pub(super) cells: Cells,
    /// The server's text of columns that are compared by it.
    pub(super) texts: BTreeMap<String, Option<String>>,
}

/// The rows that the steps are about, by table.
#[derive(Debug, Default)]
pub(super) struct Live {
    pub(super) rows: HashMap<usize, Vec<LiveRow>>,
}

#[derive(Deserialize)]
struct Answer {
    place: String,
    key: Vec<String>,
    row: Row,
    texts: BTreeMap<String, Option<String>>,
}

impl Live {
    /// Reads them, and locks them if wanted. Tables whose rows cannot be looked for are conflicts.
    pub(super) async fn read<S: Database>(
        source: &mut S,
        facts: &Facts,
        steps: &[Step],
        locks: bool,
    ) -> Result<(Self, Vec<Found>), RevertError<S::Error>> {
        let mut live = Self::default();
        let mut found = Vec::new();
        for (index, table) in facts.tables.iter().enumerate() {
            let of_table: Vec<&Step> = steps.iter().filter(|step| step.table == index).collect();
            if of_table.is_empty() {
                continue;
            }
            let encoded = encoded_columns(steps, index);
            let mut sql = if table.key.is_empty() {
                by_row(table, &encoded, &of_table)
            } else {
                by_key(table, &encoded, &of_table)
            };
            if locks {
                sql.push(" FOR UPDATE OF t");
            }
            match attempt(source, "read the rows as they are", &sql).await? {
                Some(rows) => {
                    let rows: Result<Vec<LiveRow>, _> =
                        rows.iter().map(|row| read(row, table, &encoded)).collect();
                    let mut rows = rows.map_err(unreadable)?;
                    // Two keys may be equal to one, as of citext.
                    rows.sort_by(|one, other| one.place.cmp(&other.place));
                    rows.dedup_by(|one, other| one.place == other.place);
                    live.rows.insert(index, rows);
                }
                None => {
                    let mut one = Found::new(ConflictKind::SchemaChanged, table.name())
                        .columns(table.key.iter().cloned())
                        .detail("the rows cannot be looked for by the values that the record has")
                        .ends();
                    one.groups = of_table.iter().map(|step| step.group).collect();
                    found.push(one);
                }
            }
        }
        Ok((live, found))
    }
}

fn read(
    row: &str,
    table: &Table,
    encoded: &BTreeSet<String>,
) -> Result<LiveRow, serde_json::Error> {
    let Answer { place, key, row, texts } = serde_json::from_str(row)?;
    let mut cells = Cells::new();
    for (name, json) in row.columns() {
        let column = table.column(name);
        let text = texts.get(name).and_then(Option::as_deref);
        let by_text =
            encoded.contains(name) && column.is_some_and(|column| column.form != Form::Json);
        let cell = match (column.map(|column| column.form), text) {
            (Some(Form::Text), Some(text)) => Cell::text(text),
            // What jsonb cannot hold came as null.
            (Some(Form::Json), Some(text)) if json == "null" && text.trim() != "null" => {
                Cell::text(text)
            }
            (_, Some(text)) if by_text => Cell::text(text),
            _ => Cell::json(json),
        };
        cells.insert(name.to_owned(), cell);
    }
    let named = (!key.is_empty()).then(|| Key::of(key.clone()));
    Ok(LiveRow { place, key: named, key_texts: key, cells, texts })
}

/// Columns that are read: those of others are not for these eyes, or nobody writes them.
pub(super) fn readable(table: &Table) -> impl Iterator<Item = &super::facts::Column> {
    table.columns.iter().filter(|column| !column.masked && !column.generated)
}

/// Whether the column is compared by the server's text.
pub(super) fn by_text(column: &super::facts::Column) -> bool {
    matches!(column.form, Form::Json | Form::Text)
}

/// A value as the server writes it, which is what the record has. A cast to text may be another thing:
/// of a `char(3)` it drops blanks, of a boolean it gives a word.
pub(super) fn written(value: &str) -> String {
    format!("CASE WHEN {value} IS DISTINCT FROM NULL THEN concat({value}) END")
}

/// What is selected of a row `t`, whose JSON is `row`.
fn selected(table: &Table, encoded: &BTreeSet<String>, row: &str) -> String {
    let key: Vec<String> =
        table.key.iter().map(|name| written(&format!("t.{}", identifier(name)))).collect();
    let texts: Vec<String> = readable(table)
        .filter(|column| {
            by_text(column) || column.missing.is_some() || encoded.contains(&column.name)
        })
        .map(|column| {
            let name = identifier(&column.name);
            format!("{} AS {name}", written(&format!("t.{name}")))
        })
        .collect();
    format!(
        "SELECT jsonb_build_object('place', t.tableoid::text || t.ctid::text, \
         'key', jsonb_build_array({}), 'row', {row}, \
         'texts', (SELECT to_jsonb(bemi_row) FROM (SELECT {}) AS bemi_row))::text",
        key.join(", "),
        texts.join(", ")
    )
}

/// The JSON of a row `t`.
fn row_json(table: &Table) -> String {
    let columns: Vec<String> = readable(table)
        .map(|column| {
            let name = identifier(&column.name);
            match column.form {
                Form::Json => format!("{} AS {name}", jsonb_or_null(&format!("t.{name}"))),
                Form::Text => format!("{} AS {name}", written(&format!("t.{name}"))),
                Form::Plain | Form::Hstore | Form::Nested => format!("t.{name}"),
            }
        })
        .collect();
    format!("(SELECT to_jsonb(bemi_row) FROM (SELECT {}) AS bemi_row)", columns.join(", "))
}

/// A value of type json, unless `jsonb` might refuse it: a NUL, half a surrogate pair, or a number of a
/// very large exponent.
fn jsonb_or_null(value: &str) -> String {
    format!(
        "CASE WHEN regexp_replace({value}::text, E'\\\\\\\\ud[89ab][0-9a-f]{{2}}\\\\\\\\ud[c-f][0-9a-f]{{2}}', '', 'gi') \
         ~* E'\\\\\\\\u(0000|d[89a-f])|[0-9]e[+-]?[0-9]{{5}}' THEN NULL ELSE to_jsonb({value}) END"
    )
}

/// The rows that have one of the keys.
fn by_key(table: &Table, encoded: &BTreeSet<String>, steps: &[&Step]) -> Sql {
    let keys: BTreeSet<&Key> =
        steps.iter().flat_map(|step| [&step.key, &step.previous]).flatten().collect();
    let keys: Vec<Vec<String>> =
        keys.into_iter().filter_map(|key| parts(key, table.key.len())).collect();
    let mut sql = Sql::new(selected(table, encoded, &row_json(table)));
    let wanted: Vec<String> = table
        .key
        .iter()
        .enumerate()
        .map(|(place, name)| {
            let cast = table.column(name).map_or("text", |column| &column.cast);
            format!("(e.k ->> {place})::{cast} AS k{place}")
        })
        .collect();
    sql.push(&format!(" FROM (SELECT {} FROM jsonb_array_elements(", wanted.join(", ")));
    // Lists of texts are always JSON.
    sql.bind(serde_json::to_string(&keys).unwrap_or_default());
    sql.push(&format!("::jsonb) AS e (k)) AS w JOIN {} AS t ON ", table.only()));
    let matched: Vec<String> = table
        .key
        .iter()
        .enumerate()
        .map(|(place, name)| format!("t.{} = w.k{place}", identifier(name)))
        .collect();
    sql.push(&matched.join(" AND "));
    sql
}

/// The texts of a key's columns.
pub(super) fn parts(key: &Key, columns: usize) -> Option<Vec<String>> {
    if columns == 1 {
        return Some(vec![key.as_str().to_owned()]);
    }
    let parts: Vec<String> = serde_json::from_str(key.as_str()).ok()?;
    (parts.len() == columns).then_some(parts)
}

/// The rows of a table without a key that are, column by column, what a change left.
fn by_row(table: &Table, encoded: &BTreeSet<String>, steps: &[&Step]) -> Sql {
    let rows: BTreeSet<String> = steps
        .iter()
        .filter_map(|step| match &step.act {
            Act::Created { after } | Act::Updated { after, .. } => Some(all(after)),
            Act::Deleted { .. } => None,
        })
        .collect();
    let rows: Vec<String> = rows.into_iter().collect();
    let mut sql = Sql::new(selected(table, encoded, "r.row"));
    sql.push(&format!(
        " FROM {} AS t CROSS JOIN LATERAL {} AS r (row) \
         JOIN (SELECT DISTINCT e::text AS row FROM jsonb_array_elements(",
        table.only(),
        row_json(table)
    ));
    sql.bind(format!("[{}]", rows.join(",")));
    sql.push("::jsonb) AS e) AS w ON w.row = r.row::text");
    sql
}
