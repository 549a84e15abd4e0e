//! Lets links go with what retention drops.
//!
//! A link of kind `expired` says first which days may go, and with which link the chain then begins: that
//! they are missing is vouched for by who has the key. What is left of them is removed by and by.

use jiff::Timestamp;
use serde_json::json;
use tokio_postgres::{Client, Error};
use tracing::warn;

use super::link::utc_day;
use super::verify::{hex, last_expired};
use super::{Head, Kind, Link, append};
use crate::config::ChainKey;
use crate::error::WorkerError;

/// How many links are removed in one transaction.
const LINKS_AT_ONCE: i64 = 1_000;

/// Notes down in every chain of the destination that what was committed before a midnight in UTC may go, and
/// removes what covers it. To be called when that is announced, outside of a transaction. A chain of another
/// key is left as it is, and told.
///
/// # Errors
///
/// Those of the destination. What was done stays, and the next call does the rest.
///
/// # Cancellation safety
///
/// The session is to be given up then; the next call goes on.
pub(crate) async fn expire(
    client: &Client,
    key: Option<&ChainKey>,
    before: Timestamp,
) -> Result<(), WorkerError> {
    let is_there: bool = client
        .query_one("SELECT pg_catalog.to_regclass('bemi.chain_heads') IS NOT NULL", &[])
        .await
        .and_then(|row| row.try_get(0))
        .map_err(failed)?;
    if !is_there {
        return Ok(());
    }
    let slots = client
        .query("SELECT slot FROM bemi.chain_heads WHERE number > 0 ORDER BY slot", &[])
        .await
        .map_err(failed)?;
    for row in &slots {
        let slot = row.try_get(0).map_err(failed)?;
        client.batch_execute("BEGIN").await.map_err(failed)?;
        match note(client, slot, key, before).await {
            Ok(()) => client.batch_execute("COMMIT").await.map_err(failed)?,
            Err(error @ WorkerError::ChainKey { .. }) => {
                client.batch_execute("ROLLBACK").await.map_err(failed)?;
                warn!(%error, "what retention drops will be missing from that chain");
                continue;
            }
            Err(error) => return Err(error),
        }
        remove(client, slot).await.map_err(failed)?;
    }
    Ok(())
}

async fn note(
    client: &Client,
    slot: &str,
    key: Option<&ChainKey>,
    before: Timestamp,
) -> Result<(), WorkerError> {
    let mut head = Head::lock(client, slot).await.map_err(failed)?;
    let mut expired = last_expired(client, slot).await.map_err(failed)?;
    let before = utc_day(before);
    if expired.before.is_some_and(|noted| noted >= before) {
        return Ok(());
    }
    head.state.check_key(slot, key)?;
    // What is older, as far as nothing that is kept is before it.
    let last = client
        .query_opt(
            "SELECT number, hash FROM bemi.chain AS l \
             WHERE slot = $1 AND number < coalesce((SELECT min(k.number) FROM bemi.chain AS k \
                 WHERE k.slot = $1 AND k.number > $2 AND k.day >= $3), $4) \
             ORDER BY number DESC LIMIT 1",
            &[&slot, &expired.pruned_to, &before, &(head.state.number + 1)],
        )
        .await
        .map_err(failed)?;
    if let Some(last) = last {
        let number: i64 = last.try_get(0).map_err(failed)?;
        if number > expired.pruned_to {
            let hash: &[u8] = last.try_get(1).map_err(failed)?;
            (expired.pruned_to, expired.pruned_hash) = (number, Some(hex(hash)));
        }
    }
    expired.before = Some(before);
    let note = json!({
        "before": expired.before,
        "pruned_to": expired.pruned_to,
        "pruned_hash": expired.pruned_hash,
    });
    let links = [Link::noting(Kind::Expired, note.to_string())];
    append(client, &mut head, key, &links).await.map_err(failed)
}

/// Removes what was noted down, a few links at a time.
async fn remove(client: &Client, slot: &str) -> Result<(), Error> {
    let expired = last_expired(client, slot).await?;
    let Some(before) = expired.before else { return Ok(()) };
    let rows = "DELETE FROM bemi.chain_rows WHERE piece = ANY (ARRAY( \
                    SELECT r.piece FROM bemi.chain AS l JOIN bemi.chain_rows AS r ON r.piece = l.piece \
                    WHERE l.slot = $1 AND (l.day < $2 OR l.number <= $3) LIMIT $4))";
    while client.execute(rows, &[&slot, &before, &expired.pruned_to, &LINKS_AT_ONCE]).await? > 0 {}
    let links = "DELETE FROM bemi.chain WHERE slot = $1 AND number = ANY (ARRAY( \
                     SELECT number FROM bemi.chain WHERE slot = $1 AND number <= $2 LIMIT $3))";
    while client.execute(links, &[&slot, &expired.pruned_to, &LINKS_AT_ONCE]).await? > 0 {}
    Ok(())
}

fn failed(error: Error) -> WorkerError {
    WorkerError::database("note in the chain what retention drops")(error)
}
