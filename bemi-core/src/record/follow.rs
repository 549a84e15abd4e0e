//! Following what is stored, change by change.
//!
//! The worker stores transactions in the order of their commits, and moves its checkpoint in the same
//! transaction of the destination. So all of the record up to the checkpoint's last commit is there once
//! the checkpoint has been read, and whatever is stored later stands behind it. Nothing but the rows of
//! a baseline comes in at an earlier place, and they are left out.
//!
//! Invariant: a follower that goes on from where it was sees each change once, in the order of commits,
//! and sees nothing of a transaction before all of it is there.

use serde::Deserialize;

use super::{Changes, Cursor, Database, Record, RecordError, Sql};
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

/// The last commit that is stored; where there is none yet, where the stream begins.
#[derive(Deserialize)]
struct Stored {
    commit_position: Option<i64>,
    position: Option<i64>,
}

impl<D: Database> Record<D> {
    /// The end of the record: where a follower begins that wants only what is new.
    ///
    /// # Errors
    /// As [`changes`](Self::changes).
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
    /// Changes of several source databases that are stored in one place come in the order of the
    /// commits of each: follow each by itself, with a filter by
    /// [`database`](Changes::database).
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
    /// As [`changes`](Self::changes).
    ///
    /// # Cancellation safety
    /// Nothing is lost but the answer: ask again from the same place.
    pub async fn follow(
        &mut self,
        changes: &Changes,
        after: Cursor,
    ) -> Result<Followed, RecordError<D::Error>> {
        let end = self.end_of(changes).await?;
        if end <= after {
            return Ok(Followed { changes: Vec::new(), reached: after, more: false });
        }
        let wanted = changes.clone().without_baseline().oldest_first();
        let page = self.changes(&wanted.after(after).up_to(end.commit_position)).await?;
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
    /// As [`changes`](Self::changes).
    ///
    /// # Cancellation safety
    /// Nothing is lost but the answer.
    pub async fn end_of(&mut self, changes: &Changes) -> Result<Cursor, RecordError<D::Error>> {
        let mut sql = Sql::new(
            "SELECT jsonb_build_object('commit_position', max(commit_position), 'position', max(position))::text \
             FROM bemi.checkpoint",
        );
        if let Some(name) = changes.database_name() {
            sql.push(" WHERE database = ");
            sql.bind(name.to_owned());
        }
        let stored: Option<Stored> =
            self.ask("read the checkpoint", "the checkpoint", &sql).await?.pop();
        let place = |position| CommitPosition(Lsn::from_bigint(position));
        Ok(match stored {
            Some(Stored { commit_position: Some(position), .. }) => Cursor::behind(place(position)),
            Some(Stored { position: Some(position), .. }) => {
                Cursor { commit_position: place(position), sequence: Sequence(0) }
            }
            _ => Cursor::START,
        })
    }
}
