//! The way in for [`deadpool_postgres`]: a manager whose clients carry the context.

use deadpool_postgres::{Manager, Metrics};
use tokio_postgres::Error;

use crate::client::Untracked;
use crate::{BemiClient, Settings};

/// Makes the clients of a deadpool pool: the counterpart of deadpool-postgres's [`Manager`], which it wraps.
///
/// What the pool hands out is a [`BemiClient`], with that crate's `prepare_cached` on it and on its transactions. One
/// that comes back inside an open transaction is closed.
///
/// ```no_run
/// use bemi_tokio_postgres::{BemiManager, BemiPool, Context, with_context};
/// use deadpool_postgres::Manager;
/// use tokio_postgres::NoTls;
///
/// # async fn example(config: tokio_postgres::Config) -> Result<(), Box<dyn std::error::Error>> {
/// let manager = BemiManager::new(Manager::new(config, NoTls));
/// let pool = BemiPool::builder(manager).max_size(16).build()?;
/// let client = pool.get().await?;
/// let insert = client.prepare_cached("INSERT INTO todos (task) VALUES ($1)").await?;
/// with_context(Context::new().with("user_id", 42), client.execute(&insert, &[&"Sleep"])).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct BemiManager {
    untracked: Manager,
    settings: Settings,
}

/// A deadpool pool whose clients carry the context: the counterpart of deadpool-postgres's
/// [`Pool`](deadpool_postgres::Pool).
pub type BemiPool = deadpool::managed::Pool<BemiManager>;

impl From<Manager> for BemiManager {
    fn from(manager: Manager) -> Self {
        Self::new(manager)
    }
}

impl BemiManager {
    /// Wraps a manager.
    #[must_use]
    pub fn new(manager: Manager) -> Self {
        Self { untracked: manager, settings: Settings::default() }
    }

    /// The same manager with other settings than the default ones.
    #[must_use]
    pub fn with_settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// deadpool-postgres's own manager, which has the caches of statements.
    #[must_use]
    pub fn untracked(&self) -> &Manager {
        &self.untracked
    }
}

type RecycleError = deadpool::managed::RecycleError<Error>;

impl deadpool::managed::Manager for BemiManager {
    type Type = BemiClient;
    type Error = Error;

    async fn create(&self) -> Result<BemiClient, Error> {
        let client = deadpool::managed::Manager::create(&self.untracked).await?;
        Ok(BemiClient::pooled(client).with_settings(self.settings.clone()))
    }

    async fn recycle(
        &self,
        client: &mut BemiClient,
        metrics: &Metrics,
    ) -> Result<(), RecycleError> {
        let (untracked, tracking) = client.parts();
        if tracking.is_open() {
            return Err(RecycleError::message("a transaction was left open"));
        }
        let Untracked::Pooled(client) = untracked else {
            return Err(RecycleError::message("the client is from another pool"));
        };
        deadpool::managed::Manager::recycle(&self.untracked, client, metrics).await
    }

    fn detach(&self, client: &mut BemiClient) {
        if let (Untracked::Pooled(client), _) = client.parts() {
            deadpool::managed::Manager::detach(&self.untracked, client);
        }
    }
}
