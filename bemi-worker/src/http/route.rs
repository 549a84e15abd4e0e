//! Which request is for what.

use std::sync::Arc;

use bemi_core::record::{Record, TableName};
use http::request::Parts;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use tokio::sync::{Semaphore, watch};

use super::access::{Access, Door};
use super::answer::{self, Body, Refusal};
use super::exposure::Exposure;
use super::pool::{Lent, Pool};
use super::server::Whereabouts;
use super::{query, records, stream};
use crate::config::HttpConfig;
use crate::connect::Session;
use crate::pipeline::RunSummary;

/// Subscribers at one time.
pub(super) const SUBSCRIBERS_MAX: usize = 64;

/// What all requests share.
#[derive(Debug)]
pub(super) struct Endpoints {
    access: Access,
    exposure: Exposure,
    pool: Pool,
    record: Whereabouts,
    /// Changes whenever more is stored.
    stored: watch::Receiver<RunSummary>,
    shutdown: watch::Receiver<bool>,
    subscribers: Arc<Semaphore>,
}

/// Where a path leads.
enum Destination<'a> {
    Stream,
    /// A record, its table and its key percent-encoded.
    Record {
        table: &'a str,
        key: &'a str,
    },
}

impl Endpoints {
    pub(super) fn new(
        config: HttpConfig,
        record: Whereabouts,
        stored: watch::Receiver<RunSummary>,
        shutdown: watch::Receiver<bool>,
    ) -> Self {
        Self {
            access: Access::new(&config),
            exposure: Exposure::new(config.exposed),
            pool: Pool::new(record.destination.clone()),
            record,
            stored,
            shutdown,
            subscribers: Arc::new(Semaphore::new(SUBSCRIBERS_MAX)),
        }
    }

    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The record, asked by that connection.
    pub(super) fn record<'a>(&self, lent: &'a mut Lent) -> Record<&'a mut Session> {
        Record::new(&mut lent.session)
            .in_schema(&self.record.changes_schema)
            .for_slot(self.record.slot.as_str())
    }

    pub(super) fn database(&self) -> &str {
        &self.record.database
    }

    pub(super) fn stored(&self) -> watch::Receiver<RunSummary> {
        self.stored.clone()
    }

    pub(super) fn shutdown(&self) -> watch::Receiver<bool> {
        self.shutdown.clone()
    }

    pub(super) fn subscribers(&self) -> Arc<Semaphore> {
        Arc::clone(&self.subscribers)
    }
}

/// Answers a request. A body that comes with it is not read.
pub(super) async fn answer(
    endpoints: Arc<Endpoints>,
    request: Request<Incoming>,
) -> Response<Body> {
    let (head, _) = request.into_parts();
    route(&endpoints, &head).await.unwrap_or_else(|refusal| refusal.answer())
}

async fn route(endpoints: &Arc<Endpoints>, head: &Parts) -> Result<Response<Body>, Refusal> {
    let destination = Destination::of(head.uri.path()).ok_or(Refusal::NotFound)?;
    match head.method {
        Method::GET | Method::HEAD => {}
        Method::OPTIONS => return Ok(answer::options()),
        _ => return Err(Refusal::Method),
    }
    let query = head.uri.query();
    match destination {
        Destination::Stream => {
            endpoints.access.check(Door::Changes, &head.headers)?;
            stream::subscribe(endpoints, query, &head.headers).await
        }
        Destination::Record { table, key } => {
            endpoints.access.check(Door::Records, &head.headers)?;
            let table: Option<TableName> = query::decoded(table).and_then(|text| text.parse().ok());
            // A table that is not exposed is like one that is not there.
            let exposed = table.and_then(|table| endpoints.exposure.of(&table));
            let exposed = exposed.ok_or(Refusal::NotFound)?;
            let key = query::decoded(key).ok_or(Refusal::NotFound)?;
            records::history(endpoints, exposed, key, query).await
        }
    }
}

impl<'a> Destination<'a> {
    fn of(path: &'a str) -> Option<Self> {
        if path == "/changes/stream" {
            return Some(Self::Stream);
        }
        let (table, key) = path.strip_prefix("/records/")?.split_once('/')?;
        (!table.is_empty() && !key.is_empty() && !key.contains('/'))
            .then_some(Self::Record { table, key })
    }
}
