//! What `status` says of baselines.

use bemi_core::Lsn;
use serde::Serialize;
use tokio_postgres::{Client, Error};

use crate::config::pattern::TablePattern;

/// The baseline of a table: its rows that are stored as changes of the operation SNAPSHOT.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BaselineStatus {
    /// `schema.table`, in quotes where SQL needs them.
    pub table: String,
    /// How many rows are stored.
    pub rows: i64,
    /// The `commit_position` of the last of them; none where nothing is stored so far.
    pub position: Option<Lsn>,
    /// Whether all of them are stored.
    pub finished: bool,
}

/// Reads the baselines of `slot`; none, where setup is older than they are, or the role may not look.
pub(crate) async fn read_baselines(
    destination: &Client,
    slot: &str,
) -> Result<Vec<BaselineStatus>, Error> {
    let may_read: bool = destination
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c \
                            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                            WHERE n.nspname = 'bemi' AND c.relname = 'backfill' \
                              AND pg_catalog.has_table_privilege(c.oid, 'SELECT'))",
            &[],
        )
        .await?
        .try_get(0)?;
    if !may_read {
        return Ok(Vec::new());
    }
    let rows = destination
        .query(
            "SELECT schema, \"table\", rows, position, finished_at IS NOT NULL \
             FROM bemi.backfill WHERE slot = $1 ORDER BY schema, \"table\"",
            &[&slot],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let position = Lsn::from_bigint(row.try_get(3)?);
            Ok(BaselineStatus {
                table: TablePattern::exactly(row.try_get(0)?, row.try_get(1)?).to_string(),
                rows: row.try_get(2)?,
                position: (position != Lsn::ZERO).then_some(position),
                finished: row.try_get(4)?,
            })
        })
        .collect()
}
