//! Takes the steps of a plan, each in a transaction of its own.
//!
//! Invariant: no statement of the application waits behind a step for longer than
//! [`LOCK_TIMEOUT_SHORT`]'s worth of time.

use std::io;
use std::time::Duration;

use bemi_core::Lsn;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error};
use tracing::info;

use super::inspect::{Found, RecordKind};
use super::plan::{Action, Plan, Side, Start, Step};
use super::source_schema::QUIET;
use super::take_over::take_over;
use crate::WorkerError;
use crate::config::Config;
use crate::connect::Fault;
use crate::partitions::{Maintenance, convert};
use crate::sink::Checkpoint;
use crate::source::{Stream, create_slot, drop_slot};

/// How long a step may wait for a lock that stops nobody else's reading and writing.
pub(super) const LOCK_TIMEOUT: &str = "10s";

/// How long a step may wait for a lock that stops everybody else's, who queue behind it.
pub(super) const LOCK_TIMEOUT_SHORT: &str = "1s";

/// How often such a step is tried, and how long the application gets in between.
const LOCK_ATTEMPTS_MAX: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(500);

/// How long making a slot may wait for transactions that are running.
const SLOT_TIMEOUT: &str = "5min";

/// Held by whoever changes the setup of a database: "bemi" in ASCII.
pub(super) const SETUP_LOCK: i64 = 0x6265_6d69;

/// The connections that setup works on.
pub(super) struct Sessions {
    pub(super) source: Client,
    pub(super) destination: Client,
}

/// What became of the steps.
#[derive(Default)]
pub(super) struct Outcome {
    /// Those that were taken.
    pub(super) done: Vec<String>,
    /// What it means that others were not allowed, which can be done without.
    pub(super) refused: Vec<String>,
}

impl Sessions {
    /// Connects to both, keeps the event trigger from meddling, and waits for nobody else to be
    /// changing the setup.
    pub(super) async fn open(config: &Config) -> Result<Self, WorkerError> {
        let source = config.source.connect().await?;
        let prepare = format!("SET lock_timeout = '{LOCK_TIMEOUT}'; SET {QUIET} = 'on'");
        source
            .batch_execute(&prepare)
            .await
            .map_err(WorkerError::database("prepare the session with the source"))?;
        source
            .execute("SELECT pg_advisory_lock($1)", &[&SETUP_LOCK])
            .await
            .map_err(WorkerError::database("wait for another setup or teardown to end"))?;
        let destination = config.destination.connect().await?;
        destination
            .batch_execute(&prepare)
            .await
            .map_err(WorkerError::database("prepare the session with the destination"))?;
        Ok(Self { source, destination })
    }

    pub(super) async fn inspect(&self, config: &Config) -> Result<Found, WorkerError> {
        Found::inspect(config, &self.source, &self.destination).await
    }

    fn on(&mut self, side: Side) -> &mut Client {
        match side {
            Side::Source => &mut self.source,
            Side::Destination => &mut self.destination,
        }
    }
}

/// Takes the steps in order.
pub(super) async fn apply(
    plan: &Plan,
    config: &Config,
    found: &Found,
    sessions: &mut Sessions,
    tell: &mut (impl FnMut(&str) -> io::Result<()> + Send),
) -> Result<Outcome, WorkerError> {
    let mut outcome = Outcome::default();
    let mut position = found.source.slot_position();
    for step in &plan.steps {
        let client = sessions.on(step.side);
        let failed = || WorkerError::database(step.what.clone());
        match &step.action {
            Action::Sql(sql) => transaction(client, sql, LOCK_TIMEOUT).await.map_err(failed())?,
            Action::Locking { table, sql } => locking(client, step, table, sql).await?,
            Action::IfAllowed { sql, otherwise } => {
                match transaction(client, sql, LOCK_TIMEOUT).await {
                    Ok(()) => {}
                    Err(error) if Fault::of(&error) == Fault::NotAllowed => {
                        outcome.refused.push(otherwise.clone());
                        continue;
                    }
                    Err(error) => return Err(failed()(error)),
                }
            }
            Action::CreateSlot { drops_lost, failover } => {
                let made = make_slot(client, config, *drops_lost, *failover).await;
                position = Some(made.map_err(|error| match error.code() {
                    Some(&SqlState::QUERY_CANCELED) => {
                        WorkerError::TransactionsRunning { slot: config.slot.to_string() }
                    }
                    _ => failed()(error),
                })?);
            }
            Action::CopySlot { from, publication } => {
                let copied = take_over(sessions, config, from, publication.as_deref()).await?;
                position = Some(copied);
            }
            Action::AlterSlot { failover } => {
                Stream::connect(config, Lsn::ZERO).await?.alter_slot(*failover).await?;
            }
            Action::Partition { by } => {
                let mut session = Maintenance::alone(config).await?;
                convert(&mut session, &config.changes_schema, *by).await?;
            }
            Action::StartCheckpoint(start) => {
                let position = position.unwrap_or_default();
                start_checkpoint(client, config, found, start, position).await.map_err(failed())?;
            }
        }
        tell(&step.what)?;
        outcome.done.push(step.what.clone());
    }
    Ok(outcome)
}

pub(super) async fn transaction(
    client: &mut Client,
    sql: &[String],
    timeout: &str,
) -> Result<(), Error> {
    let transaction = client.transaction().await?;
    transaction.batch_execute(&format!("SET LOCAL lock_timeout = '{timeout}'")).await?;
    for statement in sql {
        transaction.batch_execute(statement).await?;
    }
    transaction.commit().await
}

pub(super) async fn locking(
    client: &mut Client,
    step: &Step,
    table: &str,
    sql: &[String],
) -> Result<(), WorkerError> {
    for attempt in 1..=LOCK_ATTEMPTS_MAX {
        match transaction(client, sql, LOCK_TIMEOUT_SHORT).await {
            Ok(()) => return Ok(()),
            Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                info!(%table, attempt, "somebody uses the table, trying again");
                tokio::time::sleep(LOCK_PAUSE).await;
            }
            Err(error) => return Err(WorkerError::database(step.what.clone())(error)),
        }
    }
    Err(WorkerError::TableInUse { table: table.to_owned(), attempts: LOCK_ATTEMPTS_MAX })
}

/// The record comes first: a slot that was made just before we were killed is known as ours.
async fn make_slot(
    client: &Client,
    config: &Config,
    drops_lost: bool,
    failover: bool,
) -> Result<Lsn, Error> {
    let (kind, name) = (RecordKind::Slot.text(), config.slot.as_str());
    client
        .execute(
            "INSERT INTO bemi.installation (kind, name) VALUES ($1, $2) \
             ON CONFLICT (kind, name) DO UPDATE SET former = NULL",
            &[&kind, &name],
        )
        .await?;
    if drops_lost {
        drop_slot(client, &config.slot).await?;
    }
    info!(slot = name, "making the slot, which waits for transactions that are running to end");
    // It waits by locks, one transaction after the other.
    client
        .batch_execute(&format!("SET statement_timeout = '{SLOT_TIMEOUT}'; SET lock_timeout = 0"))
        .await?;
    let position = match create_slot(client, &config.slot, failover).await {
        Ok(position) => position,
        Err(error) => {
            // Another's slot, or none: not ours in any case.
            let forget = "DELETE FROM bemi.installation WHERE kind = $1 AND name = $2";
            client.execute(forget, &[&kind, &name]).await?;
            return Err(error);
        }
    };
    client
        .batch_execute(&format!("RESET statement_timeout; SET lock_timeout = '{LOCK_TIMEOUT}'"))
        .await?;
    client
        .execute(
            "UPDATE bemi.installation SET former = $3 WHERE kind = $1 AND name = $2",
            &[&kind, &name, &position.to_string()],
        )
        .await?;
    Ok(position)
}

async fn start_checkpoint(
    client: &Client,
    config: &Config,
    found: &Found,
    start: &Start,
    position: Lsn,
) -> Result<(), Error> {
    let source = &found.source;
    let slot = config.slot.as_str();
    // The gap is written down first: met again, it is the same one.
    match (start, &found.destination.checkpoint) {
        (Start::OverGap { reason }, Some(before)) => {
            // Of another cluster, or of one that was restored, the slot may be before it.
            let (from, to) = (before.position.min(position), before.position.max(position));
            Checkpoint::record_gap(client, slot, from, to, reason).await?;
            let resume = Checkpoint {
                system_identifier: source.system_identifier.clone(),
                timeline: source.timeline,
                position,
                ..before.clone()
            };
            return resume.skip_to(client, slot).await;
        }
        // Of another cluster, it may be anywhere.
        (Start::After { began, reason }, _) if *began < position => {
            Checkpoint::record_gap(client, slot, *began, position, reason).await?;
        }
        (Start::Fresh | Start::After { .. } | Start::OverGap { .. }, _) => {}
    }
    client
        .execute(
            "INSERT INTO bemi.checkpoint \
                 (slot, system_identifier, timeline, database, publications, position, epoch) \
             VALUES ($1, $2, $3, $4, $5, $6, 0) ON CONFLICT (slot) DO NOTHING",
            &[
                &slot,
                &source.system_identifier,
                &i32::try_from(source.timeline).unwrap_or(i32::MAX),
                &source.database,
                &config.publication.both().to_vec(),
                &position.to_bigint(),
            ],
        )
        .await?;
    Ok(())
}
