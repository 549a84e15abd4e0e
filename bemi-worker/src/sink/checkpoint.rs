//! The checkpoint: up to where changes are stored, kept in the destination beside them.

use bemi_core::Lsn;
use tokio_postgres::{Client, Error};

/// What the destination knows of a slot. See the table `bemi.checkpoint`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) system_identifier: String,
    pub(crate) timeline: u32,
    pub(crate) database: String,
    pub(crate) publications: Vec<String>,
    /// Everything before this is stored, and the slot is never acknowledged beyond it.
    pub(crate) position: Lsn,
}

/// A worker's right to write. The worker that took the newest one has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Epoch(pub(super) i64);

impl Checkpoint {
    /// Reads the checkpoint of `slot`; `None` where setup has not made one.
    ///
    /// # Errors
    ///
    /// Those of the query; that the table is missing is one.
    pub(crate) async fn read(client: &Client, slot: &str) -> Result<Option<Self>, Error> {
        let row = client
            .query_opt(
                "SELECT system_identifier, timeline, database, publications, position \
                 FROM bemi.checkpoint WHERE slot = $1",
                &[&slot],
            )
            .await?;
        row.map(|row| {
            Ok(Self {
                system_identifier: row.try_get(0)?,
                timeline: u32::try_from(row.try_get::<_, i32>(1)?).unwrap_or(0),
                database: row.try_get(2)?,
                publications: row.try_get(3)?,
                position: Lsn::from_bigint(row.try_get(4)?),
            })
        })
        .transpose()
    }

    /// Takes a new epoch, which ends the right to write of every worker before, and reads the
    /// position again: what another worker was committing meanwhile is waited for, by its lock on
    /// the row.
    ///
    /// # Errors
    ///
    /// Those of the statement; that there is no row is one.
    pub(crate) async fn take_epoch(
        client: &Client,
        slot: &str,
        timeline: u32,
    ) -> Result<(Epoch, Lsn), Error> {
        let row = client
            .query_one(
                "UPDATE bemi.checkpoint SET epoch = epoch + 1, timeline = $2, started_at = now() \
                 WHERE slot = $1 RETURNING epoch, position",
                &[&slot, &i32::try_from(timeline).unwrap_or(i32::MAX)],
            )
            .await?;
        Ok((Epoch(row.try_get(0)?), Lsn::from_bigint(row.try_get(1)?)))
    }

    /// Whether nobody has taken an epoch since this one.
    ///
    /// # Errors
    ///
    /// Those of the query.
    pub(crate) async fn has_epoch(
        client: &Client,
        slot: &str,
        epoch: Epoch,
    ) -> Result<bool, Error> {
        let newest = "SELECT 1 FROM bemi.checkpoint WHERE slot = $1 AND epoch = $2";
        Ok(client.query_opt(newest, &[&slot, &epoch.0]).await?.is_some())
    }

    /// Writes down that the WAL between two positions is lost. A gap that is met again is the same
    /// gap; it may have grown.
    ///
    /// # Errors
    ///
    /// Those of the statement.
    pub(crate) async fn record_gap(
        client: &Client,
        slot: &str,
        from: Lsn,
        to: Lsn,
        reason: &str,
    ) -> Result<(), Error> {
        client
            .execute(
                "INSERT INTO bemi.gaps (slot, from_position, to_position, reason) \
                 VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (slot, from_position) DO UPDATE \
                 SET to_position = excluded.to_position, reason = excluded.reason",
                &[&slot, &from.to_bigint(), &to.to_bigint(), &reason],
            )
            .await?;
        Ok(())
    }

    /// Goes on from this checkpoint, with the gap before it written down.
    ///
    /// # Errors
    ///
    /// Those of the statement.
    pub(crate) async fn skip_to(&self, client: &Client, slot: &str) -> Result<(), Error> {
        client
            .execute(
                "UPDATE bemi.checkpoint SET position = $2, system_identifier = $3, \
                     timeline = $4, epoch = epoch + 1, updated_at = now() WHERE slot = $1",
                &[
                    &slot,
                    &self.position.to_bigint(),
                    &self.system_identifier,
                    &i32::try_from(self.timeline).unwrap_or(i32::MAX),
                ],
            )
            .await?;
        Ok(())
    }
}
