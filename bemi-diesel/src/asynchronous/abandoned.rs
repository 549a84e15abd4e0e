//! What becomes of a transaction whose future is dropped.

use diesel_async::AsyncPgConnection;
use futures_util::FutureExt;

use super::send;

/// Puts a `ROLLBACK` on the wire when it is dropped, behind all that was sent before, and waits for nothing.
///
/// Where the transaction is over by then, the server says so in its log and does nothing.
#[must_use = "it rolls back when it is dropped"]
pub(super) struct RollbackOnDrop<'c> {
    raw: Option<&'c AsyncPgConnection>,
}

impl<'c> RollbackOnDrop<'c> {
    pub(super) fn new(raw: &'c AsyncPgConnection) -> Self {
        Self { raw: Some(raw) }
    }

    /// The server has answered to what ends the transaction.
    pub(super) fn disarm(mut self) {
        self.raw = None;
    }
}

impl Drop for RollbackOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(raw) = self.raw {
            // The first poll sends. Where that fails the connection is closed, and the server rolls back by itself.
            let _ = send(raw, "ROLLBACK").now_or_never();
        }
    }
}
