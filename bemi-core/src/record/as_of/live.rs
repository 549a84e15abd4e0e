//! The rows that are there now, read so that it is known what they have in them.
//!
//! A statement sees one snapshot, and can tell which: so rows and snapshot are read by one. Once the
//! record has everything that had committed then, a change of it is in the rows if and only if its
//! transaction is in the snapshot.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::At;
use crate::record::sql::identifier;
use crate::record::{Database, Key, Record, RecordError, Sql, TableName};

/// Where the rows of now are asked for.
#[derive(Debug)]
pub(super) enum Live<'a, S> {
    /// Nowhere.
    None,
    /// Through the record's own connection.
    Here,
    /// Through this one.
    There(&'a mut S),
}

/// What the catalog says of the table.
#[derive(Deserialize)]
struct Shape {
    key: Vec<KeyColumn>,
    columns: Box<RawValue>,
    /// Columns that the stream does not have.
    unsent: Vec<String>,
}

#[derive(Deserialize)]
struct KeyColumn {
    name: String,
    /// `int8`, `uuid` and so on, without its schema.
    data_type: String,
}

/// Rows as the statement for the past takes them.
#[derive(Deserialize)]
struct Seen {
    settings: Vec<String>,
    live: Box<RawValue>,
}

/// The key is the primary key; else the index of the replica identity. Generated columns are sent from
/// 18 on, the stored ones.
const SHAPE: &str = "SELECT json_build_object(\
     'key', (SELECT coalesce(json_agg(json_build_object('name', a.attname, 'data_type', t.typname) ORDER BY k.nr), '[]') \
             FROM (SELECT i.indkey, i.indnkeyatts FROM pg_index AS i WHERE i.indrelid = c.oid \
                     AND i.indisvalid AND (i.indisprimary OR i.indisreplident) \
                   ORDER BY i.indisprimary DESC LIMIT 1) AS i \
             CROSS JOIN LATERAL unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (number, nr) \
             JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.number \
             JOIN pg_type AS t ON t.oid = a.atttypid \
             WHERE k.nr <= i.indnkeyatts), \
     'columns', (SELECT coalesce(json_agg(json_build_object('number', a.attnum, 'name', a.attname)), '[]') \
                 FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), \
     'unsent', (SELECT coalesce(json_agg(a.attname), '[]') FROM pg_attribute AS a \
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
                  AND (a.attgenerated = 'v' OR a.attgenerated = 's' \
                       AND current_setting('server_version_num')::integer < 180000)))::text \
     FROM pg_class AS c WHERE c.oid = to_regclass(";

/// The settings under which rows have the text that the record has.
const SETTINGS: [(&str, &str); 5] = [
    ("TimeZone", "UTC"),
    ("DateStyle", "ISO"),
    ("IntervalStyle", "postgres"),
    ("bytea_output", "hex"),
    ("extra_float_digits", "1"),
];

impl<S> Live<'_, S> {
    /// The rows of these keys as the statement for the past takes them; `None` where there is no source
    /// to be asked, or no such table in it any more.
    pub(super) async fn read<D: Database>(
        &mut self,
        record: &mut Record<D>,
        at: &At,
        table: &TableName,
        keys: &[Key],
    ) -> Result<Option<String>, RecordError<D::Error>>
    where
        S: Database<Error = D::Error>,
    {
        match self {
            Self::None => Ok(None),
            Self::Here => {
                let live = rows_of(&mut record.database, table, keys).await?;
                if live.is_some() {
                    record.catch_up_here(&at.slot).await?;
                }
                Ok(live)
            }
            Self::There(source) => {
                let live = rows_of(*source, table, keys).await?;
                if live.is_some() {
                    record.catch_up(*source).await?;
                }
                Ok(live)
            }
        }
    }
}

impl<S> Live<'_, S> {
    /// The keys of all rows that are there now; `None` where there is no source to be asked, or no such
    /// table in it any more.
    pub(super) async fn keys<D: Database>(
        &mut self,
        record: &mut Record<D>,
        at: &At,
        table: &TableName,
    ) -> Result<Option<Vec<Key>>, RecordError<D::Error>>
    where
        S: Database<Error = D::Error>,
    {
        match self {
            Self::None => Ok(None),
            Self::Here => {
                let keys = keys_of(&mut record.database, table).await?;
                record.catch_up_here(&at.slot).await?;
                Ok(keys)
            }
            Self::There(source) => {
                let keys = keys_of(*source, table).await?;
                record.catch_up(*source).await?;
                Ok(keys)
            }
        }
    }
}

async fn keys_of<S: Database>(
    source: &mut S,
    table: &TableName,
) -> Result<Option<Vec<Key>>, RecordError<S::Error>> {
    let Some(shape) = shape_of(source, table).await? else { return Ok(None) };
    let sql = Sql::new(format!(
        "WITH before AS MATERIALIZED (SELECT jsonb_build_array({}) AS settings) \
         SELECT k.key FROM before AS b \
         CROSS JOIN LATERAL (SELECT b.settings::text AS key \
             UNION ALL SELECT {} FROM {} AS t WHERE b.settings IS NOT NULL) AS k",
        settings(),
        key_of(&shape),
        table.quoted(),
    ));
    let mut keys = source.query(&sql).await.map_err(refused)?.into_iter();
    let before: Vec<String> = keys
        .next()
        .map_or(Ok(Vec::new()), |settings| serde_json::from_str(&settings))
        .map_err(unreadable)?;
    restore(source, before.into_iter().step_by(2)).await?;
    Ok(Some(keys.map(Key::from).collect()))
}

/// What the catalog says of a table that has a key.
async fn shape_of<S: Database>(
    source: &mut S,
    table: &TableName,
) -> Result<Option<Shape>, RecordError<S::Error>> {
    let mut sql = Sql::new(SHAPE);
    sql.bind(table.quoted());
    sql.push(")");
    let shape = ask::<_, Shape>(source, &sql).await?;
    Ok(shape.filter(|shape| !shape.key.is_empty()))
}

/// Reads the settings, and makes them ours: arguments are evaluated in their order.
fn settings() -> String {
    let settings: Vec<String> = SETTINGS
        .iter()
        .map(|(name, value)| {
            format!("current_setting('{name}'), set_config('{name}', '{value}', true)")
        })
        .collect();
    settings.join(", ")
}

/// Gives the session its settings back: where a transaction is open, ours would stay.
async fn restore<S: Database>(
    source: &mut S,
    before: impl Iterator<Item = String>,
) -> Result<(), RecordError<S::Error>> {
    let mut sql = Sql::new("SELECT ");
    for ((name, _), before) in SETTINGS.iter().zip(before) {
        sql.push(&format!("set_config('{name}', "));
        sql.bind(before);
        sql.push(", true) || ");
    }
    sql.push("''");
    source.query(&sql).await.map_err(refused)?;
    Ok(())
}

/// The key of a row `t`, as the record has it.
fn key_of(shape: &Shape) -> String {
    let column = |key: &KeyColumn| format!("t.{}", identifier(&key.name));
    match shape.key.as_slice() {
        [only] => format!("{}::text", column(only)),
        several => {
            let parts: Vec<String> =
                several.iter().map(|key| format!("to_json({}::text)::text", column(key))).collect();
            format!("'[' || {} || ']'", parts.join(" || ',' || "))
        }
    }
}

async fn rows_of<S: Database>(
    source: &mut S,
    table: &TableName,
    keys: &[Key],
) -> Result<Option<String>, RecordError<S::Error>> {
    let Some(shape) = shape_of(source, table).await? else { return Ok(None) };
    let Some(seen) = ask::<_, Seen>(source, &select(&shape, table, keys)).await? else {
        return Ok(None);
    };
    restore(source, seen.settings.into_iter()).await?;
    Ok(Some(seen.live.get().to_owned()))
}

/// The rows of these keys, each under its key as the record has it.
fn select(shape: &Shape, table: &TableName, keys: &[Key]) -> Sql {
    let key = key_of(shape);
    let mut sql = Sql::default();
    let keys = sql.parameter(serde_json::json!(keys).to_string());
    let columns = sql.parameter(shape.columns.get().to_owned());
    let unsent = sql.parameter(serde_json::json!(shape.unsent).to_string());
    let found = by_index(&shape.key).map_or_else(String::new, |found| format!("{found} AND "));
    sql.push(&format!(
        "WITH before AS MATERIALIZED (SELECT jsonb_build_array({}) AS settings), \
         seen AS MATERIALIZED (\
             SELECT coalesce(jsonb_object_agg(r.key, r.row), '{{}}') AS rows \
             FROM before AS b \
             CROSS JOIN LATERAL (SELECT DISTINCT w.key FROM jsonb_array_elements_text({keys}::jsonb) AS w (key) \
                                 WHERE b.settings IS NOT NULL) AS w \
             CROSS JOIN LATERAL (\
                 SELECT {key} AS key, \
                        to_jsonb(t.*) - array(SELECT jsonb_array_elements_text({unsent}::jsonb)) AS row \
                 FROM {} AS t WHERE {found}{key} = w.key) AS r) \
         SELECT json_build_object('settings', \
             (SELECT json_agg(s.value ORDER BY s.nr) \
              FROM jsonb_array_elements_text(b.settings) WITH ORDINALITY AS s (value, nr) WHERE s.nr % 2 = 1), \
             'live', json_build_object('rows', n.rows, 'columns', {columns}::json, \
                 'began', now() - interval '1 hour', \
                 'xmax', txid_snapshot_xmax(x.snapshot) & 4294967295, \
                 'xip', array(SELECT i & 4294967295 FROM txid_snapshot_xip(x.snapshot) AS i)))::text \
         FROM before AS b, seen AS n, txid_current_snapshot() AS x (snapshot)",
        settings(),
        table.quoted(),
    ));
    sql
}

/// A condition that an index serves, for keys whose texts are surely values of the column.
fn by_index(key: &[KeyColumn]) -> Option<String> {
    let [only] = key else { return None };
    let column = format!("t.{}", identifier(&only.name));
    match only.data_type.as_str() {
        "int2" | "int4" | "int8" => {
            Some(format!("{column} = CASE WHEN w.key ~ '^-?[0-9]{{1,18}}$' THEN w.key::bigint END"))
        }
        "uuid" => Some(format!(
            "{column} = CASE WHEN w.key ~ '^[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$' THEN w.key::uuid END"
        )),
        "text" | "varchar" => Some(format!("{column} = w.key")),
        _ => None,
    }
}

async fn ask<S: Database, T: DeserializeOwned>(
    source: &mut S,
    sql: &Sql,
) -> Result<Option<T>, RecordError<S::Error>> {
    let rows = source.query(sql).await.map_err(refused)?;
    rows.first().map(|row| serde_json::from_str(row)).transpose().map_err(unreadable)
}

fn unreadable<E: std::error::Error>(source: serde_json::Error) -> RecordError<E> {
    RecordError::Unreadable { what: "the rows of now", source }
}

fn refused<E: std::error::Error>(source: E) -> RecordError<E> {
    RecordError::Database { doing: "read the rows of now", source }
}
