//! Pools of r2d2: diesel's `ConnectionManager` makes the connections, the settings go in as the pool's customizer.

use bemi_core::Settings;
use diesel::r2d2::CustomizeConnection;

use super::BemiPgConnection;

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
