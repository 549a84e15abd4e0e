//! Following what is stored, change by change.
//!
//! The worker stores transactions in the order of their commits, and moves its checkpoint in the same
//! transaction of the destination. So all that committed before the checkpoint is there once the
//! checkpoint has been read, and whatever is stored later stands behind it. Nothing but the rows of a
//! baseline comes in at an earlier place, and they are left out.
//!
//! Invariant: a follower that goes on from where it was sees each change once, in the order of commits,
//! and sees nothing of a transaction before all of it is there.

use super::slot::Slot;
use super::{Changes, Cursor, Database, Record, RecordError};
use crate::{Change, CommitPosition, Lsn, Sequence};

/// What a follower is given.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Followed {
    /// The changes, in the order in which they happened.
    pub changes: Vec<Change>,
    /// Up to where that is all: where to go on. It moves on also where nothing fulfils the filter.
    pub reached: Cursor,
    /// Whether the limit was reached, so that there may be more at once.
    pub more: bool,
}

impl Slot {
    /// The place up to which everything is stored, and behind which everything will be. Where nothing
    /// is stored yet, it is that before the first change there could be.
    fn end(&self) -> Cursor {
        if self.committed_at.is_some() {
            // The position is the end of a transaction, and the next one may commit right there.
            Cursor::behind(CommitPosition(Lsn::new(self.position.get().saturating_sub(1))))
        } else {
            Cursor { commit_position: CommitPosition(self.position), sequence: Sequence(0) }
        }
    }
}

impl<D: Database> Record<D> {
    /// The end of the record: where a follower begins that wants only what is new.
    ///
    /// # Errors
    /// As [`changes`](Self::changes), and [`RecordError::SeveralSlots`].
    ///
    /// # Cancellation safety
    /// Nothing is lost but the answer.
    pub async fn end(&mut self) -> Result<Cursor, RecordError<D::Error>> {
        self.end_of(&Changes::new()).await
    }

    /// The changes that fulfil the filter, after a place, in the order in which they happened; at most
    /// the filter's limit. Its order and its own place do not count.
    ///
    /// It does not wait: where there is nothing new, there are no changes. A transaction of more
    /// changes than the limit takes several calls, all of which find it whole.
    ///
    /// Where several source databases are stored in one place, each is followed by itself: that of the
    /// slot that was [named](Record::for_slot), or of the filter's [`database`](Changes::database).
    ///
    /// ```
    /// use bemi_core::record::{Changes, Database, Record, RecordError};
    ///
    /// async fn react<D: Database>(record: &mut Record<D>) -> Result<(), RecordError<D::Error>> {
    ///     let orders = Changes::new().table("orders".parse().expect("the name of a table"));
    ///     let mut place = record.end().await?;
    ///     loop {
    ///         let followed = record.follow(&orders, place).await?;
    ///         for change in &followed.changes {
    ///             println!("{} of order {:?}", change.operation, change.primary_key);
    ///         }
    ///         // Kept somewhere, it survives a restart.
    ///         place = followed.reached;
    ///         if !followed.more {
    ///             record.pause(std::time::Duration::from_millis(200)).await;
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`end`](Self::end).
    ///
    /// # Cancellation safety
    /// Nothing is lost but the answer: ask again from the same place.
    pub async fn follow(
        &mut self,
        changes: &Changes,
        after: Cursor,
    ) -> Result<Followed, RecordError<D::Error>> {
        let slot = self.slot_of(changes.database_name()).await?;
        let end = slot.end();
        if end <= after {
            return Ok(Followed { changes: Vec::new(), reached: after, more: false });
        }
        let wanted = changes
            .clone()
            .database(slot.database)
            .without_baseline()
            .up_to(end.commit_position)
            .oldest_first()
            .after(after);
        let page = self.changes(&wanted).await?;
        let (reached, more) = page.next.map_or((end, false), |next| (next, true));
        Ok(Followed { changes: page.items, reached, more })
    }

    /// Waits, as the connection's library does.
    ///
    /// # Cancellation safety
    /// Cancellation safe.
    pub async fn pause(&mut self, time: std::time::Duration) {
        self.database.pause(time).await;
    }

    /// The end of the record as far as a filter reaches: of its [`database`](Changes::database), where it
    /// names one. Its other conditions do not count.
    ///
    /// # Errors
    /// As [`changes`](Self::changes), and [`RecordError::SeveralSlots`].
    ///
    /// # Cancellation safety
    /// Nothing is lost but the answer.
    pub async fn end_of(&mut self, changes: &Changes) -> Result<Cursor, RecordError<D::Error>> {
        Ok(self.slot_of(changes.database_name()).await?.end())
    }
}
