//! A few connections to the destination, which requests and subscribers take in turn.
//!
//! Invariant: a connection is lent for one question, never while a client is written to; so slow
//! clients hold none. One whose question was given up is closed, with whatever it was at.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bemi_core::record::RecordError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_postgres::error::SqlState;
use tracing::warn;

use super::answer::Refusal;
use crate::config::ConnectionConfig;
use crate::connect::{ConnectError, Fault, Session};
use crate::rate_limited::RateLimited;

/// How many connections there are at most, beside those of the worker.
pub(super) const CONNECTIONS_MAX: usize = 4;

/// How long to wait for a connection that others have.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// They can only read, and no question takes for ever.
const PREPARE: &str = "SET default_transaction_read_only = on; SET statement_timeout = '30s'";

/// One for all requests: each may have its own trouble with the same database.
static TROUBLE: RateLimited = RateLimited::new();

/// Connections that wait to be lent.
#[derive(Debug)]
pub(super) struct Pool {
    destination: ConnectionConfig,
    places: Arc<Semaphore>,
    idle: Mutex<Vec<Session>>,
}

/// A connection that was lent. It is closed when it is dropped; after an answer, give it back.
#[derive(Debug)]
pub(super) struct Lent {
    pub(super) session: Session,
    _place: OwnedSemaphorePermit,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("all connections are in use")]
    Busy,
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Record(#[from] RecordError<tokio_postgres::Error>),
}

impl Pool {
    pub(super) fn new(destination: ConnectionConfig) -> Self {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        Self { destination, places, idle: Mutex::default() }
    }

    /// Lends a connection, once one is there.
    pub(super) async fn lend(&self) -> Result<Lent, AskError> {
        let place = tokio::time::timeout(WAIT_MAX, Arc::clone(&self.places).acquire_owned());
        let Ok(Ok(place)) = place.await else { return Err(AskError::Busy) };
        let session = match self.take_idle() {
            Some(session) => session,
            None => self.open().await?,
        };
        Ok(Lent { session, _place: place })
    }

    /// Takes a connection back that has answered.
    pub(super) fn give_back(&self, lent: Lent) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(lent.session);
    }

    fn take_idle(&self) -> Option<Session> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|session| !session.client().is_closed());
        idle.pop()
    }

    async fn open(&self) -> Result<Session, AskError> {
        let client = self.destination.connect().await?;
        client.batch_execute(PREPARE).await.map_err(|source| RecordError::Database {
            doing: "prepare to read the record",
            source,
        })?;
        Ok(Session::new(client))
    }
}

impl AskError {
    /// Whether the question took longer than one may.
    pub(super) fn is_timeout(&self) -> bool {
        let Self::Record(RecordError::Database { source, .. }) = self else { return false };
        source.code() == Some(&SqlState::QUERY_CANCELED)
    }

    /// Whether the same question may be answered later.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Busy => true,
            Self::Connect(error) => error.is_transient(),
            Self::Record(RecordError::Database { source, .. }) => Fault::of(source).is_transient(),
            Self::Record(_) => false,
        }
    }
}

impl From<AskError> for Refusal {
    /// What the client is told; the log has the rest.
    fn from(error: AskError) -> Self {
        match &error {
            AskError::Busy => return Self::Busy("too much is asked at once; try again"),
            AskError::Record(RecordError::Database { source, .. })
                if Fault::of(source) == Fault::Data =>
            {
                // The server's own words may quote what was asked, which is the client's.
                return Self::Request("the database does not understand a value".to_owned());
            }
            _ => {}
        }
        if let Some(held_back) = TROUBLE.say() {
            warn!(cause = %error, held_back, "a request over HTTP could not be answered");
        }
        if error.is_transient() { Self::Unavailable } else { Self::Failed }
    }
}
