//! That setup has run: publications, slot and checkpoint are there, and belong together.

use tokio_postgres::Client;

use crate::config::{Config, ConnectionConfig, OnMaxRetainedWal, RunOptions, SlotName};
use crate::connect::Fault;
use crate::error::{Problems, WorkerError};
use crate::sink::Checkpoint;
use crate::source::{GivenUp, SlotState};

/// The slot, where there is one, and the checkpoint.
///
/// # Errors
///
/// [`WorkerError::NotSetUp`] when something is missing; [`WorkerError::Unready`] when it belongs to
/// something else; [`WorkerError::Database`] when a server fails. That the slot is gone or lost is none:
/// that is a gap.
pub(crate) async fn check(
    source: &Client,
    destination: &Client,
    config: &Config,
) -> Result<(Option<SlotState>, Checkpoint), WorkerError> {
    check_is_primary(source, config).await?;
    check_publications(source, config).await?;
    // Before the checkpoint: a worker that is at work meanwhile moves the checkpoint first, and the
    // slot after it. Read the other way round, that would look like a gap.
    let slot = SlotState::read(source, &config.slot)
        .await
        .map_err(WorkerError::database("read the replication slot in the source"))?;
    check_slot(slot.as_ref(), config)?;
    let checkpoint = read_checkpoint(destination, &config.destination, &config.slot).await?;
    check_names(&checkpoint, config)?;
    Ok((slot, checkpoint))
}

/// The checkpoint of a slot.
///
/// # Errors
///
/// [`WorkerError::NotSetUp`] when there is none; [`WorkerError::Database`] when the server fails.
pub(crate) async fn read_checkpoint(
    client: &Client,
    destination: &ConnectionConfig,
    slot: &SlotName,
) -> Result<Checkpoint, WorkerError> {
    match Checkpoint::read(client, slot.as_str()).await {
        Ok(Some(checkpoint)) => Ok(checkpoint),
        Ok(None) => Err(WorkerError::NotSetUp {
            what: format!("{destination} has no checkpoint of slot {slot}"),
        }),
        Err(error) if is_missing(&error) => Err(WorkerError::NotSetUp {
            what: format!("{destination} has no table bemi.checkpoint"),
        }),
        Err(error) => Err(WorkerError::database("read the checkpoint in the destination")(error)),
    }
}

/// Whether a table or its schema is missing.
fn is_missing(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| matches!(code.code(), "42P01" | "3F000"))
}

/// That there is a place to write down that the slot was given up, where it may come to that: the
/// destination may be out of reach then.
///
/// # Errors
///
/// [`WorkerError::NotSetUp`] when there is none; [`WorkerError::Database`] when the server fails.
pub(super) async fn check_giving_up(
    source: &Client,
    config: &Config,
    options: RunOptions,
) -> Result<(), WorkerError> {
    if options.retained_wal.on_max != OnMaxRetainedWal::GiveUp {
        return Ok(());
    }
    let can_be_recorded = GivenUp::can_be_recorded(source)
        .await
        .map_err(WorkerError::database("look for bemi.given_up in the source"))?;
    if can_be_recorded {
        return Ok(());
    }
    Err(WorkerError::NotSetUp {
        what: format!(
            "--on-max-retained-wal give-up writes down in {} what it gives up, and there is no table \
             bemi.given_up for it, or this role may not SELECT, INSERT and UPDATE there",
            config.source
        ),
    })
}

/// While a failover goes on, the address may lead to a standby, which knows nothing of our slot.
async fn check_is_primary(source: &Client, config: &Config) -> Result<(), WorkerError> {
    let failed = || WorkerError::database("ask the source whether it is a primary");
    let row =
        source.query_one("SELECT pg_catalog.pg_is_in_recovery()", &[]).await.map_err(failed())?;
    if row.try_get(0).map_err(failed())? {
        return Err(WorkerError::Replication {
            why: format!(
                "{} is a standby; give the address of the primary, or wait until this one is promoted",
                config.source
            ),
            fault: Fault::Transient,
        });
    }
    Ok(())
}

/// A newer server streams nothing and says nothing where a publication is missing.
async fn check_publications(source: &Client, config: &Config) -> Result<(), WorkerError> {
    let names = config.publication.both();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let missing = source
        .query(
            "SELECT name FROM unnest($1::text[]) AS name \
             WHERE name NOT IN (SELECT pubname::text FROM pg_catalog.pg_publication)",
            &[&names],
        )
        .await
        .map_err(WorkerError::database("read the publications in the source"))?;
    match missing.first() {
        None => Ok(()),
        Some(row) => {
            let name: &str = row
                .try_get(0)
                .map_err(WorkerError::database("read the publications in the source"))?;
            Err(WorkerError::NotSetUp {
                what: format!("{} has no publication {name}", config.source),
            })
        }
    }
}

/// That the slot goes on being read with the publications that it was read with: others would number
/// the changes of a transaction otherwise.
fn check_names(checkpoint: &Checkpoint, config: &Config) -> Result<(), WorkerError> {
    let mut problems = Problems::default();
    if checkpoint.publications != config.publication.both() {
        problems.requirement(format!(
            "the checkpoint of slot {} is of the publications {}, not of {}; give the --publication \
             that setup was given, or another --slot",
            config.slot,
            checkpoint.publications.join(" and "),
            config.publication.both().join(" and ")
        ));
    }
    if checkpoint.database != config.source.database() {
        problems.requirement(format!(
            "the checkpoint of slot {} is of the database {}, not of {}; give another --slot",
            config.slot,
            checkpoint.database,
            config.source.database()
        ));
    }
    problems.into_result()
}

/// That the slot is one that can serve us, if there is one.
fn check_slot(slot: Option<&SlotState>, config: &Config) -> Result<(), WorkerError> {
    let mut problems = Problems::default();
    if let Some(slot) = slot {
        if slot.plugin != "pgoutput" {
            problems.requirement(format!(
                "replication slot {} is of the plugin '{}', not of pgoutput; give another --slot",
                config.slot, slot.plugin
            ));
        } else if slot.database != config.source.database() {
            problems.requirement(format!(
                "replication slot {} is of the database {}, not of {}; give another --slot",
                config.slot,
                slot.database,
                config.source.database()
            ));
        }
    }
    problems.into_result()
}
