//! Goes on from the slot of the original worker, if it has stored all that only it can read.
//!
//! Invariant: between the last change that the original worker has stored and the first that this
//! one will store is no other, and none is stored by both; where that is not certain, nothing is
//! changed and the reason is told.

use bemi_core::Lsn;
use bemi_core::changes_table::TABLE;
use postgres_protocol::escape::escape_identifier;

use super::apply::Sessions;
use super::inspect::RecordKind;
use super::plan::not_yet;
use crate::WorkerError;
use crate::config::{Config, SlotName};
use crate::error::Problems;
use crate::source::{SlotState, advance_slot, copy_slot, drop_slot};

/// Copies the slot, and moves the copy to where the publications begin. Returns where that is.
pub(super) async fn take_over(
    sessions: &Sessions,
    config: &Config,
    from: &SlotName,
    publication: Option<&str>,
) -> Result<Lsn, WorkerError> {
    let source = &sessions.source;
    let failed = || WorkerError::database(format!("go on from replication slot {from}"));
    let refused = |why: &str| {
        let mut problems = Problems::default();
        problems.requirement(not_yet(from, why));
        WorkerError::Unready(problems)
    };

    let slot = SlotState::read(source, from).await.map_err(failed())?;
    let slot = slot.ok_or_else(|| refused("its slot is gone"))?;
    if let Some(process) = slot.active_process {
        return Err(refused(&format!("it still streams (process {process})")));
    }
    let mark = read_mark(sessions, from).await.map_err(failed())?;
    if slot.confirmed < mark {
        let Some(publication) = publication else {
            return Err(refused(
                "its publication is gone, so nobody can tell what it has not read",
            ));
        };
        let unread = count_unread(sessions, config, from, publication, mark);
        let unread = unread.await.map_err(failed())?;
        if unread > 0 {
            return Err(refused(&format!(
                "changes from before this setup wait in its slot behind {}, {unread} of them",
                slot.confirmed
            )));
        }
    }
    let start = slot.confirmed.max(mark);
    let stored = count_stored_from(sessions, config, start).await.map_err(failed())?;
    if stored > 0 {
        return Err(refused(&format!(
            "changes from behind {start}, up to where its slot is acknowledged, are stored already, \
             {stored} of them, and would be stored again"
        )));
    }

    let (kind, name) = (RecordKind::Slot.text(), config.slot.as_str());
    source
        .execute(
            "INSERT INTO bemi.installation (kind, name) VALUES ($1, $2) \
             ON CONFLICT (kind, name) DO UPDATE SET former = NULL",
            &[&kind, &name],
        )
        .await
        .map_err(failed())?;
    let position = match copy_slot(source, from, &config.slot).await {
        Ok(position) => position,
        Err(error) => {
            // Another's slot, or none: not ours in any case.
            forget(sessions, kind, name).await.map_err(failed())?;
            return Err(failed()(error));
        }
    };
    if position != slot.confirmed {
        drop_slot(source, &config.slot).await.map_err(failed())?;
        forget(sessions, kind, name).await.map_err(failed())?;
        return Err(refused("it was started again meanwhile"));
    }
    if position < start {
        advance_slot(source, &config.slot, start).await.map_err(failed())?;
    }
    source
        .execute(
            "UPDATE bemi.installation SET former = $3 WHERE kind = $1 AND name = $2",
            &[&kind, &name, &start.to_string()],
        )
        .await
        .map_err(failed())?;
    Ok(start)
}

async fn forget(sessions: &Sessions, kind: &str, name: &str) -> Result<u64, tokio_postgres::Error> {
    let forget = "DELETE FROM bemi.installation WHERE kind = $1 AND name = $2";
    sessions.source.execute(forget, &[&kind, &name]).await
}

/// From where on our publications can be read.
async fn read_mark(sessions: &Sessions, from: &SlotName) -> Result<Lsn, tokio_postgres::Error> {
    let row = sessions
        .source
        .query_one(
            "SELECT (former::pg_lsn - '0/0')::bigint FROM bemi.installation \
             WHERE kind = $1 AND name = $2",
            &[&RecordKind::OriginalSlot.text(), &from.as_str()],
        )
        .await?;
    Ok(Lsn::from_bigint(row.try_get(0)?))
}

/// How many changes the slot holds before the mark, but for those of either worker's own tables. A
/// message of pgoutput begins with its kind: I, U, D, each with the table's oid behind it, or T.
async fn count_unread(
    sessions: &Sessions,
    config: &Config,
    from: &SlotName,
    publication: &str,
    mark: Lsn,
) -> Result<i64, tokio_postgres::Error> {
    let row = sessions
        .source
        .query_one(
            "SELECT count(*) FROM pg_logical_slot_peek_binary_changes($1, $2::text::pg_lsn, NULL, \
                 'proto_version', '1', 'publication_names', $3) AS message \
             WHERE get_byte(data, 0) = ascii('T') \
                OR get_byte(data, 0) IN (ascii('I'), ascii('U'), ascii('D')) \
               AND (SELECT count(*) = 0 FROM pg_class c \
                    WHERE c.oid = ((get_byte(data, 1)::bigint << 24) + (get_byte(data, 2) << 16) \
                                   + (get_byte(data, 3) << 8) + get_byte(data, 4))::oid \
                      AND (c.relnamespace = to_regnamespace('bemi') \
                           OR c.relname = '_bemi_migrations' \
                           OR c.oid = to_regclass($4)))",
            &[
                &from.as_str(),
                &mark.to_string(),
                &escape_identifier(publication),
                &changes_table(config),
            ],
        )
        .await?;
    row.try_get(0)
}

/// How many rows are stored of changes at this position or behind it, up to the end of the WAL.
async fn count_stored_from(
    sessions: &Sessions,
    config: &Config,
    start: Lsn,
) -> Result<i64, tokio_postgres::Error> {
    let end: i64 = sessions
        .source
        .query_one("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint", &[])
        .await?
        .try_get(0)?;
    let count = format!(
        "SELECT count(*) FROM {} WHERE position >= $1 AND position < $2",
        changes_table(config)
    );
    sessions.destination.query_one(&count, &[&start.to_bigint(), &end]).await?.try_get(0)
}

fn changes_table(config: &Config) -> String {
    format!("{}.{}", escape_identifier(&config.changes_schema), escape_identifier(TABLE))
}
