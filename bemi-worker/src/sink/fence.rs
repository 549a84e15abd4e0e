//! Takes the right to write over from the worker before.
//!
//! A worker that was stopped in the middle of its last transaction holds rows of it, or the checkpoint, for
//! as long as it is stopped, and would keep its successor waiting. The successor has the slot by now, which the server gives
//! to one alone, so the other one cannot go on. Its session is ended: what it was committing is either
//! there, and then the checkpoint says so, or it comes again.
//!
//! Invariant: no session is ended but one that stores for the same slot, and says so by its lock.

use std::time::Duration;

use bemi_core::Lsn;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};
use tracing::warn;

use super::checkpoint::{Checkpoint, Epoch};
use super::rows::LOCK_TIMEOUT;

/// How long a worker that has lost the slot may take for its last commit.
const LAST_COMMIT_MAX: Duration = Duration::from_secs(3);

/// Takes a new epoch, as [`Checkpoint::take_epoch`], in a session that is [prepared](super::prepare_session).
/// Nobody but the worker that streams from the slot may do this.
///
/// # Errors
///
/// Those of the destination.
///
/// # Cancellation safety
///
/// The session is to be given up then.
pub(crate) async fn take_over(
    client: &Client,
    slot: &str,
    timeline: u32,
) -> Result<(Epoch, Lsn), Error> {
    // Held until the session ends. Shared: it is a sign, and keeps nobody waiting.
    client.execute(&format!("SELECT pg_catalog.pg_advisory_lock_shared({SIGN})"), &[&slot]).await?;
    let wait_ms = LAST_COMMIT_MAX.as_millis();
    client.batch_execute(&format!("SET lock_timeout = {wait_ms}")).await?;
    let taken = Checkpoint::take_epoch(client, slot, timeline).await;
    client.batch_execute(&format!("SET lock_timeout = '{LOCK_TIMEOUT}'")).await?;
    match taken {
        Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
            end_predecessors(client, slot).await?;
            Checkpoint::take_epoch(client, slot, timeline).await
        }
        Ok(taken) => {
            // One that has rows in its transaction can no more commit them, and keeps us from storing them.
            end_predecessors(client, slot).await?;
            Ok(taken)
        }
        Err(error) => Err(error),
    }
}

/// By which lock a session shows that it stores for the slot `$1`.
const SIGN: &str = "pg_catalog.hashtextextended('bemi stores for slot ' || $1::text, 0)";

async fn end_predecessors(client: &Client, slot: &str) -> Result<(), Error> {
    let ended = client
        .query(
            &format!(
                "SELECT l.pid, pg_catalog.pg_terminate_backend(l.pid) \
                 FROM pg_catalog.pg_locks l \
                 JOIN pg_catalog.pg_stat_activity a USING (pid) \
                 WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.mode = 'ShareLock' \
                   AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d \
                                     WHERE d.datname = pg_catalog.current_database()) \
                   AND (l.classid::int8 << 32 | l.objid::int8) = {SIGN} \
                   AND l.pid <> pg_catalog.pg_backend_pid() \
                   AND coalesce(a.state, '') <> 'idle'"
            ),
            &[&slot],
        )
        .await;
    let ended = match ended {
        Ok(ended) => ended,
        // It ran as another role. Its lock is waited for, as long as for any other.
        Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            warn!(
                slot,
                "the worker before this one has not ended its transaction, and this role may not end it"
            );
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    for row in ended {
        let process: i32 = row.try_get(0)?;
        warn!(
            slot,
            process,
            "ended a session of the worker before this one, which had lost the slot in the middle of a transaction"
        );
    }
    Ok(())
}
