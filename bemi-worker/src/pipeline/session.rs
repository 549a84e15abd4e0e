//! Opens source and destination, and makes sure that the stream goes on where the checkpoint ends.
//!
//! The order matters. Replication starts before the epoch is taken: the server lets only one process
//! stream from a slot, so a second worker fails there and does not fence the first. The checkpoint is
//! read again with the epoch: what another worker stored in between would else be stored twice.

use bemi_core::{Lsn, Origin};
use tokio_postgres::Client;
use tracing::warn;

use super::flow::Flow;
use super::readiness;
use crate::batch::BatchBuilder;
use crate::config::{Config, OnGap, RunOptions};
use crate::connect::Fault;
use crate::error::WorkerError;
use crate::failpoint::Failpoint;
use crate::metrics::{Metrics, Side};
use crate::render::ChangeWriter;
use crate::setup::inspect::{Installation, RecordKind};
use crate::setup::table_events;
use crate::sink::{Checkpoint, Sink, check_version, prepare_session, take_over};
use crate::source::{
    Catalog, Gap, GivenUp, SlotState, Stream, System, check_gap, create_slot, drop_slot,
};

/// Opens everything and starts streaming.
pub(super) async fn open(
    config: &Config,
    options: RunOptions,
    metrics: &Metrics,
) -> Result<Flow, WorkerError> {
    let source = config.source.connect().await?;
    let destination =
        config.destination.connect().await.inspect_err(|_| metrics.blame(Side::Destination))?;
    let at_destination = |_: &WorkerError| metrics.blame(Side::Destination);
    prepare_session(&destination).await.inspect_err(at_destination)?;
    check_version(&destination, &config.destination).await?;
    let (slot, checkpoint) = readiness::check(&source, &destination, config).await?;
    readiness::check_giving_up(&source, config, options).await?;
    let mut start = checkpoint.position;
    let mut stream = Stream::connect(config, start).await?;
    let system = stream.identify().await?;
    let fork = stream.fork_of(checkpoint.timeline, system.timeline).await?;
    if let Some(gap) = check_gap(&checkpoint, slot.as_ref(), &system, fork) {
        start = pass_gap(&source, &destination, config, options, &checkpoint, &system, gap).await?;
        stream = Stream::connect(config, start).await?;
    }

    let catalog = Catalog::open(source, config.slot.clone(), config.mask_key.clone()).await?;
    stream.start().await?;
    Failpoint::BeforeEpoch.pass();
    let (epoch, position) = take_over(&destination, config.slot.as_str(), system.timeline)
        .await
        .map_err(WorkerError::database("take over the checkpoint in the destination"))
        .inspect_err(at_destination)?;
    Failpoint::AfterEpoch.pass();
    if position != start {
        return Err(WorkerError::Replication {
            why: format!("another worker stored up to {position} meanwhile"),
            fault: Fault::Transient,
        });
    }
    let sink = Sink::prepare(destination, config, epoch, metrics.clone())
        .await
        .inspect_err(at_destination)?;

    let database = config.source.database().to_owned();
    // Only a server that is not PostgreSQL has another kind of identifier.
    let identifier = system.identifier.parse().unwrap_or(0);
    let origin = Origin::new(identifier, system.timeline, &database);
    let builder = BatchBuilder::new(ChangeWriter::new(origin, database), start);
    let target = if options.once { Some(catalog.heartbeat().await?) } else { None };
    Ok(Flow::new(stream, catalog, builder, sink, target, metrics.clone()))
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
    Failpoint::BeforeGap.pass();
    let given_up = GivenUp::read(source, &config.slot)
        .await
        .map_err(WorkerError::database("read bemi.given_up in the source"))?
        // One that the checkpoint is beyond is of an earlier time.
        .filter(|given_up| checkpoint.position <= given_up.position);
    let reason = given_up.map_or(gap.reason.clone(), |given_up| given_up.reason);
    let resume_position = match (options.on_gap, gap.resume) {
        (OnGap::Continue, None) => {
            let renewed = renew_slot(source, config).await?;
            Failpoint::AfterSlotRenewed.pass();
            Some(renewed)
        }
        (_, resume) => resume,
    };
    let record = |error| WorkerError::database("record a gap in the destination")(error);
    let (lost_from, lost_to) = match resume_position {
        Some(resume) => gap.stretch(checkpoint.position, resume),
        // It grows until somebody says how to go on.
        None => (checkpoint.position, checkpoint.position.max(system.end)),
    };
    Checkpoint::record_gap(destination, config.slot.as_str(), lost_from, lost_to, &reason)
        .await
        .map_err(record)?;
    let to = resume_position.unwrap_or(checkpoint.position);
    Failpoint::AfterGap.pass();
    if options.on_gap == OnGap::Stop {
        return Err(WorkerError::Gap { reason });
    }
    // What became of tables in the gap nobody knows. Said before the gap is passed for good: said again it
    // does no harm.
    table_events::emit_tracked(source, config)
        .await
        .map_err(WorkerError::database("say in the stream which tables are tracked"))?;
    let resume = Checkpoint {
        system_identifier: system.identifier.clone(),
        timeline: system.timeline,
        position: to,
        ..checkpoint.clone()
    };
    resume.skip_to(destination, config.slot.as_str()).await.map_err(record)?;
    Failpoint::AfterGapPassed.pass();
    warn!(from = %lost_from, to = %lost_to, reason, "changes were lost; going on");
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
    create_slot(source, &config.slot, survives_failover(source, config).await?)
        .await
        .map_err(WorkerError::database("create a replication slot in the source"))
}

/// Whether setup was told to have the slot survive a failover.
async fn survives_failover(source: &Client, config: &Config) -> Result<bool, WorkerError> {
    let read = || WorkerError::database("read in the source what setup has made");
    let made = Installation::find(source).await.map_err(read())?;
    let slot = config.slot.as_str();
    Ok(made.is_some_and(|made| made.record(RecordKind::FailoverSlot, slot).is_some()))
}
