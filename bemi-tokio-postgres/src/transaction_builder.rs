//! How a transaction is begun.

use std::fmt;

use tokio_postgres::{Error, IsolationLevel, TransactionBuilder};

use crate::BemiTransaction;
use crate::tracking::Tracking;

/// A transaction that is about to begin: the counterpart of tokio-postgres's [`TransactionBuilder`].
///
/// ```no_run
/// # async fn example(mut client: bemi_tokio_postgres::BemiClient) -> Result<(), tokio_postgres::Error> {
/// use tokio_postgres::IsolationLevel;
///
/// let tx = client
///     .build_transaction()
///     .isolation_level(IsolationLevel::Serializable)
///     .start()
///     .await?;
/// tx.execute("DELETE FROM todos", &[]).await?;
/// tx.commit().await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is begun without `start`"]
pub struct BemiTransactionBuilder<'a> {
    untracked: TransactionBuilder<'a>,
    tracking: &'a Tracking,
}

impl<'a> BemiTransactionBuilder<'a> {
    pub(crate) fn new(untracked: TransactionBuilder<'a>, tracking: &'a Tracking) -> Self {
        Self { untracked, tracking }
    }

    /// The isolation level.
    pub fn isolation_level(mut self, isolation_level: IsolationLevel) -> Self {
        self.untracked = self.untracked.isolation_level(isolation_level);
        self
    }

    /// Whether it may only read. A write in it fails as it does without a context.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.untracked = self.untracked.read_only(read_only);
        self
    }

    /// Whether it may wait until it can run without ever failing to serialize, if it is serializable and read only.
    pub fn deferrable(mut self, deferrable: bool) -> Self {
        self.untracked = self.untracked.deferrable(deferrable);
        self
    }

    /// Begins it. It is rolled back unless it is committed.
    ///
    /// # Errors
    ///
    /// Those of the server.
    ///
    /// # Cancellation
    ///
    /// No transaction is left open.
    pub async fn start(self) -> Result<BemiTransaction<'a>, Error> {
        let Self { untracked, tracking } = self;
        let queued = async {
            // Dropped before the answer or refused, it is rolled back, by the library on the server and here by `open`.
            let open = tracking.begin();
            let untracked = untracked.start().await?;
            Ok(BemiTransaction::begun(untracked, tracking, open))
        };
        tracking.gate.pass(queued).await
    }
}

impl fmt::Debug for BemiTransactionBuilder<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BemiTransactionBuilder").finish_non_exhaustive()
    }
}
