//! Storing batches of the stream.

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Statement};

use super::checkpoint::{Checkpoint, Epoch};
use super::rows::{RowSink, failed};
use crate::batch::{Batch, Boundary};
use crate::chain::Chain;
use crate::config::Config;
use crate::error::WorkerError;
use crate::failpoint::Failpoint;
use crate::metrics::{Metrics, Tally};

/// The destination, with the right to write to it.
pub(crate) struct Sink {
    rows: RowSink,
    move_checkpoint: Statement,
    slot: String,
    epoch: Epoch,
    metrics: Metrics,
}

impl Sink {
    /// Prepares to write the changes of the configuration's slot to its table `changes`, in a session that
    /// is [prepared](super::prepare_session).
    ///
    /// # Errors
    ///
    /// Those of the destination, that the table is missing among them.
    pub(crate) async fn prepare(
        client: Client,
        config: &Config,
        epoch: Epoch,
        metrics: Metrics,
    ) -> Result<Self, WorkerError> {
        let slot = config.slot.to_string();
        let rows = RowSink::prepare(client, config).await?;
        let move_checkpoint = rows
            .client()
            .prepare(
                "UPDATE bemi.checkpoint SET position = $3, \
                     commit_position = coalesce($4, commit_position), \
                     committed_at = coalesce($5, committed_at), \
                     transactions_stored = transactions_stored + $6, \
                     changes_stored = changes_stored + $7, \
                     changes_ignored = changes_ignored + $8, \
                     updated_at = now() \
                 WHERE slot = $1 AND epoch = $2",
            )
            .await
            .map_err(failed)?;
        Ok(Self { rows, move_checkpoint, slot, epoch, metrics })
    }

    /// Stores a batch. Returns up to where everything is durable now; `None` where the batch left its
    /// transaction open.
    ///
    /// # Errors
    ///
    /// [`WorkerError`]: then nothing of the transaction is stored, unless its COMMIT got lost on the way;
    /// the checkpoint tells.
    ///
    /// # Cancellation safety
    ///
    /// Not cancellation safe: the sink must be dropped then, which rolls back.
    pub(crate) async fn store(
        &mut self,
        mut batch: Batch,
    ) -> Result<Option<Boundary>, WorkerError> {
        let boundary = batch.boundary.take();
        if let Err(error) = self.rows.write(batch).await {
            return Err(self.replaced_or(error).await);
        }
        let Some(boundary) = boundary else { return Ok(None) };
        self.commit(&boundary).await?;
        Ok(Some(boundary))
    }

    /// A change that is there already was stored by the worker that has taken over, if one has.
    async fn replaced_or(&mut self, error: WorkerError) -> WorkerError {
        let is_there = matches!(&error, WorkerError::Database { source, .. }
            if source.code() == Some(&SqlState::UNIQUE_VIOLATION));
        if !is_there || self.rows.roll_back().await.is_err() {
            return error;
        }
        match Checkpoint::has_epoch(self.rows.client(), &self.slot, self.epoch).await {
            Ok(false) => WorkerError::Replaced { slot: self.slot.clone() },
            Ok(true) | Err(_) => error,
        }
    }

    async fn commit(&mut self, boundary: &Boundary) -> Result<(), WorkerError> {
        let (position, at) = boundary.last_commit.unzip();
        Failpoint::BeforeCheckpoint.pass();
        let moved = self
            .rows
            .client()
            .execute(
                &self.move_checkpoint,
                &[
                    &self.slot,
                    &self.epoch.0,
                    &boundary.position.to_bigint(),
                    &position.map(|position| position.0.to_bigint()),
                    &at,
                    &boundary.transactions,
                    &boundary.changes,
                    &boundary.counts.ignored,
                ],
            )
            .await
            .map_err(failed)?;
        Failpoint::AfterCheckpoint.pass();
        if moved != 1 {
            self.rows.roll_back().await?;
            let slot = self.slot.clone();
            // To begin at a certain place, setup has taken the right to write from whoever had it.
            let is_covered = self.rows.is_covered();
            return Err(match Chain::is_switched(self.rows.client(), &slot, is_covered).await? {
                true => WorkerError::TamperEvidenceSwitched { slot },
                false => WorkerError::Replaced { slot },
            });
        }
        self.metrics.committing(Tally::of(boundary, self.rows.written()));
        self.rows.commit().await?;
        self.metrics.committed();
        Ok(())
    }
}
