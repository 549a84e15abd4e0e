//! The way into diesel-async's pools.

use bemi_core::Settings;
use diesel_async::AsyncConnection;
use diesel_async::pooled_connection::{ManagerConfig, PoolableConnection};
use futures_util::FutureExt;

use super::BemiAsyncPgConnection;

impl PoolableConnection for BemiAsyncPgConnection {
    fn is_broken(&mut self) -> bool {
        self.is_unfit()
    }
}

impl BemiAsyncPgConnection {
    /// For a pool whose connections have these settings.
    ///
    /// ```no_run
    /// # #[cfg(feature = "deadpool")]
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use bemi_diesel::{BemiAsyncPgConnection, Settings};
    /// use diesel_async::pooled_connection::AsyncDieselConnectionManager;
    /// use diesel_async::pooled_connection::deadpool::Pool;
    ///
    /// let config = BemiAsyncPgConnection::manager_config(Settings::new().without_sql());
    /// let url = "postgres://localhost/todos";
    /// let manager = AsyncDieselConnectionManager::new_with_config(url, config);
    /// let pool: Pool<BemiAsyncPgConnection> = Pool::builder(manager).build()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn manager_config(settings: Settings) -> ManagerConfig<Self> {
        let mut config = ManagerConfig::default();
        config.custom_setup = Box::new(move |url| {
            let settings = settings.clone();
            async move { Ok(Self::establish(url).await?.with_settings(settings)) }.boxed()
        });
        config
    }
}
