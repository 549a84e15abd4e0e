//! What became of tables, stored beside the changes.

use tokio_postgres::{Client, Error};

use crate::batch::PlacedEvent;
use crate::stitch::TableIdentity;

/// Stores an event, in the transaction that is open. One that has the same place, in WAL that is no more,
/// is replaced.
pub(super) async fn insert(
    client: &Client,
    slot: &str,
    PlacedEvent { event, place }: &PlacedEvent,
) -> Result<(), Error> {
    client
        .execute(
            "INSERT INTO bemi.table_events (slot, commit_position, sequence, ordinal, \
                 committed_at, schema, \"table\", relation, event, rewritten, identity, \
                 key_columns, columns) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13::text::jsonb) \
             ON CONFLICT (slot, commit_position, sequence, ordinal) DO UPDATE \
             SET committed_at = excluded.committed_at, schema = excluded.schema, \
                 \"table\" = excluded.\"table\", relation = excluded.relation, \
                 event = excluded.event, rewritten = excluded.rewritten, \
                 identity = excluded.identity, key_columns = excluded.key_columns, \
                 columns = excluded.columns",
            &[
                &slot,
                &place.transaction.position.0.to_bigint(),
                &place.sequence.0,
                &place.ordinal,
                &place.transaction.committed_at,
                &event.schema,
                &event.table,
                &i64::from(event.relation),
                &event.kind.text(),
                &event.rewritten,
                &event.identity.map(TableIdentity::text),
                &event.key,
                &event.columns,
            ],
        )
        .await?;
    Ok(())
}
