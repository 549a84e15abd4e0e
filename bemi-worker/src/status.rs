//! How the worker does, as the databases know it: it need not run here, or at all.
//!
//! What is counted is counted in the destination, so a rate takes two looks.

mod history;
mod watch;

pub use history::HistoryStatus;
pub use watch::{Throughput, Watch};

use bemi_core::Lsn;
use serde::Serialize;
use tokio_postgres::{Client, Error};

use crate::WorkerError;
use crate::backfill::{BaselineStatus, read_baselines};
use crate::config::Config;
use crate::connect::APPLICATION_NAME;
use crate::pipeline::IDLE_WAL_BYTES_MAX;
use crate::setup::functions::EMIT_REQUEST_CONTEXT_NAME;
use crate::setup::inspect::Installation;

/// How the worker does.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The replication slot; none if there is none.
    pub slot: Option<SlotStatus>,
    /// What is stored; none if setup has not run.
    pub stored: Option<StoredStatus>,
    /// How much WAL lies between what is stored and what the source has written, in bytes.
    pub lag_bytes: Option<u64>,
    /// How far behind the worker is, in seconds, at most: how long ago the last transaction that is
    /// stored was committed, if there may be changes that are not stored yet; 0 if there are none. A
    /// worker that streams, stores nothing now, and has less than 1 MiB of WAL before it is idle:
    /// that WAL holds nothing for it.
    pub lag_seconds: Option<f64>,
    /// How fast it stores; none if setup has not run, or at the first of several looks.
    pub throughput: Option<Throughput>,
    /// The worker that streams; none if none does.
    pub worker: Option<RunningStatus>,
    /// How far back the record goes; none if setup has not run, or the role may not look.
    pub history: Option<HistoryStatus>,
    /// Whether the SQL pack is installed in the destination.
    pub sql_pack: bool,
    /// On how many tables a trigger takes the context of PostgREST's requests, partitions counted; 0
    /// unless setup was told to.
    pub request_triggers: i64,
    /// What is tracked, and how; none if setup has not run.
    pub rules: Option<RulesStatus>,
    /// The rows that were there before, by table, as far as `backfill` has stored them.
    pub baselines: Vec<BaselineStatus>,
    /// Why the destination could not be asked; none if it could. What only it knows is missing then.
    pub destination_away: Option<String>,
}

/// The rules in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RulesStatus {
    /// Patterns of tables that are tracked.
    pub tables: Vec<String>,
    /// Patterns of tables that are left out of these.
    pub excluded: Vec<String>,
    /// Patterns of tables whose old rows are to be whole: REPLICA IDENTITY FULL.
    pub full_identity: Vec<String>,
    /// Patterns of columns whose changes alone are not stored.
    pub ignored: Vec<String>,
    /// Columns that are masked.
    pub masked: Vec<MaskStatus>,
    /// Whether commands that change the shape of tables are recorded.
    pub ddl: bool,
}

/// Columns that are masked, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MaskStatus {
    /// The pattern of the columns.
    pub columns: String,
    /// As setup was given it: `drop`, `hash`, or `text:` with a fixed text.
    pub mask: String,
}

/// The replication slot.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SlotStatus {
    /// Its name.
    pub name: String,
    /// Whether a worker streams from it.
    pub active: bool,
    /// As `pg_replication_slots` has it: `reserved`, `extended`, `unreserved`, `lost`.
    pub wal_status: String,
    /// Up to where it was acknowledged.
    pub acknowledged: Lsn,
    /// WAL that the source keeps for it, in bytes.
    pub held_bytes: u64,
    /// What more may come before the server gives up the slot, in bytes; none for no limit.
    pub safe_bytes: Option<u64>,
}

/// A worker that streams from the slot.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RunningStatus {
    /// Since when it streams without a break, in the destination's words.
    pub streaming_since: String,
    /// How long that is, in seconds.
    pub uptime_seconds: f64,
}

/// What is stored.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StoredStatus {
    /// Up to where.
    pub position: Lsn,
    /// When the last stored transaction was committed, in the source's words.
    pub last_commit: Option<String>,
    /// How many changes, since setup.
    pub changes: i64,
    /// How many transactions, since setup.
    pub transactions: i64,
    /// How many more changes were not stored, since they changed ignored columns alone.
    pub ignored: i64,
    /// How many stretches were lost. What retention has dropped is none.
    pub gaps: i64,
    /// How many changes could not be stored as rows of `changes`.
    pub quarantined: i64,
}

/// Asks both databases, twice, a second apart.
///
/// # Errors
/// [`WorkerError`] when one of them cannot be asked.
///
/// # Cancellation
/// Safe: nothing is changed.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use bemi_worker::{config::Config, status};
///
/// let config = Config::new("postgres://postgres@localhost/shop".parse()?);
/// let status = status::read(&config).await?;
/// println!("{:?} bytes behind", status.lag_bytes);
/// # Ok(())
/// # }
/// ```
pub async fn read(config: &Config) -> Result<Status, WorkerError> {
    let mut watch = Watch::open(config).await?;
    let first = watch.look().await?;
    // There is nothing to be counted.
    if first.stored.is_none() {
        return Ok(first);
    }
    tokio::time::sleep(watch::WINDOW).await;
    watch.look().await
}

/// One look at both.
async fn look(
    config: &Config,
    source: &Client,
    destination: &Client,
) -> Result<Status, WorkerError> {
    let failed = || WorkerError::database("read the status");
    let (written, slot) = read_source(config, source).await.map_err(failed())?;
    let stored = read_destination(config, destination).await.map_err(failed())?;
    let lag_bytes = stored.as_ref().map(|found| written.bytes_since(found.stored.position));
    let is_storing = is_storing(destination).await.map_err(failed())?;
    let is_active = slot.as_ref().is_some_and(|slot| slot.active);
    let lag_seconds = match (&stored, lag_bytes) {
        (Some(_), Some(0)) => Some(0.0),
        (Some(_), Some(..IDLE_WAL_BYTES_MAX)) if is_active && !is_storing => Some(0.0),
        (Some(found), _) => found.commit_age,
        (None, _) => None,
    };
    let request_triggers = count_request_triggers(source).await.map_err(failed())?;
    let rules = Installation::find(source).await.map_err(failed())?.map(RulesStatus::of);
    let slot_name = config.slot.as_str();
    let baselines = read_baselines(destination, slot_name).await.map_err(failed())?;
    let history = match &stored {
        Some(_) => history::read(destination, slot_name).await.map_err(failed())?,
        None => None,
    };
    let (stored, worker) = stored.map_or((None, None), |found| (Some(found.stored), found.worker));
    Ok(Status {
        slot,
        stored,
        lag_bytes,
        lag_seconds,
        throughput: None,
        worker: worker.filter(|_| is_active),
        history,
        sql_pack: has_sql_pack(destination).await.map_err(failed())?,
        request_triggers,
        rules,
        baselines,
        destination_away: None,
    })
}

/// The source alone, while the destination is away.
async fn look_at_source(
    config: &Config,
    source: &Client,
    why: &str,
) -> Result<Status, WorkerError> {
    let failed = || WorkerError::database("read the status");
    let (_, slot) = read_source(config, source).await.map_err(failed())?;
    let rules = Installation::find(source).await.map_err(failed())?.map(RulesStatus::of);
    Ok(Status {
        slot,
        stored: None,
        lag_bytes: None,
        lag_seconds: None,
        throughput: None,
        worker: None,
        history: None,
        sql_pack: false,
        request_triggers: count_request_triggers(source).await.map_err(failed())?,
        rules,
        baselines: Vec::new(),
        destination_away: Some(why.to_owned()),
    })
}

impl RulesStatus {
    fn of(installation: Installation) -> Self {
        let ddl = installation.records_ddl();
        let (masked, ignored): (Vec<_>, Vec<_>) =
            installation.column_rules.into_iter().partition(|rule| rule.mask.is_some());
        Self {
            tables: installation.tracked.into_iter().collect(),
            excluded: installation.excluded.into_iter().collect(),
            full_identity: installation.full.into_iter().collect(),
            ignored: ignored.into_iter().map(|rule| rule.pattern).collect(),
            masked: masked
                .into_iter()
                .map(|rule| MaskStatus {
                    columns: rule.pattern,
                    mask: rule.mask.unwrap_or_default(),
                })
                .collect(),
            ddl,
        }
    }
}

async fn count_request_triggers(source: &Client) -> Result<i64, Error> {
    let row = source
        .query_one(
            "SELECT count(*) FROM pg_catalog.pg_trigger g \
             JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid \
             JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
             WHERE NOT g.tgisinternal AND n.nspname = 'bemi' AND p.proname = $1",
            &[&EMIT_REQUEST_CONTEXT_NAME],
        )
        .await?;
    row.try_get(0)
}

async fn read_source(config: &Config, source: &Client) -> Result<(Lsn, Option<SlotStatus>), Error> {
    // Flushed, not written: the worker sees nothing else.
    let row = source
        .query_one(
            "SELECT (pg_current_wal_flush_lsn() - '0/0')::int8, s.active, \
                    coalesce(s.wal_status, 'unknown')::text, \
                    (s.confirmed_flush_lsn - '0/0')::int8, \
                    (pg_current_wal_flush_lsn() - s.restart_lsn)::int8, s.safe_wal_size::int8 \
             FROM (VALUES (1)) AS one \
             LEFT JOIN pg_replication_slots s ON s.slot_name = $1",
            &[&config.slot.as_str()],
        )
        .await?;
    let slot = match row.try_get::<_, Option<bool>>(1)? {
        None => None,
        Some(active) => Some(SlotStatus {
            name: config.slot.to_string(),
            active,
            wal_status: row.try_get(2)?,
            acknowledged: Lsn::from_bigint(row.try_get::<_, Option<i64>>(3)?.unwrap_or(0)),
            held_bytes: u64::try_from(row.try_get::<_, Option<i64>>(4)?.unwrap_or(0)).unwrap_or(0),
            safe_bytes: row
                .try_get::<_, Option<i64>>(5)?
                .map(|bytes| u64::try_from(bytes).unwrap_or(0)),
        }),
    };
    Ok((Lsn::from_bigint(row.try_get(0)?), slot))
}

/// Whether a worker is in the middle of storing something.
async fn is_storing(destination: &Client) -> Result<bool, Error> {
    let row = destination
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_activity \
                            WHERE datname = pg_catalog.current_database() \
                              AND application_name = $1 AND backend_type = 'client backend' \
                              AND xact_start IS NOT NULL AND pid <> pg_catalog.pg_backend_pid())",
            &[&APPLICATION_NAME],
        )
        .await?;
    row.try_get(0)
}

async fn has_sql_pack(destination: &Client) -> Result<bool, Error> {
    let row = destination
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c \
                            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                            WHERE n.nspname = 'bemi' AND c.relname = 'sql_pack')",
            &[],
        )
        .await?;
    row.try_get(0)
}

/// What the destination knows.
struct Found {
    stored: StoredStatus,
    /// How long ago the last stored transaction was committed, in seconds.
    commit_age: Option<f64>,
    /// Whoever took the epoch last, whether it still streams or not.
    worker: Option<RunningStatus>,
}

async fn read_destination(config: &Config, destination: &Client) -> Result<Option<Found>, Error> {
    let exists: bool = destination
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_class c \
                            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                            WHERE n.nspname = 'bemi' AND c.relname = 'checkpoint')",
            &[],
        )
        .await?
        .try_get(0)?;
    if !exists {
        return Ok(None);
    }
    let row = destination.query_opt(STORED, &[&config.slot.as_str()]).await?;
    row.map(|row| {
        let since: Option<String> = row.try_get(8)?;
        let uptime: Option<f64> = row.try_get(9)?;
        Ok(Found {
            stored: StoredStatus {
                position: Lsn::from_bigint(row.try_get(0)?),
                last_commit: row.try_get(1)?,
                changes: row.try_get(2)?,
                transactions: row.try_get(3)?,
                ignored: row.try_get(4)?,
                gaps: row.try_get(5)?,
                quarantined: row.try_get(6)?,
            },
            commit_age: row.try_get(7)?,
            worker: since.zip(uptime).map(|(streaming_since, uptime_seconds)| RunningStatus {
                streaming_since,
                uptime_seconds,
            }),
        })
    })
    .transpose()
}

/// Older tables do not tell what was lost from what retention has dropped.
const STORED: &str = "
SELECT position, committed_at::text, changes_stored, transactions_stored, changes_ignored,
       (SELECT count(*) FROM bemi.gaps g
        WHERE g.slot = c.slot AND coalesce(pg_catalog.to_jsonb(g) ->> 'kind', 'lost') = 'lost'),
       (SELECT count(*) FROM bemi.quarantine q WHERE q.slot = c.slot),
       extract(epoch FROM now() - committed_at)::float8,
       started_at::text, extract(epoch FROM now() - started_at)::float8
FROM bemi.checkpoint c WHERE slot = $1";
