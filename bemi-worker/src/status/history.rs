//! How far back the record goes, in short: `bemi-worker coverage` tells it table by table.

use serde::Serialize;
use tokio_postgres::{Client, Error};

/// Since when there is a record. Times are in the destination's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct HistoryStatus {
    /// How many tables are tracked, of which is known since when.
    pub tables: i64,
    /// Since when the first of them is.
    pub first_since: Option<String>,
    /// Since when all of them are.
    pub all_since: Option<String>,
    /// From when on retention has dropped nothing; none where it has dropped nothing at all.
    pub kept_since: Option<String>,
}

/// Reads it; `None` where setup is older than the tables that know it, or the role may not look.
pub(super) async fn read(destination: &Client, slot: &str) -> Result<Option<HistoryStatus>, Error> {
    let may_read: bool = destination
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c \
                            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                            WHERE n.nspname = 'bemi' AND c.relname = 'table_events' \
                              AND pg_catalog.has_table_privilege(c.oid, 'SELECT'))",
            &[],
        )
        .await?
        .try_get(0)?;
    if !may_read {
        return Ok(None);
    }
    let row = destination.query_one(HISTORY, &[&slot]).await?;
    Ok(Some(HistoryStatus {
        tables: row.try_get(0)?,
        first_since: row.try_get(1)?,
        all_since: row.try_get(2)?,
        kept_since: row.try_get(3)?,
    }))
}

/// A table's record begins with the last event that began it. Older tables do not know of retention.
const HISTORY: &str = "
SELECT count(*), min(began.since)::text, max(began.since)::text,
       (SELECT max((pg_catalog.to_jsonb(g) ->> 'kept_since')::timestamptz)::text FROM bemi.gaps g
        WHERE g.slot = $1 AND pg_catalog.to_jsonb(g) ->> 'kind' = 'expired')
FROM (SELECT DISTINCT ON (schema, \"table\") schema, \"table\", event
      FROM bemi.table_events WHERE slot = $1
      ORDER BY schema, \"table\", commit_position DESC, sequence DESC, ordinal DESC) AS last
CROSS JOIN LATERAL (
     SELECT committed_at AS since FROM bemi.table_events e
     WHERE e.slot = $1 AND e.schema = last.schema AND e.\"table\" = last.\"table\"
       AND e.event IN ('tracked', 'created')
     ORDER BY e.commit_position DESC, e.sequence DESC, e.ordinal DESC LIMIT 1) AS began
WHERE last.event IN ('tracked', 'created', 'altered')";
