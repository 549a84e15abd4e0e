//! What triggers told, and what is stored, read row by row.

use tokio_postgres::Client;

/// A change as a trigger saw it.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// Its order among all changes of the same row, or table.
    pub(super) ordinal: i64,
    pub(super) transaction_id: i64,
    pub(super) schema: String,
    pub(super) table: String,
    pub(super) operation: String,
    pub(super) key: Option<Vec<String>>,
    pub(super) previous_key: Option<Vec<String>>,
    /// Whether the whole row before is in the WAL.
    pub(super) is_full: bool,
    pub(super) before: String,
    pub(super) after: String,
    pub(super) context: String,
    /// When it committed, where the server keeps that (`track_commit_timestamp`).
    pub(super) committed_at: Option<String>,
}

/// A row of `changes`.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) id: String,
    pub(super) transaction_id: i64,
    pub(super) commit_position: i64,
    pub(super) sequence: i64,
    pub(super) schema: String,
    pub(super) table: String,
    pub(super) operation: String,
    pub(super) primary_key: Option<String>,
    pub(super) previous_key: Option<String>,
    pub(super) before: String,
    pub(super) after: String,
    pub(super) context: String,
    pub(super) before_complete: bool,
    pub(super) unavailable: Option<Vec<String>>,
    pub(super) encoded: Option<Vec<String>>,
    pub(super) committed_at: String,
}

impl Told {
    /// Everything that triggers told, in the order of each transaction.
    pub(super) async fn read(source: &Client) -> Vec<Self> {
        let rows = source
            .query(
                "SELECT ordinal, transaction_id, schema, \"table\", operation, key, previous_key, \
                     identity = 'f', before::text, after::text, context::text, \
                     CASE WHEN current_setting('track_commit_timestamp')::bool THEN (extract(epoch FROM \
                         pg_xact_commit_timestamp(transaction_id::text::xid)) * 1000000)::bigint::text END \
                 FROM truth.log ORDER BY ordinal",
                &[],
            )
            .await
            .unwrap();
        rows.iter()
            .map(|row| Self {
                ordinal: row.get(0),
                transaction_id: row.get(1),
                schema: row.get(2),
                table: row.get(3),
                operation: row.get(4),
                key: row.get(5),
                previous_key: row.get(6),
                is_full: row.get(7),
                before: row.get(8),
                after: row.get(9),
                context: row.get(10),
                committed_at: row.get(11),
            })
            .collect()
    }
}

impl Stored {
    /// Every change of the source's database but those that no trigger sees, in the order of `changes`.
    pub(super) async fn read(source: &Client, destination: &Client, schema: &str) -> Vec<Self> {
        let database: String =
            source.query_one("SELECT current_database()", &[]).await.unwrap().get(0);
        let rows = destination
            .query(
                &format!(
                    "SELECT id::text, transaction_id, commit_position, sequence, schema, \"table\", \
                         operation, primary_key, previous_key, before::text, after::text, \
                         context::text, before_complete, unavailable, encoded, \
                         (extract(epoch FROM committed_at) * 1000000)::bigint::text \
                     FROM {schema}.changes WHERE database = $1 AND operation NOT IN ('SNAPSHOT', 'DDL') \
                     ORDER BY commit_position, sequence"
                ),
                &[&database],
            )
            .await
            .unwrap();
        rows.iter()
            .map(|row| Self {
                id: row.get(0),
                transaction_id: row.get(1),
                commit_position: row.get(2),
                sequence: row.get(3),
                schema: row.get(4),
                table: row.get(5),
                operation: row.get(6),
                primary_key: row.get(7),
                previous_key: row.get(8),
                before: row.get(9),
                after: row.get(10),
                context: row.get(11),
                before_complete: row.get(12),
                unavailable: row.get(13),
                encoded: row.get(14),
                committed_at: row.get(15),
            })
            .collect()
    }
}
