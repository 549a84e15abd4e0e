//! Moves changes from the stream to the sink, until one of them ends.
//!
//! Reading and rendering happen here, storing in a task beside it. While the sink is busy, changes
//! gather in the next batch; when it is idle, a batch is stored as soon as it holds whole
//! transactions. So batches are as large as the load makes them, and a lone change waits for nobody.

use std::collections::VecDeque;
use std::time::Duration;

use bemi_core::{DDL_PREFIX, Lsn, MESSAGE_PREFIX, TABLE_PREFIX};
use pgwire_replication::ReplicationEvent;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::RunSummary;
use crate::batch::{Batch, BatchBuilder, Boundary, Next, StreamError, truncates_apart};
use crate::connect::Fault;
use crate::error::WorkerError;
use crate::failpoint::Failpoint;
use crate::metrics::{Metrics, Side};
use crate::sink::Sink;
use crate::source::{Catalog, Stream};

/// Batches that are being stored or wait for it. Two: the sink never waits for the next one.
const BATCHES_IN_FLIGHT_MAX: usize = 2;

/// What they may hold together, in bytes, where it is more than one: a batch may have a row of any size.
const BYTES_IN_FLIGHT_MAX: usize = 16 * 1024 * 1024;

/// How many events are taken before looking around: for room in the sink, and whether to stop.
const EVENTS_AT_ONCE: usize = 512;

/// An idle position is stored when the WAL has moved by this much. Our own writing, when the
/// destination is in the same cluster, is far less: else it would move the WAL, and so on for ever.
pub(crate) const IDLE_WAL_BYTES_MAX: u64 = 1024 * 1024;

/// A stream that is silent for this long may be dead: the source is asked.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// How long the source may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Both ends, open, and what is between them.
pub(super) struct Flow {
    stream: Stream,
    catalog: Catalog,
    builder: BatchBuilder,
    batches: mpsc::Sender<Batch>,
    stored: mpsc::Receiver<Option<Boundary>>,
    sink: JoinSet<Result<(), WorkerError>>,
    /// The size of each batch that is being stored or waits for it.
    in_flight: VecDeque<usize>,
    /// Somebody waits for the position to be stored: the server, as it does before it shuts down, or
    /// whoever emitted a heartbeat.
    answer_due: bool,
    /// Where to end.
    target: Option<Lsn>,
    metrics: Metrics,
    /// What was received, in bytes, and is not counted yet.
    received_bytes: u64,
}

impl Flow {
    pub(super) fn new(
        stream: Stream,
        catalog: Catalog,
        builder: BatchBuilder,
        sink: Sink,
        target: Option<Lsn>,
        metrics: Metrics,
    ) -> Self {
        let (batches, to_store) = mpsc::channel(BATCHES_IN_FLIGHT_MAX);
        let (report, stored) = mpsc::channel(BATCHES_IN_FLIGHT_MAX);
        let mut task = JoinSet::new();
        task.spawn(store(sink, to_store, report));
        Self {
            stream,
            catalog,
            builder,
            batches,
            stored,
            sink: task,
            in_flight: VecDeque::new(),
            answer_due: false,
            target,
            metrics,
            received_bytes: 0,
        }
    }

    /// The server process that it streams from.
    pub(super) fn process(&self) -> Option<i32> {
        self.stream.streaming_process()
    }

    /// Up to where everything is whole.
    pub(super) fn position(&self) -> Lsn {
        self.builder.position()
    }

    /// Runs until told to stop or the target is reached; then what is whole is stored.
    pub(super) async fn run(
        mut self,
        shutdown: &mut watch::Receiver<bool>,
        summary: &watch::Sender<RunSummary>,
    ) -> Result<(), WorkerError> {
        while !*shutdown.borrow() && !self.is_done() {
            self.metrics.received(std::mem::take(&mut self.received_bytes));
            for _ in 0..EVENTS_AT_ONCE {
                if self.builder.is_full() {
                    self.send_when_room(summary).await?;
                }
                match self.stream.try_next() {
                    Some(event) => self.take(event?, summary).await?,
                    None => break,
                }
            }
            if self.in_flight.is_empty() && (self.builder.is_ready() || self.is_idle_due()) {
                self.send().await?;
            }
            tokio::select! {
                biased;
                () = super::stopped(shutdown) => break,
                stored = self.stored.recv() => self.note_stored(stored, summary).await?,
                event = self.stream.next() => self.take(event?, summary).await?,
                () = tokio::time::sleep(SILENCE_MAX) => self.ask_source().await?,
            }
        }
        self.finish(summary).await
    }

    fn is_done(&self) -> bool {
        self.target
            .is_some_and(|target| self.builder.is_between() && self.builder.position() >= target)
    }

    fn is_idle_due(&self) -> bool {
        let bytes = self.builder.idle_bytes();
        bytes >= IDLE_WAL_BYTES_MAX || (self.answer_due && bytes > 0)
    }

    async fn take(
        &mut self,
        event: ReplicationEvent,
        summary: &watch::Sender<RunSummary>,
    ) -> Result<(), WorkerError> {
        self.received_bytes += content_bytes(&event);
        let Some(truncates) = truncates_apart(&event) else { return self.take_one(event).await };
        for truncate in truncates {
            if self.builder.is_full() {
                self.send_when_room(summary).await?;
            }
            self.take_one(truncate).await?;
        }
        Ok(())
    }

    /// Takes an event that makes one row at most.
    async fn take_one(&mut self, event: ReplicationEvent) -> Result<(), WorkerError> {
        let event = self.in_utf8(event).await?;
        if self.builder.outruns_types(&event) {
            self.wait_until_visible().await?;
            self.catalog.read_types(self.builder.tables_mut()).await?;
        }
        let next = self.builder.take(event).map_err(out_of_order)?;
        if matches!(next, Next::Describe(_) | Next::ReadRules) {
            self.wait_until_visible().await?;
        }
        match next {
            Next::Continue => {}
            Next::Describe(relation) => {
                let oid = relation.oid;
                self.builder.describe(oid, self.catalog.table(relation).await?);
            }
            Next::Note(mut event) => {
                self.catalog.hide(&mut event);
                self.builder.note(event).map_err(out_of_order)?;
            }
            Next::ReadRules => self.catalog.read_rules(self.builder.tables_mut()).await?,
            Next::Idle { reply_requested } => self.answer_due |= reply_requested,
            Next::Heartbeat => self.answer_due = true,
        }
        Ok(())
    }

    /// Waits until the catalog shows what the transaction at hand has done to it.
    async fn wait_until_visible(&self) -> Result<(), WorkerError> {
        match self.builder.transaction_id() {
            Some(id) => self.catalog.wait_until_visible(id).await,
            None => Ok(()),
        }
    }

    /// Brings the text of a message into the encoding that everything else has.
    async fn in_utf8(&self, mut event: ReplicationEvent) -> Result<ReplicationEvent, WorkerError> {
        if let ReplicationEvent::Message { transactional: true, prefix, content, .. } = &mut event
            && matches!(prefix.as_str(), MESSAGE_PREFIX | DDL_PREFIX | TABLE_PREFIX)
        {
            *content = self.catalog.to_utf8(std::mem::take(content)).await?;
        }
        Ok(event)
    }

    /// Gives the batch to the sink, once there is room.
    async fn send_when_room(
        &mut self,
        summary: &watch::Sender<RunSummary>,
    ) -> Result<(), WorkerError> {
        while !self.has_room() {
            let stored = self.stored.recv().await;
            self.note_stored(stored, summary).await?;
        }
        self.send().await
    }

    /// Whether the sink can be given the batch at hand.
    fn has_room(&self) -> bool {
        let bytes = self.in_flight.iter().sum::<usize>() + self.builder.len_bytes();
        self.in_flight.is_empty()
            || (self.in_flight.len() < BATCHES_IN_FLIGHT_MAX && bytes <= BYTES_IN_FLIGHT_MAX)
    }

    async fn send(&mut self) -> Result<(), WorkerError> {
        let batch = self.builder.take_batch();
        self.give(batch).await
    }

    async fn give(&mut self, batch: Batch) -> Result<(), WorkerError> {
        // A heartbeat in a transaction that has not ended waits for its end.
        if batch.boundary.is_some() && self.builder.is_between() {
            self.answer_due = false;
        }
        self.in_flight.push_back(batch.len_bytes());
        self.metrics.at_sink(self.in_flight.len());
        match self.batches.send(batch).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.sink_error().await),
        }
    }

    /// Acknowledges what is stored.
    async fn note_stored(
        &mut self,
        stored: Option<Option<Boundary>>,
        summary: &watch::Sender<RunSummary>,
    ) -> Result<(), WorkerError> {
        let Some(boundary) = stored else { return Err(self.sink_error().await) };
        self.in_flight.pop_front();
        self.metrics.at_sink(self.in_flight.len());
        if let Some(boundary) = boundary {
            Failpoint::BeforeAcknowledge.pass();
            self.stream.acknowledge(boundary.position);
            Failpoint::AfterAcknowledge.pass();
            summary.send_modify(|summary| {
                summary.position = boundary.position;
                summary.changes += boundary.changes.unsigned_abs();
                summary.transactions += boundary.transactions.unsigned_abs();
            });
        }
        Ok(())
    }

    /// Why the sink has ended.
    async fn sink_error(&mut self) -> WorkerError {
        self.metrics.blame(Side::Destination);
        match self.sink.join_next().await {
            Some(Ok(Err(error))) => error,
            // It ends by itself only when nobody sends any more.
            _ => WorkerError::Replication {
                why: "the task that stores changes has ended".to_owned(),
                fault: Fault::Transient,
            },
        }
    }

    /// Makes sure that a silent source is there: nothing else would tell of a network that was cut.
    /// Its connection can be lost without a word, while the others are well: then the server has ended the
    /// process that streams.
    async fn ask_source(&self) -> Result<(), WorkerError> {
        let lost = |why: String| WorkerError::Replication { why, fault: Fault::Transient };
        match tokio::time::timeout(ANSWER_MAX, self.catalog.streaming_process()).await {
            Ok(Ok(process)) if process == self.process() => Ok(()),
            Ok(Ok(_)) => Err(lost("the connection of the stream was lost on the way".to_owned())),
            Ok(Err(error)) => {
                Err(WorkerError::database("ask the source whether it is there")(error))
            }
            Err(_) => {
                Err(lost(format!("the source has not answered for {} s", ANSWER_MAX.as_secs())))
            }
        }
    }

    /// Stores what is whole, acknowledges it, and leaves. A transaction that is half received is
    /// rolled back in the destination with the sink, and comes again.
    async fn finish(mut self, summary: &watch::Sender<RunSummary>) -> Result<(), WorkerError> {
        if let Some(batch) = self.builder.take_whole() {
            self.give(batch).await?;
        }
        while !self.in_flight.is_empty() {
            let stored = self.stored.recv().await;
            self.note_stored(stored, summary).await?;
        }
        self.stream.end().await;
        Ok(())
    }
}

/// What the server sent for an event, in bytes, as far as it is anybody's data.
fn content_bytes(event: &ReplicationEvent) -> u64 {
    let length = match event {
        ReplicationEvent::XLogData { data, .. } => data.len(),
        ReplicationEvent::Message { content, .. } => content.len(),
        _ => 0,
    };
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn out_of_order(error: StreamError) -> WorkerError {
    WorkerError::Stream { why: error.to_string() }
}

/// Stores batches as they come.
async fn store(
    mut sink: Sink,
    mut batches: mpsc::Receiver<Batch>,
    report: mpsc::Sender<Option<Boundary>>,
) -> Result<(), WorkerError> {
    while let Some(batch) = batches.recv().await {
        let boundary = sink.store(batch).await?;
        if report.send(boundary).await.is_err() {
            break;
        }
    }
    Ok(())
}
