//! Changes that cannot be rows of `changes`, kept with what was received of them.

use tokio_postgres::{Client, Error};

use crate::batch::Quarantined;

/// Stores a change in quarantine, in the transaction that is open.
pub(super) async fn insert(
    client: &Client,
    slot: &str,
    quarantined: &Quarantined,
) -> Result<(), Error> {
    client
        .execute(
            "INSERT INTO bemi.quarantine (slot, position, commit_position, sequence, \
                 committed_at, transaction_id, schema, \"table\", error, raw) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            &[
                &slot,
                &quarantined.position.to_bigint(),
                &quarantined.commit_position.0.to_bigint(),
                &quarantined.sequence.0,
                &quarantined.committed_at,
                &i64::from(quarantined.id.0),
                &quarantined.schema,
                &quarantined.table,
                &quarantined.error,
                &quarantined.raw,
            ],
        )
        .await?;
    Ok(())
}
