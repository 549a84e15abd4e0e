//! What bears the name of something that setup made, and is not that any more: somebody has removed ours
//! and made another of the name. Teardown leaves it alone.
//!
//! It only reads. What cannot be told from ours, such as a slot that was made anew by hand with the same
//! plugin, counts as ours.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::{Client, Error};

use super::apply::Sessions;
use super::ddl::DDL_TRIGGERS;
use super::inspect::{Found, RecordKind};
use super::table_events::TABLE_TRIGGERS;
use crate::WorkerError;
use crate::config::Config;

/// What teardown must know before it drops anything.
#[derive(Clone, Debug, Default)]
pub(super) struct Strangers {
    /// Slots with the names of ours, each with what it is.
    pub(super) slots: BTreeMap<String, String>,
    /// Slots of ours that somebody streams from, with the process.
    pub(super) active: BTreeMap<String, i32>,
    /// Publications with the names of ours.
    pub(super) publications: BTreeSet<String>,
    /// Event triggers with the names of ours.
    pub(super) event_triggers: BTreeSet<String>,
    /// Other slots whose changes are stored in the destination, too.
    pub(super) other_checkpoints: Vec<String>,
}

impl Strangers {
    pub(super) async fn inspect(
        sessions: &Sessions,
        config: &Config,
        found: &Found,
    ) -> Result<Self, WorkerError> {
        let failed = || WorkerError::database("look for what bears the names of what setup made");
        let mut strangers = Self::default();
        strangers.read_source(&sessions.source, found).await.map_err(failed())?;
        if found.destination.checkpoint.is_some() || found.destination.has_own_tables {
            let others = "SELECT slot FROM bemi.checkpoint WHERE slot <> $1 ORDER BY slot";
            let rows = sessions.destination.query(others, &[&config.slot.as_str()]).await;
            for row in rows.map_err(failed())? {
                strangers.other_checkpoints.push(row.try_get(0).map_err(failed())?);
            }
        }
        Ok(strangers)
    }

    async fn read_source(&mut self, client: &Client, found: &Found) -> Result<(), Error> {
        let Some(installation) = &found.source.installation else { return Ok(()) };
        let names = |kind: RecordKind| -> Vec<&str> {
            let records = installation.records.iter().filter(|record| record.kind == kind);
            records.map(|record| record.name.as_str()).collect()
        };
        for row in client.query(SLOTS, &[&names(RecordKind::Slot)]).await? {
            let name: String = row.try_get(0)?;
            let (is_ours, what): (bool, String) = (row.try_get(1)?, row.try_get(2)?);
            let process: Option<i32> = row.try_get(3)?;
            if !is_ours {
                self.slots.insert(name, what);
            } else if let Some(process) = process {
                self.active.insert(name, process);
            }
        }
        for row in client.query(PUBLICATIONS, &[&names(RecordKind::Publication)]).await? {
            self.publications.insert(row.try_get(0)?);
        }
        let triggers =
            TABLE_TRIGGERS.iter().map(|t| t.name).chain(DDL_TRIGGERS.iter().map(|t| t.name));
        let triggers: Vec<&str> = triggers.collect();
        for row in client.query(EVENT_TRIGGERS, &[&triggers]).await? {
            self.event_triggers.insert(row.try_get(0)?);
        }
        Ok(())
    }
}

const SLOTS: &str = "
SELECT slot_name::text,
       coalesce(database = pg_catalog.current_database() AND plugin = 'pgoutput', false),
       CASE WHEN slot_type = 'physical' THEN 'a physical slot'
            ELSE pg_catalog.format('of plugin %s in database %s', plugin, database) END,
       active_pid
FROM pg_catalog.pg_replication_slots WHERE slot_name = ANY ($1)";

/// Setup lists the tables of its publications, and has partitions published as their root. Lists of
/// schemas are of 15 and later.
const PUBLICATIONS: &str = "
SELECT p.pubname::text FROM pg_catalog.pg_publication p
WHERE p.pubname = ANY ($1)
  AND (p.puballtables
       OR pg_catalog.to_regclass('pg_catalog.pg_publication_namespace') IS NOT NULL
          AND EXISTS (SELECT FROM pg_catalog.pg_depend d
                      WHERE d.refclassid = 'pg_catalog.pg_publication'::regclass AND d.refobjid = p.oid
                        AND d.classid = pg_catalog.to_regclass('pg_catalog.pg_publication_namespace')))";

const EVENT_TRIGGERS: &str = "
SELECT t.evtname::text FROM pg_catalog.pg_event_trigger t
JOIN pg_catalog.pg_proc p ON p.oid = t.evtfoid
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE t.evtname = ANY ($1) AND n.nspname <> 'bemi'";
