//! deadpool's pool, with connections that are rolled back on their way back.
//!
//! deadpool looks at a connection when it hands it out, not when it gets it back. A transaction whose future was cancelled would stay open in
//! the pool until then, and keep its locks.
//!
//! Invariant: no connection is in the pool inside an open transaction, but for one that was begun for a test.

use std::ops::{Deref, DerefMut};

use diesel_async::pooled_connection::AsyncDieselConnectionManager;
use diesel_async::pooled_connection::deadpool::Object;

use super::BemiAsyncPgConnection;

/// A pool whose writes carry the context: the counterpart of diesel-async's
/// [`deadpool::Pool`](diesel_async::pooled_connection::deadpool::Pool).
///
/// It is deadpool's own pool with connections of ours: options, hooks and timeouts are deadpool's.
///
/// ```no_run
/// use bemi_diesel::{BemiAsyncPgConnection, BemiAsyncPool, Settings};
/// use diesel_async::pooled_connection::AsyncDieselConnectionManager;
///
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let config = BemiAsyncPgConnection::manager_config(Settings::new().without_sql());
/// let url = "postgres://localhost/todos";
/// let manager = AsyncDieselConnectionManager::new_with_config(url, config);
/// let pool = BemiAsyncPool::builder(manager).max_size(16).build()?;
/// # Ok(())
/// # }
/// ```
pub type BemiAsyncPool = deadpool::managed::Pool<
    AsyncDieselConnectionManager<BemiAsyncPgConnection>,
    BemiAsyncPoolConnection,
>;

/// A [`BemiAsyncPgConnection`] that goes back to its [`BemiAsyncPool`] when it is dropped, rolled back if a transaction is open.
///
/// Queries run on `&mut connection`, as with diesel-async.
#[derive(Debug)]
pub struct BemiAsyncPoolConnection {
    object: Object<BemiAsyncPgConnection>,
}

impl From<Object<BemiAsyncPgConnection>> for BemiAsyncPoolConnection {
    fn from(object: Object<BemiAsyncPgConnection>) -> Self {
        Self { object }
    }
}

impl Drop for BemiAsyncPoolConnection {
    fn drop(&mut self) {
        if self.object.is_unfit() {
            self.object.roll_back_now();
        }
    }
}

impl Deref for BemiAsyncPoolConnection {
    type Target = BemiAsyncPgConnection;

    fn deref(&self) -> &BemiAsyncPgConnection {
        &self.object
    }
}

impl DerefMut for BemiAsyncPoolConnection {
    fn deref_mut(&mut self) -> &mut BemiAsyncPgConnection {
        &mut self.object
    }
}
