//! What doctor wants to know beyond what setup inspects.

use bemi_core::Lsn;
use tokio_postgres::{Client, Error};

use super::chain::Chained;
use super::drift::Drift;
use super::exposed::Exposed;
use super::failover::Standbys;
use super::privileges::MissingPrivileges;
use super::server::Server;
use super::toast::{self, Toasted};
use crate::WorkerError;
use crate::config::Config;
use crate::setup::inspect::Found;
use crate::source::{Stream, System};

/// Everything that the checks look at.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) found: Found,
    /// Who answers in replication mode, and where the checkpoint's timeline ended; or why nobody does.
    pub(super) replication: Result<(System, Option<Lsn>), String>,
    pub(super) slot: Option<SlotHealth>,
    /// In milliseconds; 0 for none.
    pub(super) sender_timeout: i64,
    /// In megabytes; -1 for no limit.
    pub(super) wal_kept_max: i64,
    pub(super) gaps: i64,
    pub(super) quarantined: i64,
    pub(super) has_large_objects: bool,
    pub(super) inheritances: Vec<Inheritance>,
    pub(super) source: Server,
    pub(super) destination: Server,
    pub(super) standbys: Standbys,
    pub(super) toasted: Vec<Toasted>,
    pub(super) privileges: MissingPrivileges,
    pub(super) drift: Drift,
    pub(super) exposed: Exposed,
    pub(super) chained: Chained,
}

/// That a table inherits from another, partitions aside: schema and name of both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Inheritance {
    pub(super) parent: (String, String),
    pub(super) child: (String, String),
}

/// How the slot does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SlotHealth {
    pub(super) wal_status: String,
    /// WAL that the server keeps for it, in bytes.
    pub(super) held_bytes: i64,
    /// As much of it as was acknowledged, in bytes.
    pub(super) held_behind_bytes: i64,
    /// When the oldest transaction of the cluster that is open began, and whose it is.
    pub(super) oldest_transaction: Option<String>,
    /// What more may come before the server gives up the slot, in bytes; none for no limit.
    pub(super) safe_bytes: Option<i64>,
}

impl Facts {
    pub(super) async fn gather(
        config: &Config,
        source: &mut Client,
        destination: &Client,
    ) -> Result<Self, WorkerError> {
        let found = Found::inspect(config, source, destination).await?;
        let toasted = toast::read(source)
            .await
            .map_err(WorkerError::database("look for large values in the source"))?;
        let source = &*source;
        let reading = || WorkerError::database("read the server's settings and slots");
        let settings = source
            .query_one(
                "SELECT (SELECT setting::int8 FROM pg_settings WHERE name = 'wal_sender_timeout'),
                        (SELECT setting::int8 FROM pg_settings WHERE name = 'max_slot_wal_keep_size')",
                &[],
            )
            .await
            .map_err(reading())?;
        let (gaps, quarantined) = count(config, &found, destination)
            .await
            .map_err(WorkerError::database("count gaps and quarantine"))?;
        Ok(Self {
            replication: ask_in_replication_mode(config, &found).await,
            slot: slot_health(config, source).await.map_err(reading())?,
            sender_timeout: settings.try_get(0).map_err(reading())?,
            wal_kept_max: settings.try_get(1).map_err(reading())?,
            gaps,
            quarantined,
            has_large_objects: has_large_objects(source).await.map_err(reading())?,
            inheritances: inheritances(source).await.map_err(reading())?,
            source: Server::read(source).await.map_err(reading())?,
            destination: Server::read(destination).await.map_err(reading())?,
            standbys: Standbys::read(source, config).await.map_err(reading())?,
            toasted,
            privileges: MissingPrivileges::read(config, source, destination)
                .await
                .map_err(WorkerError::database("read the privileges of the role"))?,
            drift: Drift::read(destination, config)
                .await
                .map_err(WorkerError::database("read the worker's tables in the catalog"))?,
            exposed: Exposed::read(config, source, destination)
                .await
                .map_err(WorkerError::database("read who may alter changes"))?,
            chained: Chained::read(config, destination)
                .await
                .map_err(WorkerError::database("read the chain over what is stored"))?,
            found,
        })
    }
}

async fn has_large_objects(source: &Client) -> Result<bool, Error> {
    let any = "SELECT EXISTS (SELECT FROM pg_catalog.pg_largeobject_metadata)";
    source.query_one(any, &[]).await?.try_get(0)
}

async fn inheritances(source: &Client) -> Result<Vec<Inheritance>, Error> {
    let rows = source
        .query(
            "SELECT pn.nspname::text, p.relname::text, cn.nspname::text, c.relname::text
             FROM pg_catalog.pg_inherits i
             JOIN pg_catalog.pg_class p ON p.oid = i.inhparent AND p.relkind = 'r'
             JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
             JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
             JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace",
            &[],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Inheritance {
                parent: (row.try_get(0)?, row.try_get(1)?),
                child: (row.try_get(2)?, row.try_get(3)?),
            })
        })
        .collect()
}

/// A pooler in between passes SQL, but not replication.
async fn ask_in_replication_mode(
    config: &Config,
    found: &Found,
) -> Result<(System, Option<Lsn>), String> {
    let asked = async {
        let mut stream = Stream::connect(config, Lsn::ZERO).await?;
        let system = stream.identify().await?;
        let fork = match &found.destination.checkpoint {
            Some(checkpoint) => stream.fork_of(checkpoint.timeline, system.timeline).await?,
            None => None,
        };
        // Dropped: it never streamed, so there is nothing to say goodbye to.
        Ok((system, fork))
    };
    asked.await.map_err(|error: WorkerError| error.to_string())
}

async fn slot_health(config: &Config, source: &Client) -> Result<Option<SlotHealth>, Error> {
    let row = source
        .query_opt(
            "SELECT coalesce(wal_status, 'unknown')::text,
                    coalesce(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                                  ELSE pg_current_wal_lsn() END - restart_lsn, 0)::int8,
                    safe_wal_size::int8,
                    coalesce(confirmed_flush_lsn - restart_lsn, 0)::int8,
                    (SELECT pg_catalog.to_char(since AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS UTC') || whose
                     FROM (SELECT xact_start, ', process ' || pid FROM pg_catalog.pg_stat_activity
                           WHERE xact_start IS NOT NULL AND backend_type <> 'walsender'
                             AND pid <> pg_catalog.pg_backend_pid()
                           UNION ALL
                           SELECT prepared, ', prepared as ' || gid FROM pg_catalog.pg_prepared_xacts
                          ) AS open (since, whose)
                     ORDER BY since LIMIT 1)
             FROM pg_replication_slots WHERE slot_name = $1",
            &[&config.slot.as_str()],
        )
        .await?;
    row.map(|row| {
        Ok(SlotHealth {
            wal_status: row.try_get(0)?,
            held_bytes: row.try_get(1)?,
            safe_bytes: row.try_get(2)?,
            held_behind_bytes: row.try_get(3)?,
            oldest_transaction: row.try_get(4)?,
        })
    })
    .transpose()
}

async fn count(config: &Config, found: &Found, destination: &Client) -> Result<(i64, i64), Error> {
    if !found.destination.has_own_tables {
        return Ok((0, 0));
    }
    let row = destination
        .query_one(
            "SELECT (SELECT count(*) FROM bemi.gaps WHERE slot = $1 AND kind = 'lost'),
                    (SELECT count(*) FROM bemi.quarantine WHERE slot = $1)",
            &[&config.slot.as_str()],
        )
        .await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}
