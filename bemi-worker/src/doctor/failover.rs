//! Whether the slot would survive that a standby takes over.

use tokio_postgres::{Client, Error};

use super::checks::Subject;
use super::finding::Diagnosis;
use crate::config::Config;

/// The first version that carries slots over.
const FAILOVER_SLOTS_SINCE: i32 = 170_000;

/// The standbys of the source, and what is said for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standbys {
    /// How many there are, as far as the source knows.
    count: i64,
    /// The slots that they read by.
    slots: Vec<String>,
    /// Whether our slot is carried over to them.
    is_failover: bool,
}

impl Standbys {
    pub(super) async fn read(client: &Client, config: &Config) -> Result<Self, Error> {
        let row = client.query_one(STANDBYS, &[&config.slot.as_str()]).await?;
        Ok(Self { count: row.try_get(0)?, slots: row.try_get(1)?, is_failover: row.try_get(2)? })
    }
}

/// A standby streams, by a slot or without; or it is away, and its slot waits for it. What a version
/// does not have is asked for by name, so that it takes the query.
const STANDBYS: &str = "
SELECT (SELECT count(*)
        FROM pg_catalog.pg_stat_replication r
        WHERE coalesce(r.application_name, '') NOT IN ('pg_basebackup', 'pg_receivewal', 'pg_recvlogical')
          AND coalesce(r.state, 'streaming') IN ('streaming', 'catchup')
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_replication_slots s WHERE s.active_pid = r.pid))
       + (SELECT count(*) FROM pg_catalog.pg_replication_slots WHERE slot_type = 'physical' AND NOT temporary),
       ARRAY(SELECT slot_name::text FROM pg_catalog.pg_replication_slots
             WHERE slot_type = 'physical' AND NOT temporary ORDER BY slot_name),
       coalesce((SELECT pg_catalog.to_jsonb(s) ->> 'failover' = 'true'
                 FROM pg_catalog.pg_replication_slots s WHERE s.slot_name = $1), false)";

pub(super) fn check(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let facts = subject.facts;
    let standbys = &facts.standbys;
    if standbys.count == 0 || facts.found.source.slot.is_none() {
        return;
    }
    let slot = &subject.config.slot;
    let why = "when a standby takes over, the slot is gone, and with it what was not stored yet";
    if facts.source.version < FAILOVER_SLOTS_SINCE {
        diagnosis.note(
            "B072",
            "the source has standbys, and PostgreSQL carries slots over to them from 17 on",
            why,
            "after a failover run `bemi-worker setup --recreate-slot`, which records what was lost; or \
             upgrade the source to 17",
        );
    } else if !standbys.is_failover {
        diagnosis.warn(
            "B072",
            format!("the source has standbys, and slot {slot} is not carried over to them"),
            why,
            "run `bemi-worker setup --failover`; on each standby set sync_replication_slots = on, \
             hot_standby_feedback = on, primary_slot_name, and a dbname in primary_conninfo",
        );
    } else if facts.source.setting("synchronized_standby_slots").is_empty() {
        let slots = match standbys.slots.as_slice() {
            [] => "its_slot".to_owned(),
            slots => slots.join(", "),
        };
        diagnosis.warn(
            "B072",
            "synchronized_standby_slots is empty, while the slot is to be carried over",
            "the worker may store what the standby does not have yet: when that takes over, `changes` has \
             rows that the database has not",
            format!(
                "run ALTER SYSTEM SET synchronized_standby_slots = '{slots}' and SELECT pg_reload_conf()"
            ),
        );
    } else {
        diagnosis.ok("B072", format!("slot {slot} is carried over to standbys"));
    }
}
