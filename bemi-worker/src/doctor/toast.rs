//! Large values: those that PostgreSQL leaves out of an UPDATE that does not change them, and those that
//! grow beyond what it can decode.

use postgres_protocol::escape::escape_identifier;
use tokio_postgres::{Client, Error};
use tracing::debug;

use super::checks::Subject;
use super::finding::Diagnosis;
use crate::config::pattern::TablePattern;
use crate::setup::inspect::{Member, ReplicaIdentity};

/// How many bytes of text a value may be. Twice that is in an UPDATE under REPLICA IDENTITY FULL, of
/// which the server decodes less than 1 GB.
const VALUE_BYTES_MAX: i64 = 128 * 1024 * 1024;

/// A table with less than this many bytes out of line cannot hold such a value, however well it is
/// compressed.
const TOAST_BYTES_MIN: i64 = 512 * 1024;

/// Of how many tables values are measured, and in how many of their rows.
const TABLES_MEASURED_MAX: usize = 20;
const ROWS_MEASURED_MAX: i64 = 10_000;

/// How long that may take for a table, and wait for its lock.
const MEASURE_LIMITS: &str = "SET LOCAL statement_timeout = '2s'; SET LOCAL lock_timeout = '200ms'";

/// A table whose values may be stored out of line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Toasted {
    schema: String,
    name: String,
    /// Bytes that are out of line by now.
    bytes: i64,
    columns: Vec<String>,
    /// The column that has the largest value seen, and its size as text; of tables under FULL alone.
    largest: Option<(String, i64)>,
}

const TOASTED: &str = "
SELECT n.nspname::text, c.relname::text, coalesce(pg_catalog.pg_relation_size(c.reltoastrelid), 0),
       c.relreplident = 'f', a.names, a.types
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
    SELECT pg_catalog.array_agg(attname::text ORDER BY attnum) AS names,
           pg_catalog.array_agg(atttypid ORDER BY attnum) AS types
    FROM pg_catalog.pg_attribute
    WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attstorage IN ('x', 'e')) a
WHERE c.relkind = 'r' AND c.reltoastrelid <> 0 AND a.names IS NOT NULL
  AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname NOT IN ('information_schema', 'bemi')
ORDER BY 3 DESC, 1, 2";

/// Reads the catalog, and measures the values of the largest tables under REPLICA IDENTITY FULL.
pub(super) async fn read(client: &mut Client) -> Result<Vec<Toasted>, Error> {
    let mut found = Vec::new();
    let mut measured = 0;
    for row in client.query(TOASTED, &[]).await? {
        let mut table = Toasted {
            schema: row.try_get(0)?,
            name: row.try_get(1)?,
            bytes: row.try_get(2)?,
            columns: row.try_get(4)?,
            largest: None,
        };
        let (is_full, types): (bool, Vec<u32>) = (row.try_get(3)?, row.try_get(5)?);
        if is_full && table.bytes >= TOAST_BYTES_MIN && measured < TABLES_MEASURED_MAX {
            measured += 1;
            // What the role may not read, what is locked, and what takes too long stays unknown.
            table.largest = measure(client, &table, &types).await.unwrap_or_else(|error| {
                debug!(%error, table = table.name, "its values were not measured");
                None
            });
        }
        found.push(table);
    }
    Ok(found)
}

/// The largest of the first rows' values. What is out of line is not read for it.
async fn measure(
    client: &mut Client,
    table: &Toasted,
    types: &[u32],
) -> Result<Option<(String, i64)>, Error> {
    let sizes: Vec<String> = table
        .columns
        .iter()
        .zip(types)
        .map(|(column, data_type)| size(&escape_identifier(column), *data_type))
        .collect();
    let select = format!(
        "SELECT ARRAY[{}] FROM (SELECT * FROM ONLY {}.{} LIMIT {ROWS_MEASURED_MAX}) AS t",
        sizes.join(", "),
        escape_identifier(&table.schema),
        escape_identifier(&table.name),
    );
    let transaction = client.build_transaction().read_only(true).start().await?;
    transaction.batch_execute(MEASURE_LIMITS).await?;
    let largest: Vec<Option<i64>> = transaction.query_one(&select, &[]).await?.try_get(0)?;
    transaction.rollback().await?;
    let with_names = table.columns.iter().cloned().zip(largest.into_iter().map(|l| l.unwrap_or(0)));
    Ok(with_names.max_by_key(|(_, bytes)| *bytes))
}

/// The size of a column's values as text, where the server tells it without reading them; else as they
/// are stored, which may be compressed.
fn size(column: &str, data_type: u32) -> String {
    match data_type {
        // text, varchar
        25 | 1043 => format!("max(pg_catalog.octet_length(t.{column}::text))::int8"),
        // bytea, whose text is hexadecimal
        17 => format!("max(pg_catalog.octet_length(t.{column}))::int8 * 2"),
        _ => format!("max(pg_catalog.pg_column_size(t.{column}))::int8"),
    }
}

pub(super) fn check(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let selected = subject.rules.selected(&subject.facts.found.source.tables);
    let members: Vec<&Member> = selected.values().flat_map(|table| &table.members).collect();
    let is_of = |identity: fn(&ReplicaIdentity) -> bool| {
        subject.facts.toasted.iter().filter(move |toasted| {
            members.iter().any(|member| {
                member.schema == toasted.schema
                    && member.name == toasted.name
                    && member.is_identified
                    && identity(&member.identity)
            })
        })
    };
    let partial = is_of.clone()(|identity| *identity != ReplicaIdentity::Full);
    unavailable(partial, diagnosis);
    let full = is_of(|identity| *identity == ReplicaIdentity::Full);
    huge(full, diagnosis);
}

fn unavailable<'a>(tables: impl Iterator<Item = &'a Toasted>, diagnosis: &mut Diagnosis) {
    let (large, possible): (Vec<&Toasted>, Vec<&Toasted>) = tables.partition(|t| t.bytes > 0);
    let why = "an UPDATE that leaves such a value as it is does not have it in the WAL: it is missing in \
               `after`, and its column is named in `unavailable`";
    let fix = "run `bemi-worker setup --replica-identity full`, or full:PATTERNS for these tables";
    if !large.is_empty() {
        diagnosis.warn(
            "B063",
            format!("{}: have large values out of line", told(&large)),
            why,
            fix,
        );
    } else if !possible.is_empty() {
        let what = format!("{}: can have large values out of line", told(&possible));
        diagnosis.note("B063", what, why, fix);
    }
}

fn huge<'a>(tables: impl Iterator<Item = &'a Toasted>, diagnosis: &mut Diagnosis) {
    let huge: Vec<String> = tables
        .filter_map(|table| {
            let (column, bytes) = table.largest.as_ref()?;
            (*bytes >= VALUE_BYTES_MAX)
                .then(|| format!("{} ({} MB in {column})", name(table), bytes >> 20))
        })
        .collect();
    if !huge.is_empty() {
        diagnosis.warn(
            "B064",
            format!("{}: huge values under REPLICA IDENTITY FULL", huge.join(", ")),
            "an UPDATE has the row twice, before and after: from around 540 MB on it commits, and can \
             never be decoded by anybody, so that the slot is at its end",
            "keep such values in tables that are left out, or of REPLICA IDENTITY DEFAULT: ALTER TABLE … \
             REPLICA IDENTITY DEFAULT",
        );
    }
}

fn name(table: &Toasted) -> String {
    TablePattern::exactly(&table.schema, &table.name).to_string()
}

fn told(tables: &[&Toasted]) -> String {
    let tables =
        tables.iter().map(|table| format!("{} ({})", name(table), table.columns.join(", ")));
    tables.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn values_are_measured_as_the_text_that_is_sent() {
        assert_eq!(size("\"a\"", 25), "max(pg_catalog.octet_length(t.\"a\"::text))::int8");
        assert_eq!(size("\"a\"", 17), "max(pg_catalog.octet_length(t.\"a\"))::int8 * 2");
        assert_eq!(size("\"a\"", 3802), "max(pg_catalog.pg_column_size(t.\"a\"))::int8");
    }
}
