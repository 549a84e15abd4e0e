//! Opens source and destination, and makes sure that the stream goes on where the checkpoint ends.
//!
//! The order matters. Replication starts before the epoch is taken: the server lets only one process
//! stream from a slot, so a second worker fails there and does not fence the first. The checkpoint is
//! read again with the epoch: what another worker stored in between would else be stored twice.

use bemi_core::{Lsn, Origin};
use tokio_postgres::Client;
use tracing::warn;

use super::flow::Flow;
use crate::batch::BatchBuilder;
use crate::config::{Config, OnGap, RunOptions};
use crate::connect::Fault;
use crate::error::{Problems, WorkerError};
use crate::render::ChangeWriter;
use crate::sink::{Checkpoint, Sink, prepare_session};
use crate::source::{Catalog, Gap, SlotState, Stream, System, check_gap, create_slot, drop_slot};

/// Opens everything and starts streaming.
pub(super) async fn open(config: &Config, options: RunOptions) -> Result<Flow, WorkerError> {
    let source = config.source.connect().await?;
    check_publications(&source, config).await?;
    // Before the checkpoint: a worker that is at work meanwhile moves the checkpoint first, and the
    // slot after it. Read the other way round, that would look like a gap.
    let slot = SlotState::read(&source, &config.slot)
        .await
        .map_err(WorkerError::database("read the replication slot in the source"))?;
    check_slot(slot.as_ref(), config)?;
    let destination = config.destination.connect().await?;
    prepare_session(&destination).await?;
    let checkpoint = read_checkpoint(&destination, config).await?;
    check_names(&checkpoint, config)?;
    let mut start = checkpoint.position;
    let mut stream = Stream::connect(config, start).await?;
    let system = stream.identify().await?;
    let fork = stream.fork_of(checkpoint.timeline, system.timeline).await?;
    if let Some(gap) = check_gap(&checkpoint, slot.as_ref(), &system, fork) {
        start = pass_gap(&source, &destination, config, options, &checkpoint, &system, gap).await?;
        stream = Stream::connect(config, start).await?;
    }

    let catalog = Catalog::open(source).await?;
    stream.start().await?;
    let (epoch, position) =
        Checkpoint::take_epoch(&destination, config.slot.as_str(), system.timeline)
            .await
            .map_err(WorkerError::database("take over the checkpoint in the destination"))?;
    if position != start {
        return Err(WorkerError::Replication {
            why: format!("another worker stored up to {position} meanwhile"),
            fault: Fault::Transient,
        });
    }
    let sink =
        Sink::prepare(destination, &config.changes_schema, config.slot.to_string(), epoch).await?;

    let database = config.source.database().to_owned();
    // Only a server that is not PostgreSQL has another kind of identifier.
    let identifier = system.identifier.parse().unwrap_or(0);
    let origin = Origin::new(identifier, system.timeline, &database);
    let builder = BatchBuilder::new(ChangeWriter::new(origin, database), start);
    let target = if options.once { Some(catalog.heartbeat().await?) } else { None };
    Ok(Flow::new(stream, catalog, builder, sink, target))
}

async fn read_checkpoint(destination: &Client, config: &Config) -> Result<Checkpoint, WorkerError> {
    let read = Checkpoint::read(destination, config.slot.as_str()).await;
    match read {
        Ok(Some(checkpoint)) => Ok(checkpoint),
        Ok(None) => Err(WorkerError::NotSetUp {
            what: format!("{} has no checkpoint of slot {}", config.destination, config.slot),
        }),
        Err(error) if is_missing(&error) => Err(WorkerError::NotSetUp {
            what: format!("{} has no table bemi.checkpoint", config.destination),
        }),
        Err(error) => Err(WorkerError::database("read the checkpoint in the destination")(error)),
    }
}

/// Whether a table or its schema is missing.
fn is_missing(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| matches!(code.code(), "42P01" | "3F000"))
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

/// Writes the gap down. Then goes on behind it, if that is wanted.
async fn pass_gap(
    source: &Client,
    destination: &Client,
    config: &Config,
    options: RunOptions,
    checkpoint: &Checkpoint,
    system: &System,
    gap: Gap,
) -> Result<Lsn, WorkerError> {
    let resume_position = match (options.on_gap, gap.resume) {
        (OnGap::Continue, None) => Some(renew_slot(source, config).await?),
        (_, resume) => resume,
    };
    let to = resume_position.unwrap_or(checkpoint.position);
    let record = |error| WorkerError::database("record a gap in the destination")(error);
    Checkpoint::record_gap(destination, config.slot.as_str(), checkpoint.position, to, &gap.reason)
        .await
        .map_err(record)?;
    if options.on_gap == OnGap::Stop {
        return Err(WorkerError::Gap { reason: gap.reason });
    }
    let resume = Checkpoint {
        system_identifier: system.identifier.clone(),
        timeline: system.timeline,
        position: to,
        ..checkpoint.clone()
    };
    resume.skip_to(destination, config.slot.as_str()).await.map_err(record)?;
    warn!(from = %checkpoint.position, %to, reason = gap.reason, "changes were lost; going on");
    Ok(to)
}

/// A slot that is gone or lost holds nothing: a new one takes its place, because the user said to
/// go on.
async fn renew_slot(source: &Client, config: &Config) -> Result<Lsn, WorkerError> {
    let read = WorkerError::database("read the replication slot in the source");
    if SlotState::read(source, &config.slot).await.map_err(read)?.is_some() {
        drop_slot(source, &config.slot)
            .await
            .map_err(WorkerError::database("drop the lost replication slot in the source"))?;
    }
    create_slot(source, &config.slot)
        .await
        .map_err(WorkerError::database("create a replication slot in the source"))
}
