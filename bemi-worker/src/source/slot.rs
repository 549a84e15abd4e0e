//! The replication slot, as the server has it.

use bemi_core::Lsn;
use tokio_postgres::{Client, Error};

use crate::config::SlotName;

/// What is said when a slot is created that standbys are to keep a copy of.
pub(crate) const FAILOVER_OPTION: &str = ", failover => true";

/// What `pg_replication_slots` says of a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlotState {
    pub(crate) plugin: String,
    pub(crate) database: String,
    /// The process that streams from it.
    pub(crate) active_process: Option<i32>,
    /// Up to where somebody acknowledged it.
    pub(crate) confirmed: Lsn,
    /// The server has given up the WAL that it needs.
    pub(crate) is_lost: bool,
    /// Why the server has invalidated it, in its own words, from 17 on: `wal_removed`, `idle_timeout`.
    pub(crate) invalidation: Option<String>,
    /// Whether standbys keep a copy of it, so that it survives a failover. No server before 17 can do that.
    pub(crate) is_failover: bool,
}

impl SlotState {
    /// Reads the state of `slot`; `None` where there is no such slot.
    ///
    /// # Errors
    ///
    /// Those of the query.
    pub(crate) async fn read(client: &Client, slot: &SlotName) -> Result<Option<Self>, Error> {
        let row = client
            .query_opt(
                "SELECT coalesce(plugin, '')::text, coalesce(database, '')::text, active_pid, \
                     (confirmed_flush_lsn - '0/0')::bigint, \
                     coalesce(wal_status = 'lost', false), \
                     pg_catalog.to_jsonb(s) ->> 'invalidation_reason', \
                     coalesce((pg_catalog.to_jsonb(s) ->> 'failover')::boolean, false) \
                 FROM pg_catalog.pg_replication_slots s WHERE slot_name = $1",
                &[&slot.as_str()],
            )
            .await?;
        row.map(|row| {
            Ok(Self {
                plugin: row.try_get(0)?,
                database: row.try_get(1)?,
                active_process: row.try_get(2)?,
                confirmed: Lsn::from_bigint(row.try_get::<_, Option<i64>>(3)?.unwrap_or(0)),
                is_lost: row.try_get(4)?,
                invalidation: row.try_get(5)?,
                is_failover: row.try_get(6)?,
            })
        })
        .transpose()
    }
}

/// Creates the slot. It holds the WAL from the returned position on. `failover` asks for one that standbys
/// keep a copy of, which takes a server from 17 on.
///
/// # Errors
///
/// Those of the statement.
pub(crate) async fn create_slot(
    client: &Client,
    slot: &SlotName,
    failover: bool,
) -> Result<Lsn, Error> {
    let options = if failover { FAILOVER_OPTION } else { "" };
    let create = format!(
        "SELECT (lsn - '0/0')::bigint FROM pg_create_logical_replication_slot($1, 'pgoutput'{options})"
    );
    let row = client.query_one(&create, &[&slot.as_str()]).await?;
    Ok(Lsn::from_bigint(row.try_get(0)?))
}

/// Drops the slot.
///
/// # Errors
///
/// Those of the statement; that somebody streams from it is one.
pub(crate) async fn drop_slot(client: &Client, slot: &SlotName) -> Result<(), Error> {
    client.execute("SELECT pg_drop_replication_slot($1)", &[&slot.as_str()]).await?;
    Ok(())
}

/// Copies a slot of the same database. Returns up to where both are acknowledged.
///
/// # Errors
///
/// Those of the statement; that `to` exists, and that `from` is lost, are some.
pub(crate) async fn copy_slot(
    client: &Client,
    from: &SlotName,
    to: &SlotName,
) -> Result<Lsn, Error> {
    let row = client
        .query_one(
            "SELECT (lsn - '0/0')::bigint \
             FROM pg_copy_logical_replication_slot($1, $2, false, 'pgoutput')",
            &[&from.as_str(), &to.as_str()],
        )
        .await?;
    Ok(Lsn::from_bigint(row.try_get(0)?))
}

/// Acknowledges the slot up to a position, without reading.
///
/// # Errors
///
/// Those of the statement; that the position was acknowledged before is one.
pub(crate) async fn advance_slot(client: &Client, slot: &SlotName, to: Lsn) -> Result<(), Error> {
    client
        .execute(
            "SELECT pg_replication_slot_advance($1, $2::text::pg_lsn)",
            &[&slot.as_str(), &to.to_string()],
        )
        .await?;
    Ok(())
}
