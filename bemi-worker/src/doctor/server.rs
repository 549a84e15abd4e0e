//! What a server says of itself, asked of source and destination alike: its settings, as they are for
//! the worker's role, and the slots of others. And what of it would cut the worker off, fill a disk, or
//! lose what was confirmed.

use std::collections::BTreeMap;

use tokio_postgres::{Client, Error};

use super::checks::Subject;
use super::clock::Clock;
use super::finding::Diagnosis;
use crate::connect::APPLICATION_NAME;

/// A slot of somebody else's that nobody reads may hold this much WAL, in bytes, and so may an open
/// transaction, before doctor speaks of it.
const HELD_BYTES_MAX: i64 = 512 * 1024 * 1024;

/// A worker that has vanished should not keep its slot for longer than this, in milliseconds.
const SENDER_TIMEOUT_MAX: i64 = 600_000;

/// A lock timeout of fewer milliseconds ends a look into the catalog that only had to queue.
const LOCK_TIMEOUT_MIN: i64 = 10_000;

/// The settings that are looked at; those that a version does not have are not in its answer.
const SETTINGS: [&str; 12] = [
    "default_transaction_read_only",
    "fsync",
    "idle_in_transaction_session_timeout",
    "idle_replication_slot_timeout",
    "idle_session_timeout",
    "lock_timeout",
    "statement_timeout",
    "synchronized_standby_slots",
    "synchronous_standby_names",
    "tcp_keepalives_idle",
    "transaction_timeout",
    "wal_sender_timeout",
];

/// A server, as it presents itself to the role that asks.
#[derive(Clone, Debug)]
pub(super) struct Server {
    /// As `server_version_num` has it.
    pub(super) version: i32,
    /// Its date, in UTC: `2026-11-22`.
    pub(super) today: String,
    pub(super) is_standby: bool,
    pub(super) clock: Clock,
    /// Inactive slots that hold much WAL, and how many bytes.
    idle_slots: Vec<(String, i64)>,
    /// In the unit that `pg_settings` has.
    settings: BTreeMap<String, String>,
}

impl Server {
    pub(super) async fn read(client: &Client) -> Result<Self, Error> {
        let row = client
            .query_one(
                "SELECT pg_catalog.current_setting('server_version_num')::int4,
                        (pg_catalog.now() AT TIME ZONE 'UTC')::date::text,
                        pg_catalog.pg_is_in_recovery()",
                &[],
            )
            .await?;
        let settings = client
            .query(
                "SELECT name, setting FROM pg_catalog.pg_settings WHERE name = ANY ($1)",
                &[&SETTINGS.as_slice()],
            )
            .await?;
        let settings = settings
            .iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect::<Result<_, Error>>()?;
        let slots = client.query(IDLE_SLOTS, &[&HELD_BYTES_MAX]).await?;
        let idle_slots = slots
            .iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect::<Result<_, Error>>()?;
        Ok(Self {
            version: row.try_get(0)?,
            today: row.try_get(1)?,
            is_standby: row.try_get(2)?,
            clock: Clock::read(client).await?,
            idle_slots,
            settings,
        })
    }

    /// As text; empty where this version has no such setting.
    pub(super) fn setting(&self, name: &str) -> &str {
        self.settings.get(name).map_or("", String::as_str)
    }

    /// As a number; 0 where this version has no such setting.
    fn number(&self, name: &str) -> i64 {
        self.setting(name).parse().unwrap_or(0)
    }
}

const IDLE_SLOTS: &str = "
SELECT slot_name::text, held::int8
FROM (SELECT slot_name,
             CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
                  ELSE pg_catalog.pg_current_wal_lsn() END - restart_lsn AS held
      FROM pg_catalog.pg_replication_slots WHERE NOT active) AS slots
WHERE held > $1::int8 ORDER BY held DESC, slot_name";

/// What ends sessions of the worker with the source. In the destination it sets its own.
pub(super) fn timeouts(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let server = &subject.facts.source;
    let (role, database) =
        (&subject.facts.found.source.role.name, &subject.facts.found.source.database);
    let limits = [
        ("statement_timeout", i64::MAX),
        ("idle_session_timeout", i64::MAX),
        ("idle_in_transaction_session_timeout", i64::MAX),
        ("transaction_timeout", i64::MAX),
        ("lock_timeout", LOCK_TIMEOUT_MIN),
    ];
    let short: Vec<(&str, i64)> = limits
        .into_iter()
        .map(|(name, harmless)| (name, server.number(name), harmless))
        .filter(|(_, milliseconds, harmless)| (1..*harmless).contains(milliseconds))
        .map(|(name, milliseconds, _)| (name, milliseconds))
        .collect();
    if short.is_empty() {
        diagnosis.ok("B055", format!("no timeout ends sessions of role {role}"));
        return;
    }
    let told: Vec<String> =
        short.iter().map(|(name, milliseconds)| format!("{name} is {milliseconds} ms")).collect();
    let mended: Vec<String> = short
        .iter()
        .map(|(name, _)| format!("ALTER ROLE {role} IN DATABASE {database} SET {name} = 0"))
        .collect();
    diagnosis.warn(
        "B055",
        format!("for role {role}, {}", told.join(", ")),
        "the server ends what the worker is doing, or its session: it begins anew, and a transaction \
         that takes longer than the limit to decode, or a chunk of a baseline, never comes to its end",
        format!("run {}", mended.join("; ")),
    );
}

pub(super) fn writable(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let server = &subject.facts.destination;
    let what = if server.is_standby {
        "the destination is a standby"
    } else if server.setting("default_transaction_read_only") == "on" {
        "the destination is read-only: default_transaction_read_only is on"
    } else {
        diagnosis.ok("B056", "the destination takes writes");
        return;
    };
    let role = &subject.facts.found.destination.role;
    diagnosis.fail(
        "B056",
        what,
        "nothing can be stored there",
        format!(
            "connect to the primary; where it is one, run ALTER ROLE {role} SET \
             default_transaction_read_only = off"
        ),
    );
}

/// How long a worker that has vanished keeps its slot.
pub(super) fn vanished(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let server = &subject.facts.source;
    let timeout = server.number("wal_sender_timeout");
    if (1..=SENDER_TIMEOUT_MAX).contains(&timeout) {
        return;
    }
    let what = if timeout == 0 {
        let idle = server.number("tcp_keepalives_idle");
        format!("wal_sender_timeout is off, and tcp_keepalives_idle is {idle} s")
    } else {
        format!("wal_sender_timeout is {} s", timeout / 1000)
    };
    diagnosis.warn(
        "B057",
        what,
        "of a worker whose machine or network is gone, the server keeps the slot in use for so long, and \
         no other can take over",
        "run ALTER SYSTEM SET wal_sender_timeout = '60s' and SELECT pg_reload_conf()",
    );
}

/// Slots that nobody reads fill a disk, whoever made them.
pub(super) fn idle_slots(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let facts = subject.facts;
    let ours = subject.config.slot.as_str();
    let is_one_cluster =
        facts.found.source.system_identifier == facts.found.destination.system_identifier;
    let mut told = Vec::new();
    let mut drops = Vec::new();
    let servers = [("source", &facts.source), ("destination", &facts.destination)];
    for (side, server) in servers.into_iter().take(if is_one_cluster { 1 } else { 2 }) {
        for (name, held) in &server.idle_slots {
            if side == "source" && name == ours {
                continue;
            }
            told.push(format!("{name} in the {side} holds {} MB", held >> 20));
            drops.push(format!("SELECT pg_drop_replication_slot('{name}')"));
        }
    }
    if !told.is_empty() {
        diagnosis.warn(
            "B058",
            format!("replication slots that nobody reads: {}", told.join(", ")),
            "what they hold stays on the disk, which the worker needs too; it grows until somebody reads, \
             or drops them",
            format!("start what reads them; those that nobody needs: {}", drops.join("; ")),
        );
    }
}

/// WAL that is stored, and yet held: decoding has to go back to the beginning of what is still open.
pub(super) fn open_transactions(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let Some(health) = &subject.facts.slot else { return };
    if health.held_behind_bytes <= HELD_BYTES_MAX {
        return;
    }
    let since = health.oldest_transaction.as_deref().unwrap_or("not seen from this role");
    diagnosis.warn(
        "B059",
        format!(
            "{} MB of WAL that are stored are still held, for a transaction that is open; the oldest: {since}",
            health.held_behind_bytes >> 20
        ),
        "the server keeps the WAL from the beginning of the oldest open transaction on, whatever is \
         acknowledged",
        "end it: SELECT pid, xact_start, state, usename FROM pg_stat_activity ORDER BY xact_start; SELECT \
         * FROM pg_prepared_xacts",
    );
}

/// From 18 on.
pub(super) fn idle_slot_timeout(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let server = &subject.facts.source;
    if server.number("idle_replication_slot_timeout") > 0 {
        diagnosis.warn(
            "B073",
            "idle_replication_slot_timeout is on",
            "a worker that is stopped for longer than that loses its slot, and the changes since",
            "run ALTER SYSTEM SET idle_replication_slot_timeout = 0 and SELECT pg_reload_conf(); \
             max_slot_wal_keep_size is the limit that goes by the disk",
        );
    }
}

/// A worker must never be what commits of the application wait for.
pub(super) fn synchronous(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let names = subject.facts.source.setting("synchronous_standby_names");
    if names_worker(names) {
        diagnosis.fail(
            "B074",
            format!("synchronous_standby_names is {names:?}, which the worker fits"),
            "commits of the application wait until the worker has stored them; where the destination is \
             the same cluster, the worker's own wait for itself",
            format!(
                "name the standbys: ALTER SYSTEM SET synchronous_standby_names = 'FIRST 1 (standby1)', \
                 without * and without {APPLICATION_NAME}"
            ),
        );
    }
}

fn names_worker(setting: &str) -> bool {
    let list = setting.rsplit_once('(').map_or(setting, |(_, list)| list);
    list.trim_end_matches([')', ' '])
        .split(',')
        .map(|name| name.trim().trim_matches('"'))
        .any(|name| name == "*" || name.eq_ignore_ascii_case(APPLICATION_NAME))
}

pub(super) fn durable(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let facts = subject.facts;
    let servers = [("source", &facts.source), ("destination", &facts.destination)];
    let unsafe_ones: Vec<&str> = servers
        .into_iter()
        .filter(|(_, server)| server.setting("fsync") == "off")
        .map(|(side, _)| side)
        .collect();
    if !unsafe_ones.is_empty() {
        diagnosis.warn(
            "B076",
            format!("fsync is off in the {}", unsafe_ones.join(" and the ")),
            "after a crash of the machine, what was confirmed may be gone: the source may go on without \
             changes that are stored, or the destination without changes that the source has given away",
            "run ALTER SYSTEM SET fsync = on and SELECT pg_reload_conf()",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::names_worker;

    #[test]
    fn a_worker_is_named_by_a_star_or_by_its_name() {
        for setting in ["*", "ANY 1 (a, *)", "bemi-worker", "FIRST 2 (\"Bemi-Worker\", b)"] {
            assert!(names_worker(setting), "{setting}");
        }
        for setting in ["", "standby", "FIRST 1 (a, b)", "ANY 2 (\"a*\", bemi)"] {
            assert!(!names_worker(setting), "{setting}");
        }
    }
}
