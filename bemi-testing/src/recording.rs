//! A recording: what a test holds while it changes rows.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use bemi_core::CommitPosition;
use bemi_worker::setup::{IdentityPolicy, SetupOptions};

use crate::background::{Background, Running};
use crate::{Error, Made};

/// Records what is changed in a database, from its start to its end.
///
/// It sets the database up, and has a worker store each change in a schema of its own, `bemi_testing`. At its end, all of that is
/// taken back. Recordings of one database take turns: a second one waits for the first to end.
///
/// ```no_run
/// use bemi_testing::{Recording, updated};
/// # async fn complete(id: i32) {}
///
/// # async fn example() -> Result<(), bemi_testing::Error> {
/// let recording = Recording::start("postgres://postgres@localhost/todo_test").await?;
/// let (_, made) = recording.changes_of(complete(26)).await?;
/// made.assert_one(updated("todo").key(26).field("is_completed", false, true).context("user_id", 42));
/// recording.finish().await
/// # }
/// ```
///
/// # Dropping
/// A recording that is dropped, also by a panic, takes everything back as [`finish`](Self::finish) does, and holds the thread
/// meanwhile; but it cannot say that it failed. What is left then, or by a process that was killed, the next recording of the
/// database takes away. Until then the replication slot keeps the server's WAL.
#[must_use = "dropping it ends it"]
pub struct Recording {
    background: Background,
}

/// A moment in a recording: between what was committed before, and what was later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Checkpoint {
    position: CommitPosition,
}

impl Recording {
    /// Records all tables of the database, with whole old rows.
    ///
    /// It takes a server with `wal_level = logical`, and a role that may replicate, create in the database and alter the tables. A
    /// superuser can also have tables tracked that are made later; otherwise make them first.
    ///
    /// # Errors
    /// [`Error::Config`] and [`Error::Worker`] where the database cannot be reached or set up, [`Error::AlreadySetUp`] where somebody
    /// else tracks it, [`Error::InUse`] where another recording does not end.
    ///
    /// # Cancellation
    /// What was made is taken back, by the next recording at the latest.
    pub async fn start(url: &str) -> Result<Self, Error> {
        let tables = SetupOptions::new().all_tables().replica_identity(IdentityPolicy::Full);
        Self::start_with(url, tables).await
    }

    /// The same for the tables, and by the rules, that are given.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    ///
    /// # Cancellation
    /// As [`start`](Self::start).
    pub async fn start_with(url: &str, options: SetupOptions) -> Result<Self, Error> {
        Ok(Self { background: Background::start(url, options).await? })
    }

    /// Waits until everything that was committed by now is stored.
    ///
    /// # Errors
    /// [`Error::Stopped`] where the worker has ended, [`Error::Record`] where it is not stored within a minute.
    ///
    /// # Cancellation
    /// Safe.
    pub async fn stored(&self) -> Result<(), Error> {
        self.checkpoint().await.map(drop)
    }

    /// This moment: everything that was committed by now is before it, and stored.
    ///
    /// # Errors
    /// As [`stored`](Self::stored).
    ///
    /// # Cancellation
    /// Safe.
    pub async fn checkpoint(&self) -> Result<Checkpoint, Error> {
        let stored = |running: Arc<Running>| async move { running.stored().await };
        Ok(Checkpoint { position: self.background.with(stored).await? })
    }

    /// The changes that were committed since, by whomever, in the order of their commits.
    ///
    /// ```no_run
    /// # use bemi_testing::{Error, Recording, created};
    /// # async fn example(recording: &Recording) -> Result<(), Error> {
    /// let before = recording.checkpoint().await?;
    /// // Code of any kind, also blocking code.
    /// recording.changes_since(before).await?.assert_one(created("todo"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`stored`](Self::stored).
    ///
    /// # Cancellation
    /// Safe.
    pub async fn changes_since(&self, checkpoint: Checkpoint) -> Result<Made, Error> {
        let position = checkpoint.position;
        let changes = |running: Arc<Running>| async move { running.changes_since(position).await };
        self.background.with(changes).await.map(Made::new)
    }

    /// Runs code, and gives what it answered with the changes that were committed meanwhile. Those are not the code's alone, where others
    /// write to the database as well.
    ///
    /// # Errors
    /// As [`stored`](Self::stored). The code has run then, or not.
    ///
    /// # Cancellation
    /// The code is cancelled with it.
    pub async fn changes_of<F: Future>(&self, code: F) -> Result<(F::Output, Made), Error> {
        let before = self.checkpoint().await?;
        let output = code.await;
        Ok((output, self.changes_since(before).await?))
    }

    /// Brings the rows of all tracked tables back to how they were at a checkpoint: what was changed since is taken back, in one
    /// transaction, as a change like any other. [`forward`](Self::forward) leads back again.
    ///
    /// Only rows: tables that were made or altered since stay so, and sequences stay where they are, so that the next row gets another
    /// number than before. Triggers of the application run, and foreign keys hold.
    ///
    /// ```no_run
    /// # use bemi_testing::{Error, Recording};
    /// # async fn seed() {}
    /// # async fn a_day() {}
    /// # async fn example(recording: &Recording) -> Result<(), Error> {
    /// seed().await;
    /// let seeded = recording.checkpoint().await?;
    /// for day in 1..=3 {
    ///     a_day().await;
    ///     recording.roll_back_to(seeded).await?;
    /// }
    /// // The third day again.
    /// recording.forward().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Revert`] where something stands in the way, such as a row that a transaction changes right now; nothing is changed then.
    ///
    /// # Cancellation
    /// It is done to its end all the same.
    pub async fn roll_back_to(&self, checkpoint: Checkpoint) -> Result<(), Error> {
        let position = checkpoint.position;
        let back = |running: Arc<Running>| async move { running.roll_back_to(position).await };
        self.background.with(back).await
    }

    /// Brings the rows back to how they were before the last [`roll_back_to`](Self::roll_back_to), also where they were changed since.
    ///
    /// # Errors
    /// [`Error::NothingAhead`] where nothing was rolled back, or all of it was led forward again; otherwise as
    /// [`roll_back_to`](Self::roll_back_to).
    ///
    /// # Cancellation
    /// It is done to its end all the same.
    pub async fn forward(&self) -> Result<(), Error> {
        self.background.with(|running| async move { running.forward().await }).await
    }

    /// Ends it: what it put into the database is taken back, what it has stored included. The rows stay as they are.
    ///
    /// # Errors
    /// [`Error::Worker`] where that is refused. The next recording of the database tries again.
    ///
    /// # Cancellation
    /// It goes on, while it is dropped.
    pub async fn finish(self) -> Result<(), Error> {
        self.background.end().await
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording").finish_non_exhaustive()
    }
}
