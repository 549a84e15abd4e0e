//! `jsonb_populate_record` gives the row back, but for what docs/changes.md lists.

use tokio_postgres::Client;

use crate::literal;
use crate::tables::Table;
use crate::truth::STYLE;
use crate::types::{DataType, Shape, Types};
use crate::values::Values;
use crate::{quote, shortened, sql_literal};

/// How far a column's value comes back.
#[derive(Clone, Copy, PartialEq)]
enum Restored {
    /// With the same text, but for the lower bounds of arrays.
    Whole,
    /// With another text of the same JSON: `json` is spelled as `jsonb` spells it, JSON `null` is SQL NULL, and -0 is 0.
    SameJson,
    /// Not at all.
    Refused,
}

/// Types whose input does not take what `to_jsonb` gives, and those that have no input.
fn is_refused(data_type: &DataType, types: &Types) -> bool {
    match data_type.shape {
        // An empty vector is refused; one with elements would do.
        Shape::Base => {
            matches!(data_type.bare_name.as_str(), "hstore" | "int2vector" | "oidvector")
                || literal::has_no_input(&data_type.bare_name)
        }
        // Nobody can tell the dimensions of the array from those of its elements.
        Shape::Array { element, .. } => {
            let element = types.base_of(element);
            matches!(element.shape, Shape::Array { .. })
                || matches!(element.bare_name.as_str(), "json" | "jsonb")
        }
        _ => false,
    }
}

fn has_other_spellings(data_type: &DataType) -> bool {
    matches!(data_type.bare_name.as_str(), "json" | "jsonb" | "float4" | "float8")
}

/// Restores the rows that a table has from the last record of each. Returns what went wrong, and how many values came back.
pub(crate) async fn check(table: &Table, client: &Client, values: &Values) -> (Vec<String>, usize) {
    let rows = client.query(&query(table), &[]).await.unwrap();
    let mut wrong = Vec::new();
    let mut restored = 0;
    for row in &rows {
        let (key, place): (&str, i32) = (row.get(0), row.get(1));
        let column = &table.columns[usize::try_from(place).unwrap() - 1];
        let is_encoded: bool = row.get(2);
        let (was, is): (Option<&str>, Option<&str>) = (row.get(3), row.get(4));
        let (json_was, json_is): (Option<&str>, Option<&str>) = (row.get(5), row.get(6));
        let types = &values.types;
        let comes_back = if types.holds(column.of.oid, &|part| is_refused(part, types)) {
            Restored::Refused
        } else if types.holds(column.of.oid, &has_other_spellings) {
            Restored::SameJson
        } else {
            Restored::Whole
        };
        let is_right = match comes_back {
            // Text of what `jsonb` does not hold, and types that are not read back: the other tests say what becomes of it.
            _ if is_encoded => continue,
            Restored::Refused => continue,
            Restored::Whole => was == is,
            Restored::SameJson => was == is || json_was == json_is,
        };
        restored += 1;
        if !is_right {
            wrong.push(format!(
                "{} row {key}, column {}\n    was:      {}\n    restored: {}\n",
                table.name,
                table.story(Some(key), &column.name),
                shortened(was),
                shortened(is),
            ));
        }
    }
    (wrong, restored)
}

/// Each value of each row: its text, and text and JSON of what is restored, or the error.
fn query(table: &Table) -> String {
    let name = &table.name;
    let names: Vec<_> = table.columns.iter().map(|column| sql_literal(&column.name)).collect();
    let bounds = sql_literal(BOUNDS);
    format!(
        "WITH last AS ( \
             SELECT DISTINCT ON (primary_key) primary_key, after, encoded FROM changes WHERE \"table\" = '{name}' \
             ORDER BY primary_key, commit_position DESC, sequence DESC \
         ) \
         SELECT l.primary_key, c.place::int, coalesce(l.encoded @> ARRAY[c.name], false), \
             regexp_replace(restored_values[1], {bounds}, '', 'g'), regexp_replace(restored_values[2], {bounds}, '', 'g'), l.after ->> c.name, restored_values[3] \
         FROM last l JOIN public.{name} whole_row ON whole_row.id::text = l.primary_key, \
             unnest(ARRAY[{}]::text[]) WITH ORDINALITY AS c (name, place), \
             truth.restored_{name}(whole_row, l.after, c.name) AS restored_values",
        names.join(", "),
    )
}

/// The lower bounds of an array.
const BOUNDS: &str = r"(\[-?\d+:-?\d+\])+=";

/// The function that restores one column of a row: its text as it was, and text and JSON as it is, or the error.
pub(crate) fn function(table: &Table) -> String {
    let name = &table.name;
    let branches: String = table
        .columns
        .iter()
        .map(|column| {
            let (label, field) = (sql_literal(&column.name), quote(&column.name));
            format!(
                "WHEN {label} THEN was := CASE WHEN r.{field} IS DISTINCT FROM NULL THEN format('%s', r.{field}) END; \
                 restored := jsonb_populate_record(NULL::public.{name}, one); \
                 RETURN ARRAY[was, \
                     CASE WHEN restored.{field} IS DISTINCT FROM NULL THEN format('%s', restored.{field}) END, \
                     to_jsonb(restored.{field}) #>> '{{}}']; "
            )
        })
        .collect();
    format!(
        "CREATE FUNCTION truth.restored_{name}(r public.{name}, after jsonb, name text) RETURNS text[] \
         LANGUAGE plpgsql {STYLE} AS $truth$ \
         DECLARE one jsonb := jsonb_build_object(name, after -> name); was text; restored public.{name}; \
         BEGIN CASE name {branches} END CASE; \
         EXCEPTION WHEN OTHERS THEN RETURN ARRAY[was, 'error: ' || SQLERRM, NULL]; END $truth$; "
    )
}
