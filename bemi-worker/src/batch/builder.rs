//! Makes batches of the stream's events.

use std::collections::HashMap;

use bemi_core::{
    CommitPosition, DDL_PREFIX, HEARTBEAT_PREFIX, Lsn, MESSAGE_PREFIX, TABLE_PREFIX, TransactionId,
};
use jiff::Timestamp;
use pgwire_replication::ReplicationEvent;
use tracing::{debug, warn};

use super::leaves::{Leaves, RootIdentity};
use super::{BATCH_BYTES_MAX, Batch, Boundary, Counts, Mark, postgres_timestamp};
use crate::decode::{DecodeError, Message, Relation};
use crate::rate_limited::RateLimited;
use crate::render::{ChangeWriter, CopyRows, RowChange, Table};
use crate::stitch::{Ddl, OutOfOrder, Stitcher, TableEvent, Transaction};

/// The prefix of the message that setup leaves when the rules of what is stored have changed.
const CONFIG_PREFIX: &str = "_bemi_config";

/// What an event asks of the pipeline.
#[derive(Debug)]
#[must_use]
pub(crate) enum Next {
    /// To go on.
    Continue,
    /// To look this table up in the catalog and [`BatchBuilder::describe`] it, before the next event.
    Describe(Relation),
    /// To take out of it what the rules hide, and [`BatchBuilder::note`] it, before the next event.
    Note(TableEvent),
    /// To read the rules of what is stored again, and apply them to [`BatchBuilder::tables_mut`].
    ReadRules,
    /// Nothing: the server says that the WAL up to here has nothing more, and may want an answer.
    Idle { reply_requested: bool },
    /// To store the position as soon as it can be: somebody waits for that.
    Heartbeat,
}

/// The stream cannot be followed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    #[error(transparent)]
    OutOfOrder(#[from] OutOfOrder),
    #[error("the commit time {microseconds} of a transaction is out of range")]
    CommitTime { microseconds: i64 },
}

/// The state between the stream and the next batch.
#[derive(Debug)]
pub(crate) struct BatchBuilder {
    stitcher: Stitcher,
    writer: ChangeWriter,
    tables: HashMap<u32, Table>,
    /// Whether there are tables with types that may be altered without the stream saying so.
    types_may_change: bool,
    leaves: Leaves,
    batch: Batch,
    /// The last boundary, and how much of the batch lies before it.
    boundary: Boundary,
    boundary_mark: Mark,
    /// Up to where batches were taken out.
    taken: Lsn,
    /// Whether the batch before this one left a transaction open in the destination.
    continues: bool,
    /// Whether a transaction has ended since this batch began.
    ended_here: bool,
    /// Transactions that commit before this were stored by an earlier session.
    start: Lsn,
    skipping: bool,
    /// What is counted of the transaction at hand.
    counts: Counts,
    quarantine_log: RateLimited,
    context_log: RateLimited,
    message_log: RateLimited,
}

impl BatchBuilder {
    /// A builder for a stream that starts at `start`.
    pub(crate) fn new(writer: ChangeWriter, start: Lsn) -> Self {
        Self {
            stitcher: Stitcher::default(),
            writer,
            tables: HashMap::new(),
            types_may_change: false,
            leaves: Leaves::default(),
            batch: Batch::default(),
            boundary: Boundary { position: start, ..Boundary::default() },
            boundary_mark: Mark::default(),
            taken: start,
            continues: false,
            ended_here: false,
            start,
            skipping: false,
            counts: Counts::default(),
            quarantine_log: RateLimited::default(),
            context_log: RateLimited::default(),
            message_log: RateLimited::default(),
        }
    }

    /// Whether an event is a change that lies behind what is known of the types of its table: they are
    /// to be read again, for [`BatchBuilder::tables_mut`], before it is taken.
    pub(crate) fn outruns_types(&self, event: &ReplicationEvent) -> bool {
        if !self.types_may_change || self.skipping {
            return false;
        }
        let ReplicationEvent::XLogData { wal_start, data, .. } = event else { return false };
        let Some(relation) = relation_of_row(data) else { return false };
        let position = Lsn::new(wal_start.as_u64());
        self.tables.get(&relation).is_some_and(|table| table.types_end() < position)
    }

    /// Takes one event.
    ///
    /// # Errors
    ///
    /// [`StreamError`] when the events are not a sequence of transactions. A change that cannot be
    /// decoded or rendered is no error: it is quarantined.
    pub(crate) fn take(&mut self, event: ReplicationEvent) -> Result<Next, StreamError> {
        match event {
            ReplicationEvent::XLogData { wal_start, data, .. } => {
                return self.take_data(Lsn::new(wal_start.as_u64()), &data);
            }
            ReplicationEvent::Begin { final_lsn, xid, commit_time_micros } => {
                self.begin(Lsn::new(final_lsn.as_u64()), xid, commit_time_micros)?;
            }
            ReplicationEvent::Commit { end_lsn, .. } => {
                self.commit(Lsn::new(end_lsn.as_u64()))?;
            }
            ReplicationEvent::Message { transactional, prefix, content, lsn } => {
                return self.take_message(transactional, &prefix, &content, Lsn::new(lsn.as_u64()));
            }
            ReplicationEvent::KeepAlive { wal_end, reply_requested, .. } => {
                self.idle(Lsn::new(wal_end.as_u64()));
                return Ok(Next::Idle { reply_requested });
            }
            ReplicationEvent::StoppedAt { .. } => {}
        }
        Ok(Next::Continue)
    }

    /// The transaction that is being received.
    pub(crate) fn transaction_id(&self) -> Option<TransactionId> {
        self.stitcher.transaction().map(|transaction| transaction.id)
    }

    /// Says what a table is, so that its changes can be rendered.
    pub(crate) fn describe(&mut self, oid: u32, mut table: Table) {
        if let Some(RootIdentity { old_row, columns }) = self.leaves.root(oid) {
            table.set_identity(old_row, |column| columns.contains(column));
        }
        self.types_may_change |= table.may_change();
        self.tables.insert(oid, table);
    }

    /// Adds what became of a table. It is no change: it has a place among them, and no number.
    ///
    /// # Errors
    ///
    /// [`StreamError`] outside of a transaction.
    pub(crate) fn note(&mut self, event: TableEvent) -> Result<(), StreamError> {
        let place = self.stitcher.next_event()?;
        self.batch.table_event(event, place);
        Ok(())
    }

    /// Looks at the tables that are known, to change the rules for their columns.
    pub(crate) fn tables_mut(&mut self) -> impl Iterator<Item = &mut Table> {
        self.tables.values_mut()
    }

    /// Whether the batch must be stored before the next event is taken.
    pub(crate) fn is_full(&self) -> bool {
        self.batch.is_full()
    }

    /// What the batch holds, in bytes.
    pub(crate) fn len_bytes(&self) -> usize {
        self.batch.len_bytes()
    }

    /// Whether the batch can be stored now, so that readers see it at once: it holds something, and
    /// no transaction is half received.
    pub(crate) fn is_ready(&self) -> bool {
        self.is_between() && (self.batch.len() > 0 || self.continues)
    }

    /// Up to where everything that was received is whole. Storing the batch makes it durable.
    pub(crate) fn position(&self) -> Lsn {
        self.boundary.position
    }

    /// Whether no transaction is half received.
    pub(crate) fn is_between(&self) -> bool {
        !self.stitcher.is_open()
    }

    /// By how much the WAL has moved since the last batch, when nothing in it is to be stored.
    pub(crate) fn idle_bytes(&self) -> u64 {
        if self.is_between() { self.boundary.position.bytes_since(self.taken) } else { 0 }
    }

    /// Takes the batch out, to be stored. Where it ends inside a transaction, the transactions before are
    /// not kept waiting for it: what there is of it goes to the next batch.
    pub(crate) fn take_batch(&mut self) -> Batch {
        if self.is_between() || self.ends_any() {
            self.take_ended()
        } else {
            self.continues = true;
            self.start_batch();
            self.next_batch()
        }
    }

    /// Takes out what is whole, and gives up what was received of a transaction that has not
    /// ended. `None` when nothing is left.
    pub(crate) fn take_whole(&mut self) -> Option<Batch> {
        let is_left = if self.is_between() {
            self.is_ready() || self.idle_bytes() > 0
        } else {
            self.ended_here
        };
        let whole = is_left.then(|| self.take_ended());
        self.batch = Batch::default();
        whole
    }

    /// Whether there are transactions to be stored that have ended since this batch began.
    fn ends_any(&self) -> bool {
        self.ended_here && (self.continues || !self.boundary_mark.is_empty())
    }

    /// Takes out what lies before the last boundary.
    fn take_ended(&mut self) -> Batch {
        let mut batch = self.next_batch();
        // Outside of any transaction, that is all of it.
        batch.move_behind(self.boundary_mark, &mut self.batch);
        batch.boundary = Some(self.take_boundary());
        self.continues = false;
        self.start_batch();
        batch
    }

    /// Begins another batch, and returns the one before.
    fn next_batch(&mut self) -> Batch {
        let batch = std::mem::take(&mut self.batch);
        // After a full batch comes another one, most likely: it need not grow into its size again.
        let bytes = batch.rows.len_bytes();
        if bytes >= BATCH_BYTES_MAX / 2 {
            let room = bytes.min(BATCH_BYTES_MAX) + BATCH_BYTES_MAX / 8;
            self.batch.rows = CopyRows::with_capacity(room, batch.rows.len());
        }
        batch
    }

    fn take_boundary(&mut self) -> Boundary {
        let next = Boundary { position: self.boundary.position, ..Boundary::default() };
        self.taken = next.position;
        std::mem::replace(&mut self.boundary, next)
    }

    fn start_batch(&mut self) {
        self.ended_here = false;
        self.boundary_mark = Mark::default();
    }

    fn begin(&mut self, position: Lsn, xid: u32, commit_time: i64) -> Result<(), StreamError> {
        let committed_at = postgres_timestamp(commit_time)
            .ok_or(StreamError::CommitTime { microseconds: commit_time })?;
        self.skipping = position < self.start;
        self.counts = Counts::default();
        self.stitcher.begin(Transaction {
            id: TransactionId(xid),
            position: CommitPosition(position),
            committed_at,
            queued_at: Timestamp::now(),
        })?;
        Ok(())
    }

    /// Everything before `position` has come.
    fn idle(&mut self, position: Lsn) {
        // Inside a transaction, the position that is done is still its begin.
        if !self.stitcher.is_open() {
            self.boundary.position = self.boundary.position.max(position);
        }
    }

    fn commit(&mut self, end: Lsn) -> Result<(), StreamError> {
        let (transaction, changes) = self.stitcher.commit()?;
        let changes = changes - self.counts.ignored;
        self.boundary.position = self.boundary.position.max(end);
        if changes > 0 {
            self.boundary.last_commit = Some((transaction.position, transaction.committed_at));
            self.boundary.transactions += 1;
            self.boundary.changes += changes;
            self.boundary.commits.push(transaction.committed_at);
        }
        self.boundary.counts.add(self.counts);
        self.ended_here = true;
        self.boundary_mark = self.batch.mark();
        Ok(())
    }

    fn take_message(
        &mut self,
        transactional: bool,
        prefix: &str,
        content: &[u8],
        position: Lsn,
    ) -> Result<Next, StreamError> {
        match prefix {
            MESSAGE_PREFIX if transactional => {
                if let Some(bad) = self.stitcher.message(content)?
                    && !self.skipping
                {
                    self.counts.unreadable_contexts += 1;
                    if let Some(held_back) = self.context_log.say() {
                        warn!(%position, reason = %bad, held_back, "context message is not stored as it is");
                    }
                }
            }
            MESSAGE_PREFIX => {
                self.boundary.counts.contexts_without_transaction += 1;
                debug!(%position, "ignored a context message without transaction");
            }
            DDL_PREFIX if transactional => self.ddl(position, content)?,
            TABLE_PREFIX if transactional => return Ok(self.table_event(position, content)),
            CONFIG_PREFIX if transactional => return Ok(Next::ReadRules),
            HEARTBEAT_PREFIX => {
                // Without a transaction, it comes behind all that committed before it.
                if !transactional {
                    self.idle(position);
                }
                return Ok(Next::Heartbeat);
            }
            _ => debug!(%position, prefix, "ignored somebody else's message"),
        }
        Ok(Next::Continue)
    }

    /// A command is a change like any other: it has its place and its context.
    fn ddl(&mut self, position: Lsn, content: &[u8]) -> Result<(), StreamError> {
        if self.skipping {
            return Ok(());
        }
        let (ddl, bad) = Ddl::read(content);
        if let Some(bad) = bad
            && let Some(held_back) = self.message_log.say()
        {
            warn!(%position, reason = %bad, held_back, "DDL message is not stored as it is");
        }
        let has_context = self.stitcher.has_context();
        let place = self.stitcher.next_change()?;
        let table = Table::without_columns(ddl.schema, ddl.table);
        let change = RowChange::Ddl { command: &ddl.after };
        match self.writer.write(&mut self.batch.rows, &table, position, change, &place) {
            Ok(()) => self.counts.with_context += i64::from(has_context),
            Err(error) => {
                self.counts.quarantined += 1;
                let (log, why) = (&self.quarantine_log, error.to_string());
                self.batch.quarantine(log, position, &place, Some(&table), why, content);
            }
        }
        Ok(())
    }

    fn table_event(&mut self, position: Lsn, content: &[u8]) -> Next {
        if self.skipping {
            return Next::Continue;
        }
        match TableEvent::read(content) {
            Ok(event) => Next::Note(event),
            Err(bad) => {
                if let Some(held_back) = self.message_log.say() {
                    warn!(%position, reason = %bad, held_back, "ignored a message about a table");
                }
                Next::Continue
            }
        }
    }

    fn take_data(&mut self, position: Lsn, data: &[u8]) -> Result<Next, StreamError> {
        let message = match Message::decode(data) {
            Ok(message) => message,
            Err(error) => {
                self.undecodable(position, &error, data)?;
                return Ok(Next::Continue);
            }
        };
        match message {
            Message::Relation(relation) => {
                self.leaves.describe(&relation);
                return Ok(Next::Describe(relation));
            }
            Message::Insert { relation, new } => {
                self.change(position, relation, RowChange::Insert { new }, data)?;
            }
            Message::Update { relation, old, new } => {
                self.change(position, relation, RowChange::Update { old, new }, data)?;
            }
            Message::Delete { relation, old } => {
                self.change(position, relation, RowChange::Delete { old }, data)?;
            }
            Message::Truncate { relations } => {
                self.leaves.interrupt();
                // Mostly one: see `truncates_apart`.
                for relation in relations {
                    self.change(position, relation, RowChange::Truncate, data)?;
                }
            }
            Message::Other { tag } => {
                debug!(%position, tag = %char::from(tag), "ignored a message without rows");
            }
        }
        Ok(Next::Continue)
    }

    fn change(
        &mut self,
        position: Lsn,
        relation: u32,
        change: RowChange<'_>,
        data: &[u8],
    ) -> Result<(), StreamError> {
        if let Some(RootIdentity { old_row, columns }) = self.leaves.change(relation)
            && let Some(root) = self.tables.get_mut(&relation)
        {
            root.set_identity(old_row, |column| columns.contains(column));
        }
        if self.skipping {
            return Ok(());
        }
        let has_context = self.stitcher.has_context();
        let place = self.stitcher.next_change()?;
        let table = self.tables.get(&relation);
        let error = match table {
            Some(table) if !change.fits(table) => {
                "it has another number of columns than its table was described with".to_owned()
            }
            // It keeps its place: the numbers of those behind it stay the same, whatever the rules.
            Some(table) if change.is_ignored(table, position) => {
                self.counts.ignored += 1;
                return Ok(());
            }
            Some(table) => {
                match self.writer.write(&mut self.batch.rows, table, position, change, &place) {
                    Ok(()) => {
                        self.counts.with_context += i64::from(has_context);
                        return Ok(());
                    }
                    Err(error) => error.to_string(),
                }
            }
            None => format!("the stream did not describe the table with the oid {relation}"),
        };
        self.counts.quarantined += 1;
        self.batch.quarantine(&self.quarantine_log, position, &place, table, error, data);
        Ok(())
    }

    /// Keeps a change whose bytes say nothing. What is not a change is not missed.
    fn undecodable(
        &mut self,
        position: Lsn,
        error: &DecodeError,
        data: &[u8],
    ) -> Result<(), StreamError> {
        let (tag, rest) = data.split_first().unwrap_or((&0, &[]));
        let oid = rest.first_chunk().map(|oid| u32::from_be_bytes(*oid));
        match tag {
            b'I' | b'U' | b'D' | b'T' if self.skipping => {}
            b'I' | b'U' | b'D' | b'T' => {
                let place = self.stitcher.next_change()?;
                let table = oid.and_then(|oid| self.tables.get(&oid));
                self.counts.quarantined += 1;
                let (log, why) = (&self.quarantine_log, error.to_string());
                self.batch.quarantine(log, position, &place, table, why, data);
            }
            b'R' => {
                // What it was before it is no more: its rows must not be read that way.
                match oid {
                    Some(oid) => drop(self.tables.remove(&oid)),
                    None => self.tables.clear(),
                }
                warn!(%position, %error, oid, "cannot read what a table is; its changes go to quarantine");
            }
            _ => {
                if let Some(held_back) = self.message_log.say() {
                    warn!(%position, %error, held_back, "ignored a message that is not pgoutput");
                }
            }
        }
        Ok(())
    }
}

/// Which table a change of a row is of.
fn relation_of_row(data: &[u8]) -> Option<u32> {
    match data {
        [b'I' | b'U' | b'D', rest @ ..] => Some(u32::from_be_bytes(*rest.first_chunk()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
