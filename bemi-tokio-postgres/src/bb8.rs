//! The way in for [`bb8_postgres`]: a manager whose connections carry the context.

use bb8_postgres::PostgresConnectionManager;
use bb8_postgres::bb8::ManageConnection;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Client, Error, Socket};

use crate::{BemiClient, Settings};

/// Makes the connections of a bb8 pool: the counterpart of bb8-postgres's [`PostgresConnectionManager`], which it wraps.
///
/// What the pool hands out is a [`BemiClient`]. One that comes back inside an open transaction is closed.
///
/// ```no_run
/// use bb8_postgres::{PostgresConnectionManager, bb8};
/// use bemi_tokio_postgres::{BemiConnectionManager, Context, with_context};
/// use tokio_postgres::NoTls;
///
/// # async fn example(config: tokio_postgres::Config) -> Result<(), Box<dyn std::error::Error>> {
/// let manager = BemiConnectionManager::new(PostgresConnectionManager::new(config, NoTls));
/// let pool = bb8::Pool::builder().max_size(16).build(manager).await?;
/// let client = pool.get().await?;
/// let insert = client.execute("INSERT INTO todos (task) VALUES ($1)", &[&"Sleep"]);
/// with_context(Context::new().with("user_id", 42), insert).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct BemiConnectionManager<Tls: MakeTlsConnect<Socket>> {
    untracked: PostgresConnectionManager<Tls>,
    settings: Settings,
}

impl<Tls: MakeTlsConnect<Socket>> From<PostgresConnectionManager<Tls>>
    for BemiConnectionManager<Tls>
{
    fn from(manager: PostgresConnectionManager<Tls>) -> Self {
        Self::new(manager)
    }
}

impl<Tls: MakeTlsConnect<Socket>> BemiConnectionManager<Tls> {
    /// Wraps a manager.
    #[must_use]
    pub fn new(manager: PostgresConnectionManager<Tls>) -> Self {
        Self { untracked: manager, settings: Settings::default() }
    }

    /// The same manager with other settings than the default ones.
    #[must_use]
    pub fn with_settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }
}

impl<Tls> ManageConnection for BemiConnectionManager<Tls>
where
    Tls: MakeTlsConnect<Socket> + Clone + Send + Sync + 'static,
    Tls::Stream: Send + Sync,
    Tls::TlsConnect: Send,
    <Tls::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    type Connection = BemiClient;
    type Error = Error;

    async fn connect(&self) -> Result<BemiClient, Error> {
        let client: Client = self.untracked.connect().await?;
        Ok(BemiClient::new(client).with_settings(self.settings.clone()))
    }

    async fn is_valid(&self, client: &mut BemiClient) -> Result<(), Error> {
        self.untracked.is_valid(client.parts().0).await
    }

    fn has_broken(&self, client: &mut BemiClient) -> bool {
        let (untracked, tracking) = client.parts();
        tracking.is_open() || self.untracked.has_broken(untracked)
    }
}
