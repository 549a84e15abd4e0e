//! The truth to compare with: a trigger on each table writes down what `to_jsonb` makes of its rows.

use std::fmt::Write as _;

use tokio_postgres::Client;

use crate::quote;

/// How the truth is told, whatever the session that writes is set to.
pub(crate) const STYLE: &str = "SET timezone = 'UTC' SET datestyle = 'ISO' SET intervalstyle = 'postgres' \
    SET bytea_output = 'hex' SET extra_float_digits = 1";

/// A column, and whether it is known beforehand that its text is stored.
pub(crate) struct Told<'a> {
    pub(crate) name: &'a str,
    pub(crate) as_text: bool,
}

/// Where the truth is kept. It is not tracked, being unlogged.
pub(crate) async fn create(client: &Client) {
    client
        .batch_execute(
            "CREATE SCHEMA truth; \
             CREATE TYPE truth.row AS (value jsonb, encoded text[]); \
             CREATE UNLOGGED TABLE truth.log (n bigserial, \"table\" text, operation text, primary_key text, \
                 previous_key text, before jsonb, after jsonb, encoded text[])",
        )
        .await
        .unwrap();
}

/// Installs the trigger on a table. `key` is an expression of the row `r`, as `r.id::text`.
///
/// Where `to_jsonb` refuses a row, it is asked column by column; what it refuses there is told as text.
pub(crate) fn install(table: &str, columns: &[Told<'_>], key: &str) -> String {
    let mut by_column = String::new();
    for Told { name, as_text } in columns {
        let (label, field) = (crate::sql_literal(name), format!("r.{}", quote(name)));
        let text = format!(
            "told.value := told.value || jsonb_build_object({label}, {field}::text); \
             IF {field}::text IS NOT NULL THEN told.encoded := told.encoded || {label}::text; END IF;"
        );
        if *as_text {
            by_column += &text;
        } else {
            write!(
                by_column,
                "BEGIN told.value := told.value || jsonb_build_object({label}, to_jsonb({field})); \
                 EXCEPTION WHEN OTHERS THEN {text} END; "
            )
            .unwrap();
        }
    }
    let whole = if columns.iter().any(|column| column.as_text) {
        String::new()
    } else {
        "BEGIN RETURN ROW(to_jsonb(r), '{}'::text[]); EXCEPTION WHEN OTHERS THEN NULL; END;"
            .to_owned()
    };
    format!(
        "CREATE FUNCTION truth.row_{table}(r public.{table}) RETURNS truth.row LANGUAGE plpgsql {STYLE} AS $truth$ \
         DECLARE told truth.row := ROW('{{}}', '{{}}'); BEGIN {whole} {by_column} RETURN told; END $truth$; \
         CREATE FUNCTION truth.key_{table}(r public.{table}) RETURNS text LANGUAGE plpgsql {STYLE} AS \
             $truth$ BEGIN RETURN {key}; END $truth$; \
         CREATE FUNCTION truth.write_{table}() RETURNS trigger LANGUAGE plpgsql AS $truth$ \
         DECLARE old_row truth.row := ROW('{{}}', '{{}}'); new_row truth.row := ROW('{{}}', '{{}}'); \
             old_key text; new_key text; \
         BEGIN \
             IF TG_OP <> 'INSERT' THEN old_row := truth.row_{table}(OLD); old_key := truth.key_{table}(OLD); END IF; \
             IF TG_OP <> 'DELETE' THEN new_row := truth.row_{table}(NEW); new_key := truth.key_{table}(NEW); END IF; \
             INSERT INTO truth.log (\"table\", operation, primary_key, previous_key, before, after, encoded) VALUES ( \
                 '{table}', CASE TG_OP WHEN 'INSERT' THEN 'CREATE' ELSE TG_OP END, coalesce(new_key, old_key), \
                 CASE WHEN TG_OP = 'UPDATE' AND old_key <> new_key THEN old_key END, \
                 old_row.value, new_row.value, \
                 (SELECT array_agg(DISTINCT e ORDER BY e) FROM unnest(old_row.encoded || new_row.encoded) e)); \
             RETURN NULL; END $truth$; \
         CREATE TRIGGER truth AFTER INSERT OR UPDATE OR DELETE ON public.{table} \
             FOR EACH ROW EXECUTE FUNCTION truth.write_{table}(); "
    )
}

/// A value that is not as it should be.
pub(crate) struct Difference {
    pub(crate) table: String,
    pub(crate) key: Option<String>,
    pub(crate) column: String,
    pub(crate) truth: Option<String>,
    pub(crate) stored: Option<String>,
}

/// Changes that are missing, not true, out of order, of another key, or marked otherwise.
pub(crate) async fn wrong_changes(client: &Client) -> Vec<String> {
    let rows = client
        .query(
            &format!(
                "{PAIRS} SELECT format('%s %s of %s, from %s, marked %s; stored: %s %s of %s, from %s, marked %s', \
                     t.operation, t.\"table\", t.primary_key, t.previous_key, t.encoded, \
                     c.operation, c.\"table\", c.primary_key, c.previous_key, c.marked) \
                 FROM told t FULL JOIN stored c USING (place) \
                 WHERE ROW(t.operation, t.\"table\", t.primary_key, t.previous_key, t.encoded) \
                     IS DISTINCT FROM ROW(c.operation, c.\"table\", c.primary_key, c.previous_key, c.marked) \
                 ORDER BY place LIMIT 20"
            ),
            &[],
        )
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Values that are not those of `to_jsonb`, to the last digit.
pub(crate) async fn wrong_values(client: &Client) -> Vec<Difference> {
    // As text: to `jsonb`, 1.0 and 1.00 are equal.
    let rows = client
        .query(
            &format!(
                "{PAIRS}, sides AS ( \
                     SELECT place, t.\"table\", t.primary_key, t.before AS truth, c.before AS stored \
                     FROM told t JOIN stored c USING (place) \
                     UNION ALL \
                     SELECT place, t.\"table\", t.primary_key, t.after, c.after \
                     FROM told t JOIN stored c USING (place) \
                 ) \
                 SELECT \"table\", primary_key, key, truth_value::text, stored_value::text \
                 FROM sides, LATERAL ( \
                     SELECT key, a.value AS truth_value, b.value AS stored_value \
                     FROM jsonb_each(truth) a FULL JOIN jsonb_each(stored) b USING (key)) e \
                 WHERE truth::text IS DISTINCT FROM stored::text \
                     AND truth_value::text IS DISTINCT FROM stored_value::text \
                 ORDER BY place"
            ),
            &[],
        )
        .await
        .unwrap();
    rows.iter()
        .map(|row| Difference {
            table: row.get(0),
            key: row.get(1),
            column: row.get(2),
            truth: row.get(3),
            stored: row.get(4),
        })
        .collect()
}

/// One session wrote it all, so that the order of the truth is that of the changes.
const PAIRS: &str = "\
WITH told AS (SELECT *, row_number() OVER (ORDER BY n) AS place FROM truth.log), \
stored AS (SELECT *, row_number() OVER (ORDER BY commit_position, sequence) AS place, \
               (SELECT array_agg(e ORDER BY e) FROM unnest(encoded) e) AS marked FROM changes)";
