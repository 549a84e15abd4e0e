//! From a point in time to a commit position.
//!
//! Invariant: an answer is given only where everything up to it is stored. What is seen as of it is a
//! prefix of the order of commits, whatever the point was.

use jiff::Timestamp;
use serde::Deserialize;

use super::slot::Slot;
use super::{Database, Point, Record, RecordError, Sql};
use crate::{ChangeId, CommitPosition, Lsn, TransactionId};

/// The database's clock, with all its microseconds.
const CLOCK: &str = "SELECT to_json(to_char(clock_timestamp() AT TIME ZONE 'UTC', \
     'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'))::text";

/// A stretch of the WAL that was lost.
#[derive(Deserialize)]
struct Gap {
    from: Lsn,
    to: Lsn,
    detected_at: Timestamp,
}

/// On which side of an instant.
#[derive(Clone, Copy)]
enum Side {
    UpTo,
    Behind,
}

impl<D: Database> Record<D> {
    /// The commit position of a point: what is seen as of it are the transactions that committed up to
    /// there.
    ///
    /// An instant is after the last transaction that had committed then by the source's clock; before
    /// the first change, it is position 0. [`Point::Ago`] counts from now by the clock of the server
    /// that the record is on. Where it is not known yet what had committed, the answer waits for the
    /// worker; of a record in another database than its source it becomes known by the next
    /// transaction that is stored, or by [`catch_up`](Self::catch_up).
    ///
    /// # Errors
    /// [`RecordError::NotStoredYet`] where the worker has not stored everything up to the point within
    /// the [time to wait](Self::waiting), or the instant is yet to come; [`RecordError::NoSuchPoint`]
    /// where the record has no such change or transaction.
    ///
    /// # Cancellation
    /// Safe.
    pub async fn resolve(&mut self, point: Point) -> Result<CommitPosition, RecordError<D::Error>> {
        let slot = self.slot().await?;
        match point {
            Point::At(instant) => self.at(&slot, instant).await,
            Point::Ago(time) => {
                let now = self.clock().await?;
                let instant = now.checked_sub(time).unwrap_or(Timestamp::MIN);
                self.at(&slot, instant).await
            }
            Point::Lsn(lsn) => {
                self.store_up_to(&slot, lsn).await?;
                Ok(CommitPosition(lsn))
            }
            Point::BeforeLsn(lsn) => {
                let position = below(lsn);
                self.store_up_to(&slot, position.0).await?;
                Ok(position)
            }
            Point::Transaction(id) => self.of_transaction(&slot, id).await.map(CommitPosition),
            Point::BeforeTransaction(id) => self.of_transaction(&slot, id).await.map(below),
            Point::Change(id) => self.of_change(&slot, id).await.map(CommitPosition),
            Point::BeforeChange(id) => self.of_change(&slot, id).await.map(below),
        }
    }

    async fn clock(&mut self) -> Result<Timestamp, RecordError<D::Error>> {
        let now: Vec<Timestamp> = self.ask("read the clock", "the time", &Sql::new(CLOCK)).await?;
        Ok(now.into_iter().next().unwrap_or(Timestamp::MAX))
    }

    /// Waits until everything before `lsn` is stored.
    async fn store_up_to(&mut self, slot: &Slot, lsn: Lsn) -> Result<(), RecordError<D::Error>> {
        if slot.position >= lsn {
            return Ok(());
        }
        if slot.is_here {
            self.catch_up_here(slot).await?;
        }
        self.wait_until_stored(lsn).await
    }

    /// The last transaction that had committed at an instant.
    async fn at(
        &mut self,
        slot: &Slot,
        instant: Timestamp,
    ) -> Result<CommitPosition, RecordError<D::Error>> {
        let is_stored = |slot: &Slot| slot.committed_at.is_some_and(|at| at > instant);
        let is_caught_up = self.caught_up_at.is_some_and(|at| at >= instant);
        if !is_caught_up && !is_stored(slot) {
            let asked = || instant.to_string();
            if self.clock().await? < instant {
                let stored = slot.position;
                return Err(RecordError::NotStoredYet { asked: asked(), stored });
            }
            if slot.is_here {
                // Whatever commits from here on commits later.
                self.catch_up_here(slot).await?;
            } else {
                self.wait_for(is_stored, asked).await?;
            }
        }
        let position = self.nearest(slot, instant, Side::UpTo).await?.unwrap_or_default();
        let position = self.behind_expired(slot, instant, position).await?;
        self.behind_gaps(slot, instant, position).await
    }

    /// The position of the last transaction that had committed at an instant, or of the first one that
    /// had not. Transactions that altered tables alone count as well, as do the rows of a baseline.
    async fn nearest(
        &mut self,
        slot: &Slot,
        instant: Timestamp,
        side: Side,
    ) -> Result<Option<Lsn>, RecordError<D::Error>> {
        let (is_there, order) = match side {
            Side::UpTo => ("<=", "DESC"),
            Side::Behind => (">", "ASC"),
        };
        let mut sql = Sql::default();
        let at = format!("{}::timestamptz", sql.parameter(instant.to_string()));
        let database = sql.parameter(slot.database.clone());
        let name = sql.parameter(slot.name.clone());
        let changes = self.changes_table();
        sql.push(&format!(
            "SELECT p.commit_position::text FROM (\
                 (SELECT c.committed_at, c.commit_position FROM {changes} AS c \
                  WHERE c.committed_at = (\
                      SELECT l.committed_at FROM {changes} AS l \
                      WHERE l.committed_at {is_there} {at} AND l.database = {database} \
                      ORDER BY l.committed_at {order} LIMIT 1) AND c.database = {database} \
                  ORDER BY c.commit_position {order} LIMIT 1) \
                 UNION ALL \
                 (SELECT e.committed_at, e.commit_position FROM bemi.table_events AS e \
                  WHERE e.committed_at {is_there} {at} AND e.slot = {name} \
                  ORDER BY e.committed_at {order}, e.commit_position {order} LIMIT 1)) AS p \
             ORDER BY p.committed_at {order}, p.commit_position {order} LIMIT 1"
        ));
        let found: Vec<i64> = self.ask("find the point in time", "commit positions", &sql).await?;
        Ok(found.first().copied().map(Lsn::from_bigint))
    }

    /// What is kept is later than what retention dropped, which may have been the last before the instant.
    async fn behind_expired(
        &mut self,
        slot: &Slot,
        instant: Timestamp,
        position: Lsn,
    ) -> Result<Lsn, RecordError<D::Error>> {
        let mut sql = Sql::new(
            "SELECT (max(g.to_position) - 1)::text FROM bemi.gaps AS g \
             WHERE g.to_position > g.from_position AND g.kind = 'expired' AND g.slot = ",
        );
        sql.bind(slot.name.clone());
        sql.push(" AND coalesce(g.kept_since, g.detected_at) <= ");
        sql.bind(instant.to_string());
        sql.push("::timestamptz HAVING count(*) > 0");
        let expired: Vec<i64> = self.ask("look for what has expired", "gaps", &sql).await?;
        Ok(expired.first().map_or(position, |&up_to| position.max(Lsn::from_bigint(up_to))))
    }

    /// An instant between the last transaction before a gap and the first one behind it may be anywhere
    /// in the gap: it resolves to where nothing is known. Once the gap was noticed, it was over.
    async fn behind_gaps(
        &mut self,
        slot: &Slot,
        instant: Timestamp,
        position: Lsn,
    ) -> Result<CommitPosition, RecordError<D::Error>> {
        let mut sql = Sql::new(
            "SELECT json_build_object('from', g.from_position, 'to', g.to_position, 'detected_at', \
             to_char(g.detected_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'))::text \
             FROM bemi.gaps AS g \
             WHERE g.to_position > g.from_position AND g.kind = 'lost' AND g.slot = ",
        );
        sql.bind(slot.name.clone());
        sql.push(" AND g.from_position >= ");
        sql.bind(position.to_bigint().to_string());
        sql.push("::bigint ORDER BY g.from_position");
        let gaps: Vec<Gap> = self.ask("look for gaps", "gaps", &sql).await?;
        if gaps.is_empty() {
            return Ok(CommitPosition(position));
        }
        let next = self.nearest(slot, instant, Side::Behind).await?;
        let mut position = position;
        for gap in gaps {
            if next.is_some_and(|next| next < gap.from) {
                break;
            }
            position = gap.from;
            if instant < gap.detected_at {
                break;
            }
            position = below(gap.to).0;
        }
        Ok(CommitPosition(position))
    }

    /// Where the transaction of that id committed, the last one that had it.
    async fn of_transaction(
        &mut self,
        slot: &Slot,
        id: TransactionId,
    ) -> Result<Lsn, RecordError<D::Error>> {
        let mut sql = Sql::new(format!(
            "SELECT max(c.commit_position)::text FROM {} AS c \
             WHERE c.operation <> 'SNAPSHOT' AND c.transaction_id = ",
            self.changes_table()
        ));
        sql.bind(id.to_string());
        sql.push("::bigint AND c.database = ");
        sql.bind(slot.database.clone());
        sql.push(" HAVING count(*) > 0");
        let doing = "find the transaction";
        let mut found: Vec<i64> = self.ask(doing, "commit positions", &sql).await?;
        if found.is_empty() && slot.is_here {
            self.catch_up_here(slot).await?;
            found = self.ask(doing, "commit positions", &sql).await?;
        }
        let found = found
            .pop()
            .ok_or_else(|| RecordError::NoSuchPoint { what: format!("transaction {id}") })?;
        Ok(Lsn::from_bigint(found))
    }

    /// Where the transaction of that change committed.
    async fn of_change(&mut self, slot: &Slot, id: ChangeId) -> Result<Lsn, RecordError<D::Error>> {
        let mut found = self.change(id).await?;
        if found.is_none() && slot.is_here {
            self.catch_up_here(slot).await?;
            found = self.change(id).await?;
        }
        let found =
            found.ok_or_else(|| RecordError::NoSuchPoint { what: format!("change {id}") })?;
        Ok(found.commit_position.0)
    }
}

/// Just before whatever is at a position.
fn below(lsn: Lsn) -> CommitPosition {
    CommitPosition(Lsn::new(lsn.get().saturating_sub(1)))
}
