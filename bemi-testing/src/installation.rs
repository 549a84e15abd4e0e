//! What a recording puts into the database: a slot, two publications and a schema, under names of its own.
//!
//! A session holds an advisory lock for as long as it is there. So recordings of one database take turns, and whoever has
//! the lock knows that what another one has left behind belongs to nobody any more.
//!
//! Invariant: another installation of bemi in the database is left alone.

use std::time::Duration;

use bemi_worker::WorkerError;
use bemi_worker::config::{Config, ConnectionConfig};
use bemi_worker::connect::Session;
use bemi_worker::setup::{self, SetupOptions, TeardownOptions};
use tokio::time::{Instant, sleep};
use tokio_postgres::Client;

use crate::Error;

/// The publication, the schema of `changes`, and the beginning of the slot's name: slots belong to all databases of a
/// cluster.
const NAME: &str = "bemi_testing";

/// The advisory lock of recordings.
const LOCK: &str = "SELECT pg_try_advisory_lock(hashtextextended('bemi_testing', 0))";

/// How long to wait for another recording of the database to end.
const TURN_MAX: Duration = Duration::from_secs(120);

/// How often to ask whether it has.
const TURN_INTERVAL: Duration = Duration::from_millis(50);

/// How long a server process may outlive the worker that was its client.
const SLOT_IN_USE_MAX: Duration = Duration::from_secs(15);

/// An installation in a database, for this process alone.
pub(crate) struct Installation {
    pub(crate) config: Config,
    /// Holds the lock.
    session: Client,
}

impl Installation {
    /// Waits for its turn, takes away what is left of the one before, and sets the database up.
    pub(crate) async fn make(url: &str, options: &SetupOptions) -> Result<Self, Error> {
        let source: ConnectionConfig = url.parse()?;
        let session = source.connect().await.map_err(WorkerError::from)?;
        take_turn(&session).await?;
        let mut config = Config::new(source);
        config.publication = NAME.parse()?;
        NAME.clone_into(&mut config.changes_schema);
        let database: u32 = session
            .query_one("SELECT oid FROM pg_database WHERE datname = current_database()", &[])
            .await
            .and_then(|row| row.try_get(0))
            .map_err(|source| Error::Database { doing: "ask which database this is", source })?;
        config.slot = format!("{NAME}_{database}").parse()?;
        let installation = Self { config, session };
        match installation.publication().await? {
            Some(publication) if publication != NAME => {
                return Err(Error::AlreadySetUp { publication });
            }
            Some(_) => installation.remove().await?,
            None => {}
        }
        if let Err(error) = setup::run(&installation.config, options).await {
            // What was made until then is of no use; the error that came first says why.
            let _ = installation.remove().await;
            return Err(error.into());
        }
        Ok(installation)
    }

    /// The publication that the database is set up with.
    async fn publication(&self) -> Result<Option<String>, Error> {
        let failed = |source| Error::Database { doing: "look for an installation of bemi", source };
        let settings = "SELECT to_regclass('bemi.settings') IS NOT NULL";
        let row = self.session.query_one(settings, &[]).await.map_err(failed)?;
        if !row.try_get::<_, bool>(0).map_err(failed)? {
            return Ok(None);
        }
        let publication = "SELECT publication FROM bemi.settings";
        let row = self.session.query_opt(publication, &[]).await.map_err(failed)?;
        row.map(|row| row.try_get(0)).transpose().map_err(failed)
    }

    /// A session for questions and reverts.
    pub(crate) async fn session(&self) -> Result<Session, Error> {
        Ok(Session::new(self.config.source.connect().await.map_err(WorkerError::from)?))
    }

    /// Takes all of it back, `changes` included. The worker must have ended.
    pub(crate) async fn remove(&self) -> Result<(), Error> {
        let began = Instant::now();
        loop {
            let options = TeardownOptions::new().drop_changes(true);
            match setup::teardown(&self.config, options).await {
                Err(WorkerError::SlotInUse { .. }) if began.elapsed() < SLOT_IN_USE_MAX => {
                    sleep(TURN_INTERVAL).await;
                }
                removed => return Ok(removed.map(drop)?),
            }
        }
    }
}

async fn take_turn(session: &Client) -> Result<(), Error> {
    let began = Instant::now();
    loop {
        let taken = session.query_one(LOCK, &[]).await.and_then(|row| row.try_get(0));
        if taken.map_err(|source| Error::Database { doing: "wait for other recordings", source })? {
            return Ok(());
        }
        if began.elapsed() > TURN_MAX {
            return Err(Error::InUse { seconds: TURN_MAX.as_secs() });
        }
        sleep(TURN_INTERVAL).await;
    }
}
