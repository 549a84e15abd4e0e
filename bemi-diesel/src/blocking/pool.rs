//! Pools of r2d2: diesel's `ConnectionManager` makes the connections, the settings go in as the pool's customizer.
//!
//! Invariant: no connection returns to the pool inside an open transaction, but for those that diesel has for tests.

use bemi_core::Settings;
use diesel::QueryResult;
use diesel::connection::{AnsiTransactionManager, TransactionManager};
use diesel::r2d2::{CustomizeConnection, R2D2Connection};

use super::BemiPgConnection;
use super::carry_out::depth;

impl R2D2Connection for BemiPgConnection {
    fn ping(&mut self) -> QueryResult<()> {
        self.untracked.ping()
    }

    /// Also when a transaction that was begun as text is still open, which diesel does not know of.
    fn is_broken(&mut self) -> bool {
        let begun_as_text = self.session.is_open() && depth(&mut self.untracked) == Some(0);
        begun_as_text || AnsiTransactionManager::is_broken_transaction_manager(self)
    }
}

/// Gives each connection of a pool these settings.
///
/// ```no_run
/// use bemi_diesel::{BemiPgConnection, Settings};
/// use diesel::r2d2::{ConnectionManager, Pool, PoolError};
///
/// # fn example() -> Result<(), PoolError> {
/// let manager = ConnectionManager::<BemiPgConnection>::new("postgres://localhost/todos");
/// let pool = Pool::builder()
///     .connection_customizer(Box::new(Settings::new().without_sql()))
///     .build(manager)?;
/// # Ok(())
/// # }
/// ```
///
/// A customizer of one's own calls [`set_settings`](BemiPgConnection::set_settings) instead.
impl<E: 'static> CustomizeConnection<BemiPgConnection, E> for Settings {
    fn on_acquire(&self, connection: &mut BemiPgConnection) -> Result<(), E> {
        connection.set_settings(self.clone());
        Ok(())
    }
}
