//! What the record knows of a table: the columns of its key, and the keys that a record had.

use bemi_core::changes_table::TABLE;
use bemi_core::record::{Key, TableName};
use postgres_protocol::escape::escape_identifier;
use tokio_postgres::{Client, Error};

use super::{Columns, Erasure};
use crate::chain::Chained;
use crate::error::WorkerError;

/// The columns that stay, since they are of the key, at whatever time.
///
/// # Errors
///
/// [`WorkerError::Usage`] where the key is to go, or where it is not known; those of the destination.
pub(super) async fn kept(
    client: &Client,
    slot: &str,
    erasure: &Erasure,
) -> Result<Vec<String>, WorkerError> {
    let Some(table) = erasure.target.table() else {
        return match erasure.columns {
            Columns::None => Ok(Vec::new()),
            _ => Err(usage("columns are those of a table; say which, by --table".to_owned())),
        };
    };
    let row = client
        .query_one(
            "SELECT coalesce(array_agg(DISTINCT k.name) FILTER (WHERE k.name IS NOT NULL), '{}') \
             FROM bemi.table_events AS e CROSS JOIN LATERAL unnest(e.key_columns) AS k (name) \
             WHERE e.slot = $1 AND e.schema = $2 AND e.\"table\" = $3",
            &[&slot, &table.schema(), &table.table()],
        )
        .await
        .map_err(super::failed)?;
    let key: Vec<String> = row.try_get(0).map_err(super::failed)?;
    match &erasure.columns {
        Columns::AllButKey if key.is_empty() => Err(usage(format!(
            "the record does not tell which columns are the key of {table}; name those that are to go, by --columns"
        ))),
        Columns::These(columns) if columns.iter().any(|column| key.contains(column)) => {
            let of_key: Vec<_> =
                columns.iter().filter(|column| key.contains(column)).cloned().collect();
            Err(usage(format!(
                "{} of {table} is the key: it says which changes are of one row, and stays",
                of_key.join(", ")
            )))
        }
        _ => Ok(key),
    }
}

fn usage(what: String) -> WorkerError {
    WorkerError::Usage { what }
}

/// Every key of the record that had this one: those before and behind, as far as UPDATEs tell.
pub(super) async fn keys(
    client: &Client,
    chained: &Chained,
    database: &str,
    table: &TableName,
    key: &Key,
) -> Result<Vec<String>, Error> {
    let sql = format!(
        "SELECT DISTINCT unnest(ARRAY[c.primary_key, c.previous_key]) FROM {} AS c \
         WHERE c.database = $1 AND c.schema = $2 AND c.\"table\" = $3 \
           AND c.previous_key IS NOT NULL AND c.primary_key IS NOT NULL \
           AND (c.primary_key = ANY ($4) OR c.previous_key = ANY ($4))",
        changes(chained)
    );
    let mut keys = vec![key.as_str().to_owned()];
    loop {
        let rows = client.query(&sql, &[&database, &table.schema(), &table.table(), &keys]).await?;
        let before = keys.len();
        for row in &rows {
            let key: String = row.try_get(0)?;
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        if keys.len() == before {
            return Ok(keys);
        }
    }
}

/// Changes of rows that do not tell their key.
pub(super) async fn count_without_key(
    client: &Client,
    chained: &Chained,
    database: &str,
    table: &TableName,
) -> Result<i64, Error> {
    let sql = format!(
        "SELECT count(*) FROM {} AS c WHERE c.database = $1 AND c.schema = $2 AND c.\"table\" = $3 \
           AND c.primary_key IS NULL AND c.operation NOT IN ('TRUNCATE', 'DDL')",
        changes(chained)
    );
    client.query_one(&sql, &[&database, &table.schema(), &table.table()]).await?.try_get(0)
}

/// The table, as SQL has it.
pub(super) fn changes(chained: &Chained) -> String {
    format!("{}.{TABLE}", escape_identifier(&chained.changes_schema))
}
